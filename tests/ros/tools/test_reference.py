"""The reference of the node, made from what it is built of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pose_tracking.ros.node.parameters import PARAMETERS
from pose_tracking.ros.tools.reference import BEGIN, END, main, reference, updated

ROOT = Path(__file__).resolve().parents[3]


def test_the_reference_names_every_parameter_topic_and_service():
    text = reference()
    for name in (*PARAMETERS, "~/objects", "~/enable", "/camera/depth/image_raw", "/diagnostics"):
        assert f"`{name}`" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert widths <= {4, 7}  # three or six columns throughout


def test_the_reference_in_the_docs_is_up_to_date():
    name = "docs/ros-reference.md"
    text = (ROOT / name).read_text(encoding="utf-8")
    assert updated(text, name) == text, f"run: python -m pose_tracking.ros.tools.reference --write {name}"


def test_writing_the_reference_into_a_file(tmp_path, capsys):
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\nwhat stood here\n{END}\nafter\n")
    assert main(["--write", str(file)]) == 0
    text = file.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert reference() in text
    assert "what stood here" not in text
    file.write_text("no markers")
    assert main(["--write", str(file)]) == 2
    assert "README.md: has no" in capsys.readouterr().err
    assert file.read_text() == "no markers"


def test_the_reference_needs_no_ros():
    program = (
        "import sys; sys.modules.update(rclpy=None, sensor_msgs=None, std_msgs=None)\n"
        "from pose_tracking.ros.tools.reference import reference; print(len(reference()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(result.stdout) > 1000
