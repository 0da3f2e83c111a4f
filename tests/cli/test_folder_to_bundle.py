"""The whole way of a new user: a folder with one mesh, a bundle, a full training, figures on fresh frames."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pose_tracking.objects.mesh import save_mesh
from pose_tracking.simulation.scenery.demo_objects import demo_meshes

MINUTES = 20.0
LONGEST_SECONDS = 3 * 60 * MINUTES
TRUCK = 4
FRESH = "simulated:92101"  # neither trained nor calibrated on
FEWEST_RIGHT = 0.3  # share of the poses; next to none is right by chance


def command(*words: object) -> None:
    """Run ``pose-tracking`` with these words."""
    subprocess.run(
        [sys.executable, "-m", "pose_tracking.cli", *map(str, words)], check=True, timeout=LONGEST_SECONDS
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(LONGEST_SECONDS)
def test_a_folder_with_one_mesh_becomes_a_bundle_that_finds_it(tmp_path: Path) -> None:
    cad, bundle, report = tmp_path / "cad", tmp_path / "parts", tmp_path / "report"
    cad.mkdir()
    save_mesh(demo_meshes()[TRUCK], cad / "truck.ply")
    command("new-model", "--meshes", cad, "--unit", "mm", "--out", bundle)
    began = time.monotonic()
    command("train", "all", "--model", bundle, "--minutes", MINUTES, "--run-dir", tmp_path / "run")
    taken = (time.monotonic() - began) / 60
    command("evaluate", FRESH, "--frames", 40, "--model", bundle, "--out", report)
    figures = json.loads((report / "report.json").read_text())["pose"]["objects"]["1"]
    assert figures["instances"] > 40
    assert figures["add_s_recall"] > FEWEST_RIGHT
    assert taken == pytest.approx(MINUTES, rel=0.15)
