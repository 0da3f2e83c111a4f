"""A video in, drawn video and rows out: times, identities, and what is kept when something goes wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from matroska import matroska
from no_estimator import NoEstimator
from typer.testing import CliRunner

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.cli.main import build
from pose_tracking.core.errors import DatasetError, OutputError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.datasets.mot_rows import read_rows
from pose_tracking.datasets.video import open_video
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pipeline.video_tracking import track_video
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter
from pose_tracking.visualization import color_of


class RedSquare(Segmenter):
    """Finds what is red."""

    config = SegmentationConfig()

    def segment(self, frame: RGBDFrame) -> Instances:
        mask = frame.color[..., 0] > 150
        if not mask.any():
            return Instances.empty(*frame.color.shape[:2])
        rows, columns = np.nonzero(mask)
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        return Instances(np.array([4]), np.array([0.9], np.float32), box, mask[None], np.ones((1, 8, 7, 7), np.float32))


def pipeline() -> PoseTracker:
    bundle = ModelBundle.load("demo", require_weights=False)
    return PoseTracker(bundle, segmenter=RedSquare(), estimator=NoEstimator())


def video_of(folder: Path, times: list[int]) -> Path:
    """A red square that moves 2 px to the right from one picture to the next."""
    images = np.zeros((len(times), 96, 128, 3), np.uint8)
    for k, image in enumerate(images):
        image[40:64, 10 + 2 * k : 34 + 2 * k, 0] = 255
    path = folder / "clip.mkv"
    path.write_bytes(matroska(list(images), times))
    return path


def read_back(path: Path) -> list[np.ndarray]:
    reader = cv2.VideoCapture(str(path))
    found: list[np.ndarray] = []
    while True:
        done, image = reader.read()
        if not done:
            return found
        found.append(image[..., ::-1])


@pytest.mark.parametrize("ending", ["webm", "mp4"])
def test_one_thing_keeps_one_identity_in_rows_and_picture(tmp_path, ending: str) -> None:
    video = open_video(str(video_of(tmp_path, list(range(0, 2000, 100)))))
    out, rows = tmp_path / f"out.{ending}", tmp_path / "tracks.txt"
    done = track_video(video, pipeline(), out, rows)
    assert done.frames == 20
    assert done.video_seconds == pytest.approx(2.0, abs=0.01)
    assert done.identities == {1: "truck"}
    assert done.real_time == pytest.approx(done.video_seconds / done.taken_seconds)
    found = read_rows(rows)
    assert [(row.frame, row.identity, row.label) for row in found] == [(k, 1, 4) for k in range(2, 21)]
    np.testing.assert_allclose(found[-1].box, [48, 40, 72, 64], atol=2)
    pictures = read_back(out)
    assert len(pictures) == 20
    # The square is tinted with the colour of its track, and its box drawn in it.
    tinted = 0.65 * np.array([255, 0, 0]) + 0.35 * np.array(color_of(1))
    np.testing.assert_allclose(pictures[-1][50:56, 56:64].reshape(-1, 3).mean(0), tinted, atol=40)


def test_a_pause_of_the_pictures_is_one_of_the_video(tmp_path) -> None:
    times = [*range(0, 500, 100), *range(1500, 2000, 100)]
    video = open_video(str(video_of(tmp_path, times)))
    video.rate = 10.0
    done = track_video(video, pipeline(), tmp_path / "out.mp4", tmp_path / "tracks.txt")
    assert done.frames == 10
    assert len(read_back(tmp_path / "out.mp4")) == 20
    assert max(row.frame for row in read_rows(tmp_path / "tracks.txt")) == 10


def test_what_was_read_of_a_video_cut_off_is_kept_and_said(tmp_path) -> None:
    path = video_of(tmp_path, list(range(0, 2000, 100)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = track_video(open_video(str(path)), pipeline(), tmp_path / "out.webm", tmp_path / "tracks.txt")
    assert 5 <= done.frames <= 12
    assert "cut off" in done.notes[0]
    assert len(read_back(tmp_path / "out.webm")) == done.frames
    assert max(row.frame for row in read_rows(tmp_path / "tracks.txt")) == done.frames


def test_stopping_by_hand_keeps_what_was_done(tmp_path) -> None:
    class Impatient(RedSquare):
        def segment(self, frame: RGBDFrame) -> Instances:
            if frame.stamp > 0.55:
                raise KeyboardInterrupt
            return super().segment(frame)

    bundle = ModelBundle.load("demo", require_weights=False)
    tracker = PoseTracker(bundle, segmenter=Impatient(), estimator=NoEstimator())
    video = open_video(str(video_of(tmp_path, list(range(0, 2000, 100)))))
    done = track_video(video, tracker, tmp_path / "out.webm", tmp_path / "tracks.txt")
    assert "stopped by hand" in done.notes
    assert len(read_back(tmp_path / "out.webm")) == done.frames == 6


def test_no_half_file_is_left_and_none_is_overwritten(tmp_path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "1.png").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="no picture"):
        track_video(open_video(str(images)), pipeline(), tmp_path / "out.webm", tmp_path / "tracks.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    (tmp_path / "tracks.txt").write_text("mine")
    video = open_video(str(video_of(tmp_path, [0, 100])))
    with pytest.raises(OutputError, match=r"tracks\.txt: exists already"):
        track_video(video, pipeline(), tmp_path / "out.webm", tmp_path / "tracks.txt")
    assert (tmp_path / "tracks.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.mp4", "--out", "out.mp4"], "missing.mp4: no such file"),
        (["clip.mkv", "--out", "out.avi"], "out.avi: a video is written as .mp4 or .webm"),
        (["clip.mkv", "--out", "taken.mp4"], "taken.mp4: exists already"),
        (["clip.mkv", "--out", "taken/out.mp4"], "taken/tracks.txt: exists already: choose another name with --tracks"),
        (["clip.mkv", "--out", "taken.mp4/out.mp4"], "taken.mp4"),
        (["clip.mkv", "--out", "out.mp4", "--model", "no-such-model"], "unknown model 'no-such-model'"),
        (["clip.mkv", "--out", "out.mp4", "--classes", "banana"], "'banana' is not one of"),
        (["clip.mkv", "--out", "out.mp4", "--set", "nonsense"], "--set 'nonsense'"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, arguments: list[str], words: str) -> None:
    video_of(tmp_path, [0, 100, 200])
    (tmp_path / "taken.mp4").write_text("mine")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "tracks.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    if "--model" not in arguments:
        arguments = [*arguments, "--model", "demo"]
    result = CliRunner().invoke(build("track"), ["track", *arguments])
    assert result.exception is not None
    message = str(result.exception)
    assert words in message
    assert "\n" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv", "taken", "taken.mp4"]


def test_the_command_says_what_it_did(tmp_path) -> None:
    path = video_of(tmp_path, [0, 100, 200])
    out = tmp_path / "new" / "out.webm"
    result = CliRunner().invoke(build("track"), ["track", str(path), "--model", "demo", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "3 frames" in result.output
    assert "times real time" in result.output
    assert len(read_back(out)) == 3
    assert (out.parent / "tracks.txt").is_file()
