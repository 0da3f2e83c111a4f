"""A pipeline whose detector and pose stage are handed over starts without PyTorch, which takes seconds to import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from ball_scene import ball_tracker, render
tracker = ball_tracker()
assert len([tracker.update(render(index)) for index in range(3)][-1]) == 2
assert "torch" not in sys.modules
"""


def test_stages_of_ones_own_need_no_torch():
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers"), *sys.path[1:]])
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
