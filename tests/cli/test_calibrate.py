"""`pose-tracking calibrate` with the networks of the shipped demo bundle."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from shape_scenes import shape_scene
from typer.testing import CliRunner

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.cli.calibrate import FEWEST_FRAMES, _gather, calibrate
from pose_tracking.core.errors import ConfigError, PoseTrackingError
from pose_tracking.datasets.packed import PackedWriter
from pose_tracking.datasets.sample import Sample
from pose_tracking.evaluation.calibration import Gathered
from pose_tracking.pose.fitting.scoring import FEATURES

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A bundle like the shipped one whose options may be changed."""
    folder = tmp_path / "demo"
    folder.mkdir()
    for entry in DEMO.iterdir():
        if entry.name != "bundle.yaml":
            (folder / entry.name).symlink_to(entry)
    (folder / "bundle.yaml").write_text("# of a test\n" + (DEMO / "bundle.yaml").read_text())
    return folder


def run(*arguments: object) -> str:
    app = typer.Typer()
    app.command()(calibrate)
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, PoseTrackingError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_fitted_confidence_is_measured_and_written(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "calibration"
    text = run("--model", demo, "--data", "simulated:70001", "--frames", 2, "--run-dir", out, "--device", "cpu")
    report = json.loads((out / "calibration.json").read_text())
    assert report["frames"] == 2
    assert report["data"] == ["simulated:70001"]
    assert (out / "reliability.png").read_bytes().startswith(b"\x89PNG")
    assert "after cross validated ROC AUC" in text
    written = ModelBundle.load(demo).config.pose.verification
    assert dict(zip(FEATURES, written.weights, strict=True)) == pytest.approx(report["weights"], abs=0.006)
    assert written.bias == pytest.approx(report["bias"], abs=0.006)
    before = (DEMO / "bundle.yaml").read_text()
    assert (demo / "bundle.yaml").read_text().startswith("# of a test\n" + before.split("\npose:")[0].rstrip())


def test_what_cannot_be_fitted_changes_nothing(demo: Path, tmp_path: Path) -> None:
    before = (demo / "bundle.yaml").read_text()
    with PackedWriter(tmp_path / "nothing.zip") as writer:
        writer.add(Sample(shape_scene(0).frame, []))
    with pytest.raises(ConfigError, match=r"0 right and \d+ other hypotheses in 1 frames are too few"):
        run("--model", demo, "--data", tmp_path / "nothing.zip", "--run-dir", tmp_path / "calibration")
    assert (demo / "bundle.yaml").read_text() == before
    assert list((tmp_path / "calibration").iterdir()) == []


@pytest.mark.parametrize(("minutes", "frames"), [(None, 100), (0.0, FEWEST_FRAMES), (1.0, 60)])
def test_a_short_time_takes_fewer_frames_but_enough_to_fit(
    monkeypatch: pytest.MonkeyPatch, minutes: float | None, frames: int
) -> None:
    clock = [0.0]

    def add(self: Gathered, samples: object, scene: int, collector: object) -> None:
        self.frames += 1
        clock[0] += 1.0 + 1e-9

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(Gathered, "add", add)
    monkeypatch.setattr("pose_tracking.evaluation.calibration.Collector", lambda *parts: None)
    config = SimpleNamespace(pipeline=None)
    bundle: Any = SimpleNamespace(build_segmenter=str, build_pose_estimator=str, objects={}, config=config)
    sources: Any = [list(range(50)), list(range(50))]
    assert _gather(bundle, sources, "cpu", minutes).frames == frames
