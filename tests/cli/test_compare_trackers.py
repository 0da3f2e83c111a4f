"""`pose-tracking evaluate` on noisy ground truth, and its sweeps, with the shipped demo bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pose_tracking.cli.evaluate import evaluate
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import ConfigError, DatasetError, PoseTrackingError
from pose_tracking.core.results import Detection
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox
from pose_tracking.evaluation.trackers.run import TrackingFrame, load_recording, save_recording

CAMERA = CameraIntrinsics(640, 480, 570.0, 570.0, 320.0, 240.0)
ABOUT = {"source": "made up", "model": "demo", "detections": "noisy-gt", "min_visib": 0.3, "noisy_gt": None}


def run(*arguments: object) -> str:
    app = typer.Typer()
    app.command()(evaluate)
    result = CliRunner().invoke(app, ["--model", "demo", "--device", "cpu", *(str(a) for a in arguments)])
    if isinstance(result.exception, PoseTrackingError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def recording(path: Path, obj_id: int = 4, about: dict | None = None, scene: int = 1) -> Path:
    """Twelve frames of one object that slides."""
    frames = []
    for i in range(12):
        box = np.array([100.0 + i, 100, 160 + i, 150])
        truths = [IdentifiedBox((scene, obj_id, 1), obj_id, box)]
        found = [Detection(obj_id, 0.9, box, np.ones(8, np.float32))]
        frames.append(TrackingFrame(scene, 1 + i / 10, np.eye(4), CAMERA, found, truths))
    save_recording(path, frames, ABOUT if about is None else about)
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--detections", "gt"], "--detections gt: only noisy-gt is known"),
        (["--baselines", "norfair"], "--baselines needs --sweep"),
        (["--save-detections", "a.npz"], "--save-detections needs --sweep"),
        (["--motion", "box,pose"], "--motion box,pose: several need --sweep"),
        (["--motion", "orbit"], "'orbit' is not one of box, pose, both"),
        (["--sweep", "lambda=0,2"], "lambda 2 is outside 0 to 1"),
        (["--sweep", "lambda="], "a value is missing"),
        (["--sweep", "age=1"], "expected lambda=VALUES"),
        (["--sweep", "lambda=0", "--lambda", "0.5"], "both say what lambda is"),
        (["--sweep", "lambda=0", "--motion", ","], "a value is missing"),
        (["--sweep", "lambda=0", "--baselines", "sort"], "'sort' is not one of"),
        (["--set", "max_age=3"], "expected GROUP.NAME=VALUE"),
        (["--set", "pose.x=3"], "with one of the groups tracking, pipeline, noisy_gt"),
        (["--set", "tracking.max_ages=3"], "unknown option 'max_ages'"),
        (["--set", "tracking.max_age=0"], "max_age = 0 is outside"),
        (["--set", "noisy_gt.miss_rate=0"], "needs --detections noisy-gt"),
        (["--detections", "noisy-gt", "--set", "noisy_gt.miss_rate=2"], "miss_rate = 2.0 is outside 0 to 1"),
        (["--preset", "soft"], "soft"),
    ],
)
def test_what_cannot_be_evaluated_is_named(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run("simulated:92001", "--out", tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_recordings_only_serve_their_own_model_in_a_sweep(tmp_path: Path) -> None:
    whole, sweep = recording(tmp_path / "a.npz"), ["--sweep", "lambda=0.5", "--out", tmp_path / "out"]
    with pytest.raises(ConfigError, match="can only be tracked again: give --sweep"):
        run(whole, "--out", tmp_path / "out")
    with pytest.raises(ConfigError, match="recorded already"):
        run(whole, *sweep, "--detections", "noisy-gt")
    with pytest.raises(ConfigError, match="give such files only"):
        run(whole, "simulated:92001", *sweep)
    with pytest.raises(ConfigError, match="was recorded with --min-visib 0.3"):
        run(whole, *sweep, "--min-visib", 0.5)
    with pytest.raises(DatasetError, match="no such file"):
        run(tmp_path / "b.npz", *sweep)
    with pytest.raises(DatasetError, match="does not say its model"):
        run(recording(tmp_path / "c.npz", about={"source": "s"}), *sweep)
    with pytest.raises(ConfigError, match="was recorded with model other: give --model other"):
        run(recording(tmp_path / "d.npz", about=ABOUT | {"model": "other"}), *sweep)
    with pytest.raises(DatasetError, match="has object 77, which demo does not know"):
        run(recording(tmp_path / "e.npz", obj_id=77), *sweep)


def test_a_recording_is_swept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = run(
        recording(tmp_path / "a.npz"), "--out", out, "--sweep", "lambda=0,0.5", "--motion", "box,both",
        "--set", "tracking.n_init=2", "--no-camera-motion", "--max-frames", 10,
    )  # fmt: skip
    data = json.loads((out / "sweep.json").read_text())
    assert [(r["motion"], r["lambda"]) for r in data["rows"]] == [("box", 0), ("box", 0.5), ("both", 0), ("both", 0.5)]
    assert {(r["object_frames"], r["fn"], r["id_switches"]) for r in data["rows"]} == {(10, 1, 0)}
    assert list(data["rows"][0]["objects"]) == ["truck"]
    assert data["baselines"] == []
    assert (data["source"], data["model"], data["frames"], data["detections"]) == ("made up", "demo", 10, "noisy-gt")
    settings = data["settings"]
    assert (settings["camera_motion"], settings["rate"], settings["tracking"]["n_init"]) == (False, 10, 2)
    assert "camera motion not given" in text
    assert "lambda 0.5, both motion" in (out / "sweep.txt").read_text()


def test_noisy_truth_is_recorded_and_swept_alike_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "a.npz"
    source = ["simulated:92001", "--preset", "hard", "--rate", 5, "--frames", 5, "--detections", "noisy-gt"]
    run(*source, "--sweep", "lambda=0.25", "--out", tmp_path / "first", "--save-detections", kept, "--seed", 3)
    frames, about = load_recording(kept)
    assert (len(frames), about["noisy_gt"]["seed"], about["detections"]) == (5, 3, "noisy-gt")
    assert frames[1].stamp - frames[0].stamp == pytest.approx(0.2)
    assert all(d.feature is not None and d.pose is not None for f in frames for d in f.detections)
    run(kept, "--sweep", "lambda=0.25", "--out", tmp_path / "again")
    first, again = (json.loads((tmp_path / name / "sweep.json").read_text()) for name in ("first", "again"))
    assert first == again
    assert first["rows"][0]["object_frames"] > 0


def test_noisy_truth_goes_through_the_whole_report(tmp_path: Path) -> None:
    run(
        "simulated:92001", "--frames", 4, "--detections", "noisy-gt", "--out", tmp_path, "--no-video",
        "--motion", "box", "--set", "noisy_gt.miss_rate=0", "--set", "noisy_gt.false_alarms=0",
        "--set", "tracking.n_init=1",
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"] == 4
    assert report["tracking"]["fn"] == 0
    assert report["tracking"]["mota"] > 0.9
    assert report["latency_ms"]["segmentation"]["median"] is None
    assert {file.name for file in tmp_path.iterdir()} == {"report.json", "report.html", "poses.csv", "tracks.csv"}


def test_the_models_own_detections_are_swept(tmp_path: Path) -> None:
    run("simulated:92001", "--frames", 2, "--sweep", "lambda=0.5", "--out", tmp_path, "--set", "tracking.n_init=1")
    data = json.loads((tmp_path / "sweep.json").read_text())
    assert data["detections"] == "the model's own"
    assert data["settings"]["noisy_gt"] is None
    assert data["rows"][0]["mota"] > 0.5


def test_recordings_are_pooled(tmp_path: Path) -> None:
    first, second = recording(tmp_path / "a.npz"), recording(tmp_path / "b.npz", scene=2)
    run(first, second, "--out", tmp_path / "out", "--sweep", "lambda=0.5")
    data = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert (data["frames"], data["rows"][0]["object_frames"]) == (24, 24)
    with pytest.raises(DatasetError, match="both have scene 1"):
        run(first, first, "--out", tmp_path / "out", "--sweep", "lambda=0.5")
    other = recording(tmp_path / "c.npz", about=ABOUT | {"detections": "the model's own"}, scene=3)
    with pytest.raises(DatasetError, match="detections differs"):
        run(first, other, "--out", tmp_path / "out", "--sweep", "lambda=0.5")


def test_detections_of_a_report_are_kept_for_a_sweep(tmp_path: Path) -> None:
    kept, out = tmp_path / "a.npz", tmp_path / "out"
    source = ["simulated:92001", "--preset", "hard", "--rate", 5, "--frames", 4, "--detections", "noisy-gt"]
    run(*source, "--out", out, "--save-detections", kept, "--no-video")
    assert json.loads((out / "report.json").read_text())["frames"] == 4
    run(kept, "--out", out, "--sweep", "lambda=0.5")
    assert json.loads((out / "sweep.json").read_text())["frames"] == 4
