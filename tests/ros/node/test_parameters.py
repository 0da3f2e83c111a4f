"""The parameter table, the reference made from it, and the camera presets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.paths import share_file
from pose_tracking.pipeline import PoseTracker
from pose_tracking.ros.node.parameters import GROUPS, PARAMETERS, camera_topics
from pose_tracking.ros.tools.process import camera_preset, camera_presets, node_arguments
from pose_tracking.ros.tools.reference import BEGIN, END, main, reference, updated

ROOT = Path(__file__).resolve().parents[3]


def defaults(**changes):
    return {name: parameter.default for name, parameter in PARAMETERS.items()} | changes


def test_every_parameter_is_documented_and_its_default_is_allowed():
    assert sum(len(group) for group in GROUPS.values()) == len(PARAMETERS)
    for parameter in PARAMETERS.values():
        assert parameter.coerce(parameter.default) == parameter.default
        assert len(parameter.help) > 10
        if parameter.kind in ("integer", "double"):
            assert parameter.range is not None, parameter.name


def test_every_run_time_option_of_the_pipeline_is_a_parameter():
    assert {p.option for p in PARAMETERS.values() if p.option} == set(PoseTracker.RUNTIME_OPTIONS)
    assert PARAMETERS["lambda"].option == "motion_weight"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("lambda", "1", 1.0),
        ("lambda", "0.25", 0.25),
        ("qos_depth", "3", 3),
        ("publish_tf", "false", False),
        ("model", "123", "123"),
        ("classes", "[cat, duck]", ("cat", "duck")),
        ("classes", "['']", ()),
        ("qos_reliability", "reliable", "reliable"),
    ],
)
def test_values_are_parsed_to_their_type(name, text, value):
    parsed = PARAMETERS[name].parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "culprit"),
    [
        ("lambda", "1.5", "outside 0 to 1"),
        ("lambda", "high", "not of type double"),
        ("lambda", "{", "not of type double"),
        ("lambda", ".nan", "outside"),
        ("qos_depth", "2.5", "not of type integer"),
        ("qos_depth", "true", "not of type integer"),
        ("publish_tf", "1", "not of type bool"),
        ("classes", "[1, 2]", "not a list of strings"),
        ("color_transport", "theora", "not one of raw, compressed"),
    ],
)
def test_bad_values_are_refused_by_name(name, text, culprit):
    with pytest.raises(ConfigError, match=f"parameter {name} = .*{culprit}"):
        PARAMETERS[name].parse(text)


def test_topics_are_relative_to_the_camera_unless_they_are_absolute():
    assert camera_topics(defaults())["depth"] == "/camera/depth/image_raw"
    topics = camera_topics(
        defaults(
            camera="/left/", color_topic="/rgb/image", color_transport="compressed", depth_transport="compressedDepth"
        )
    )
    assert topics == {
        "color": "/rgb/image/compressed",
        "depth": "/left/depth/image_raw/compressedDepth",
        "camera_info": "/left/color/camera_info",
    }
    assert camera_topics(defaults(camera=""))["color"] == "color/image_raw"


def test_presets_set_only_parameters_that_exist():
    assert {"realsense", "azure_kinect", "orbbec", "default"} <= set(camera_presets())
    for name in camera_presets():
        values = yaml.safe_load(camera_preset(name).read_text())["/**"]["ros__parameters"]
        for parameter, value in values.items():
            PARAMETERS[parameter].coerce(value)
        assert len(set(camera_topics(defaults(**values)).values())) == 3
    assert (
        camera_topics(defaults(**yaml.safe_load(camera_preset("realsense").read_text())["/**"]["ros__parameters"]))[
            "depth"
        ]
        == "/camera/camera/aligned_depth_to_color/image_raw"
    )


def test_an_unknown_preset_is_refused_by_name():
    with pytest.raises(ConfigError, match="unknown camera 'kinect7'.*realsense"):
        camera_preset("kinect7")
    with pytest.raises(ConfigError, match="no/such"):
        share_file("no", "such")


def test_arguments_keep_their_type():
    arguments = node_arguments({"model": "1", "lambda": 1.0, "autostart": True, "classes": ()})
    values = {a.split(":=")[0]: yaml.safe_load(a.split(":=")[1]) for a in arguments if ":=" in a}
    assert values == {"model": "1", "lambda": 1.0, "autostart": True, "classes": [""]}


def test_the_reference_names_every_parameter_topic_and_service():
    text = reference()
    for name in (*PARAMETERS, "~/objects", "~/enable", "/camera/depth/image_raw", "/diagnostics"):
        assert f"`{name}`" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert widths <= {4, 7}  # three or six columns throughout


def test_the_readme_is_up_to_date():
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert updated(text, "README.md") == text, "run: python -m pose_tracking.ros.tools.reference --write README.md"


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
