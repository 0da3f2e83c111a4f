"""Videos keep their frames, and say so where they cannot be written."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from presence import present

from pose_tracking.core.errors import OutputError
from pose_tracking.visualization.video import VideoWriter


def picture(value: int, height: int = 61, width: int = 81) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = value  # red
    return image


def test_frames_colours_and_odd_sizes(tmp_path):
    video = VideoWriter(tmp_path / "v.mp4", fps=5)
    for i in range(7):
        video.write(picture(200 if i % 2 == 0 else 40))
    video.write(picture(200, 120, 160))
    video.close()
    assert video.note == ""
    reader = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 8
    assert reader.get(cv2.CAP_PROP_FPS) == 5
    ok, first = reader.read()
    assert ok
    assert first.shape == (60, 80, 3)
    np.testing.assert_allclose(first.reshape(-1, 3).mean(0), [0, 0, 200], atol=12)  # blue, green, red


def test_nothing_written_without_pictures(tmp_path):
    VideoWriter(tmp_path / "v.mp4").close()
    assert list(tmp_path.iterdir()) == []


def test_lost_frames_are_an_error(tmp_path):
    video = VideoWriter(tmp_path / "v.mp4")
    for _ in range(4):
        video.write(picture(100))
    present(video._writer).release()
    (tmp_path / "v.mp4").write_bytes((tmp_path / "v.mp4").read_bytes()[:40])  # cut, as a full disk does
    with pytest.raises(OutputError, match=r"v\.mp4: cannot be written: only 0 of 4 frames"):
        video.close()


def test_no_encoder_is_a_note(tmp_path):
    video = VideoWriter(tmp_path / "missing" / "v.mp4")  # OpenCV cannot open it, as without an encoder
    video.write(picture(1))
    video.write(picture(1))
    video.close()
    assert "No overlay video" in video.note
