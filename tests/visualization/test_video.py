"""Videos keep their frames, and say so where they cannot be written."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from presence import present

from pose_tracking.core.errors import OutputError
from pose_tracking.visualization import video as videos
from pose_tracking.visualization.video import ENCODERS, VideoWriter


def picture(value: int, height: int = 61, width: int = 81) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = value  # red
    return image


@pytest.mark.parametrize("encoders", [ENCODERS, ENCODERS[1:], (("none", ".webm"), *ENCODERS[1:])])
def test_frames_colours_and_odd_sizes(tmp_path, monkeypatch, encoders):
    monkeypatch.setattr(videos, "ENCODERS", encoders)
    video = VideoWriter(tmp_path / "v", fps=5)
    for i in range(7):
        video.write(picture(200 if i % 2 == 0 else 40))
    video.write(picture(200, 120, 160))
    video.close()
    assert video.note == ""
    assert [video.path] == list(tmp_path.iterdir())
    assert video.path.name == ("v.webm" if encoders == ENCODERS else "v.mp4")
    reader = cv2.VideoCapture(str(video.path))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 8
    assert reader.get(cv2.CAP_PROP_FPS) == 5
    ok, first = reader.read()
    assert ok
    assert first.shape == (60, 80, 3)
    np.testing.assert_allclose(first.reshape(-1, 3).mean(0), [0, 0, 200], atol=12)  # blue, green, red


def test_nothing_written_without_pictures(tmp_path):
    VideoWriter(tmp_path / "v").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("encoders", "ending"), [(ENCODERS, "webm"), (ENCODERS[1:], "mp4")])
@pytest.mark.parametrize("share", [0.02, 0.6, 0.97])
def test_lost_frames_are_an_error(tmp_path, monkeypatch, encoders, ending, share):
    monkeypatch.setattr(videos, "ENCODERS", encoders)
    video = VideoWriter(tmp_path / "v")
    rng = np.random.default_rng(0)
    for _ in range(20):
        video.write(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    present(video._writer).release()
    whole = video.path.read_bytes()
    video.path.write_bytes(whole[: int(share * len(whole))])  # cut, as a full disk does
    with pytest.raises(OutputError, match=rf"v\.{ending}: cannot be written: only 1?\d of 20 frames"):
        video.close()


def test_no_encoder_is_a_note(tmp_path):
    video = VideoWriter(tmp_path / "missing" / "v")  # OpenCV cannot open it, as without an encoder
    video.write(picture(1))
    video.write(picture(1))
    video.close()
    assert "No overlay video" in video.note
