"""`pose-tracking compare-trackers`, and `evaluate` on noisy ground truth, with the shipped demo bundle."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from estimates import estimate_of
from presence import present
from typer.testing import CliRunner

from pose_tracking.cli.compare_trackers import compare_trackers
from pose_tracking.cli.evaluate import evaluate
from pose_tracking.cli.evaluation_options import MIN_VISIB
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import ConfigError, DatasetError, PoseTrackingError
from pose_tracking.core.results import Detection
from pose_tracking.evaluation.metrics.identities import MIN_VISIBILITY
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox
from pose_tracking.evaluation.trackers.record import TrackingFrame
from pose_tracking.evaluation.trackers.recordings import (
    load_recording,
    save_recording,
    with_covariance_scale,
)
from pose_tracking.evaluation.trackers.sweep_report import load_sweep

CAMERA = CameraIntrinsics(640, 480, 570.0, 570.0, 320.0, 240.0)
ABOUT = {"source": "made up", "model": "demo", "detections": "noisy-gt", "min_visib": 0.3, "noisy_gt": None}


def run(*arguments: object, command: Callable[..., None] = evaluate) -> str:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["--model", "demo", "--device", "cpu", *(str(a) for a in arguments)])
    if isinstance(result.exception, PoseTrackingError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def compare(*arguments: object) -> str:
    return run(*arguments, command=compare_trackers)


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
        (["--save-detections", "a.npz"], "--save-detections needs --detections noisy-gt"),
        (["--motion", "box,pose"], "--motion box,pose: several are for `compare-trackers`"),
        (["--motion", "orbit"], "'orbit' is not one of box, pose, both"),
        (["--set", "max_age=3"], "expected GROUP.NAME=VALUE"),
        (
            ["--set", "detector.x=3"],
            "with one of the groups objects, segmentation, pose, tracking, pipeline, inference, ",
        ),
        (["--set", "segmentation.roi_size=9"], "fixed by the detector's training"),
        (["--set", "tracking.max_ages=3"], "unknown option 'max_ages'"),
        (["--set", "tracking.max_age=0"], "max_age = 0 is outside"),
        (["--set", "noisy_gt.miss_rate=0"], "needs --detections noisy-gt"),
        (["--detections", "noisy-gt", "--set", "noisy_gt.miss_rate=2"], "miss_rate = 2.0 is outside 0 to 1"),
        (["--protocol", "ycbv"], "--protocol ycbv: only ycbineoat is known"),
        (["--covariance-scale", 4], "--covariance-scale needs --detections noisy-gt"),
        (["--detections", "noisy-gt", "--covariance-scale", 30], "covariance_scale = 30.0 is outside 0.04 to 25"),
        (["--preset", "soft"], "soft"),
        (["--sweep", "lambda=0", "--lambda", "0.5"], "both say what lambda is"),
    ],
)
def test_what_cannot_be_evaluated_is_named(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run("simulated:92001", "--out", tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "lambda=0,2"], "lambda 2 is outside 0 to 1"),
        (["--sweep", "lambda="], "a value is missing"),
        (["--sweep", "age=1"], "expected lambda=VALUES"),
        (["--motion", ","], "a value is missing"),
        (["--motion", "box,orbit"], "'orbit' is not one of box, pose, both"),
        (["--baselines", "sort"], "'sort' is not one of"),
        (["--detections", "gt"], "--detections gt: only noisy-gt is known"),
        (["--set", "tracking.max_age=0"], "max_age = 0 is outside"),
        (["--set", "noisy_gt.miss_rate=0"], "needs --detections noisy-gt"),
        (["--covariance-scale", 4], "--covariance-scale needs --detections noisy-gt"),
        (["--preset", "soft"], "soft"),
    ],
)
def test_what_cannot_be_compared_is_named(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        compare("simulated:92001", "--out", tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_recordings_only_serve_their_own_model(tmp_path: Path) -> None:
    whole, sweep = recording(tmp_path / "a.npz"), ["--sweep", "lambda=0.5", "--out", tmp_path / "out"]
    with pytest.raises(ConfigError, match="can only be tracked again: use `compare-trackers`"):
        run(whole, "--out", tmp_path / "out")
    with pytest.raises(ConfigError, match="recorded already"):
        compare(whole, *sweep, "--detections", "noisy-gt")
    with pytest.raises(ConfigError, match="give such files only"):
        compare(whole, "simulated:92001", *sweep)
    with pytest.raises(ConfigError, match="was recorded with --min-visib 0.3"):
        compare(whole, *sweep, "--min-visib", 0.5)
    with pytest.raises(DatasetError, match="no such file"):
        compare(tmp_path / "b.npz", *sweep)
    with pytest.raises(DatasetError, match="does not say its model"):
        compare(recording(tmp_path / "c.npz", about={"source": "s"}), *sweep)
    with pytest.raises(ConfigError, match="was recorded with model other: give --model other"):
        compare(recording(tmp_path / "d.npz", about=ABOUT | {"model": "other"}), *sweep)
    with pytest.raises(DatasetError, match="has object 77, which demo does not know"):
        compare(recording(tmp_path / "e.npz", obj_id=77), *sweep)


def test_a_recording_is_swept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = compare(
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
    source = ["simulated:92001", "--preset", "stress", "--rate", 5, "--frames", 5, "--detections", "noisy-gt"]
    compare(*source, "--sweep", "lambda=0.25", "--out", tmp_path / "first", "--save-detections", kept, "--seed", 3)
    frames, about = load_recording(kept)
    assert (len(frames), about["noisy_gt"]["seed"], about["detections"]) == (5, 3, "noisy-gt")
    assert frames[1].stamp - frames[0].stamp == pytest.approx(0.2)
    assert all(d.feature is not None and d.pose is not None for f in frames for d in present(f.detections))
    compare(kept, "--sweep", "lambda=0.25", "--out", tmp_path / "again")
    first, again = (json.loads((tmp_path / name / "sweep.json").read_text()) for name in ("first", "again"))
    assert first == again
    assert first["rows"][0]["object_frames"] > 0


def test_the_covariance_of_a_recording_can_be_misstated_later(tmp_path: Path) -> None:
    honest, told = tmp_path / "honest.npz", tmp_path / "told.npz"
    source = ["simulated:92001", "--preset", "stress", "--rate", 5, "--frames", 4, "--detections", "noisy-gt"]
    compare(*source, "--out", tmp_path, "--save-detections", honest)
    text = compare(*source, "--out", tmp_path / "first", "--save-detections", told, "--covariance-scale", 9)
    assert "detections: noisy-gt (covariance told x 9)" in text
    first = load_recording(told)
    assert first.about["noisy_gt"]["covariance_scale"] == 9
    again = with_covariance_scale(load_recording(honest), 9)
    assert again.about == first.about
    for a, b in zip(first.frames, again.frames, strict=True):
        for c, d in zip(present(a.detections), present(b.detections), strict=True):
            np.testing.assert_allclose(estimate_of(c).covariance, estimate_of(d).covariance, rtol=1e-9, atol=1e-15)
    compare(honest, "--out", tmp_path / "again", "--covariance-scale", 9)
    assert load_sweep(tmp_path / "again" / "sweep.json") == load_sweep(tmp_path / "first" / "sweep.json")
    with pytest.raises(ConfigError, match="covariance_scale = 0.01 is outside"):
        compare(honest, "--out", tmp_path / "again", "--covariance-scale", 0.01)
    own = recording(tmp_path / "own.npz", about=ABOUT | {"detections": "the model's own"})
    with pytest.raises(ConfigError, match="those of made up are the model's own"):
        compare(own, "--out", tmp_path / "again", "--covariance-scale", 9)


def test_noisy_truth_goes_through_the_whole_report(tmp_path: Path) -> None:
    run(
        "simulated:92001", "--frames", 4, "--detections", "noisy-gt", "--out", tmp_path, "--no-video",
        "--motion", "box", "--set", "noisy_gt.miss_rate=0", "--set", "noisy_gt.false_alarms=0",
        "--set", "tracking.n_init=1", "--covariance-scale", 4,
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"] == 4
    assert report["tracking"]["fn"] == 0
    assert report["tracking"]["mota"] > 0.9
    assert report["extra"]["noisy_gt"]["covariance_scale"] == 4
    assert "the tracker is told 4 times the covariance" in (tmp_path / "report.html").read_text()
    assert report["latency_ms"]["segmentation"]["median"] is None
    assert {file.name for file in tmp_path.iterdir()} == {"report.json", "report.html", "poses.csv", "tracks.csv"}


def test_the_models_own_detections_are_swept(tmp_path: Path) -> None:
    compare("simulated:92001", "--frames", 2, "--sweep", "lambda=0.5", "--out", tmp_path, "--set", "tracking.n_init=1")
    data = json.loads((tmp_path / "sweep.json").read_text())
    assert data["detections"] == "the model's own"
    assert data["settings"]["noisy_gt"] is None
    assert data["rows"][0]["mota"] > 0.5


def test_recordings_are_pooled(tmp_path: Path) -> None:
    first, second = recording(tmp_path / "a.npz"), recording(tmp_path / "b.npz", scene=2)
    compare(first, second, "--out", tmp_path / "out", "--sweep", "lambda=0.5")
    data = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert (data["frames"], data["rows"][0]["object_frames"]) == (24, 24)
    with pytest.raises(DatasetError, match="both have scene 1"):
        compare(first, first, "--out", tmp_path / "out", "--sweep", "lambda=0.5")
    other = recording(tmp_path / "c.npz", about=ABOUT | {"detections": "the model's own"}, scene=3)
    with pytest.raises(DatasetError, match="detections differs"):
        compare(first, other, "--out", tmp_path / "out", "--sweep", "lambda=0.5")


def test_detections_of_a_report_are_kept_for_a_sweep(tmp_path: Path) -> None:
    kept, out = tmp_path / "a.npz", tmp_path / "out"
    source = ["simulated:92001", "--preset", "stress", "--rate", 5, "--frames", 4, "--detections", "noisy-gt"]
    run(*source, "--out", out, "--save-detections", kept, "--no-video")
    assert json.loads((out / "report.json").read_text())["frames"] == 4
    compare(kept, "--out", out, "--sweep", "lambda=0.5")
    assert json.loads((out / "sweep.json").read_text())["frames"] == 4


def test_without_a_sweep_the_bundles_lambda_is_taken(tmp_path: Path) -> None:
    compare(recording(tmp_path / "a.npz"), "--out", tmp_path / "out", "--set", "tracking.motion_weight=0.125")
    rows = load_sweep(tmp_path / "out" / "sweep.json")["rows"]
    assert [row["lambda"] for row in rows] == [0.125]


def test_what_version_0_1_0_took_still_works_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    path = recording(tmp_path / "a.npz")
    with caplog.at_level(logging.WARNING):
        run(path, "--out", first, "--sweep", "lambda=0,1", "--motion", "box,pose", "--no-camera-motion")
    assert "compare-trackers` with --sweep and --baselines" in caplog.text
    compare(path, "--out", second, "--sweep", "lambda=0,1", "--motion", "box,pose", "--no-camera-motion")
    assert load_sweep(first / "sweep.json") == load_sweep(second / "sweep.json")
    with pytest.raises(ConfigError, match="'sort' is not one of"):
        run(path, "--out", first, "--sweep", "lambda=0", "--peers", "sort")


def test_the_default_visibility_is_that_of_the_scorer() -> None:
    assert MIN_VISIB == MIN_VISIBILITY
