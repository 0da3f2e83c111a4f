"""Pictures without depth: their order, times and colours, and what is said of those that cannot be read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from matroska import matroska

from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets.video import open_video


def pictures(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Pictures whose red rises from one to the next."""
    images = np.zeros((count, height, width, 3), np.uint8)
    images[..., 0] = np.linspace(20, 240, count).astype(np.uint8)[:, None, None]
    return list(images)


def video_file(folder: Path, milliseconds: list[int], duration: float | None = None) -> Path:
    path = folder / "clip.mkv"
    path.write_bytes(matroska(pictures(len(milliseconds)), milliseconds, duration))
    return path


def test_a_video_of_varying_rate_has_the_stamps_of_its_container(tmp_path) -> None:
    times = [0, 33, 66, 400, 433, 900]
    video = open_video(str(video_file(tmp_path, times)))
    frames = list(video)
    assert [round(f.stamp * 1e3) for f in frames] == times
    assert video.notes == []
    red = [float(f.color[..., 0].mean()) for f in frames]
    np.testing.assert_allclose(red, np.linspace(20, 240, 6), atol=6)
    assert all(f.color[..., 2].mean() < 12 and not f.has_depth for f in frames)


def test_a_given_rate_takes_the_place_of_the_stamps(tmp_path) -> None:
    video = open_video(str(video_file(tmp_path, [0, 33, 66, 400])), rate=5)
    assert [f.stamp for f in video] == pytest.approx([0, 0.2, 0.4, 0.6])


def test_stamps_that_do_not_rise_are_made_to_and_said(tmp_path) -> None:
    frames = list(video := open_video(str(video_file(tmp_path, [0, 40, 40, 120]))))
    assert len(frames) == 4
    assert all(a.stamp_ns < b.stamp_ns for a, b in zip(frames, frames[1:], strict=False))
    assert ["not later than the one before" in note for note in video.notes] == [True]


def test_a_video_cut_off_in_mid_frame_gives_what_was_read_and_says_so(tmp_path) -> None:
    path = video_file(tmp_path, list(range(0, 2000, 100)), 2000)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.6)])
    video = open_video(str(path))
    count = len(list(video))
    assert 8 <= count <= 13
    assert [note.startswith(f"ends after {count} of 20 frames") for note in video.notes] == [True]


def test_what_follows_damage_in_the_middle_is_read(tmp_path) -> None:
    path = video_file(tmp_path, list(range(0, 2000, 100)), 2000)
    data = bytearray(path.read_bytes())
    images = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]
    for start in images[5:8]:
        data[start : start + 600] = b"\0" * 600
    path.write_bytes(data)
    for rate in (None, 10.0):
        video = open_video(str(path), rate)
        stamps = [round(frame.stamp, 3) for frame in video]
        assert stamps == pytest.approx([*np.arange(0, 0.5, 0.1), *np.arange(0.8, 2, 0.1)])
        assert video.notes == ["about 3 damaged pictures were left out"]


def test_a_video_that_begins_late_is_not_cut_off(tmp_path) -> None:
    """As `ffmpeg -copyts` and recorders of streams write them: the header's length counts from time zero."""
    video = open_video(str(video_file(tmp_path, list(range(20_000, 22_000, 100)), 22_000)))
    assert len(list(video)) == 20
    assert video.notes == []


def test_images_are_upright_of_eight_bits_and_large_enough(tmp_path) -> None:
    image = pictures(1, 48, 64)[0]
    image[:10] = (0, 0, 255)  # the upper border is blue
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    PIL.Image.fromarray(np.ascontiguousarray(np.rot90(image))).save(tmp_path / "1.jpg", quality=95, exif=turned)
    cv2.imwrite(str(tmp_path / "2.png"), image[..., ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "3.png"), np.full((48, 64), 700, np.uint16))  # as depth is
    cv2.imwrite(str(tmp_path / "4.png"), image[:8, :8])
    cv2.imwrite(str(tmp_path / "5.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGRA))
    video = open_video(str(tmp_path), rate=10)
    frames = list(video)
    assert [round(frame.stamp, 3) for frame in frames] == [0, 0.1, 0.4]
    for frame in frames:
        assert frame.color.shape == (48, 64, 3)
        assert np.abs(frame.color[:8].astype(int) - (0, 0, 255)).max() < 30
    assert video.notes == [
        f"left out: {tmp_path / '3.png'}: colour image is uint16, expected 8 bits a channel",
        "1 pictures are smaller than 16x16 and were left out",
    ]


def test_images_go_by_their_numbers_and_a_damaged_one_is_left_out(tmp_path) -> None:
    for number, image in zip((1, 2, 10), pictures(3), strict=True):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), image[..., ::-1])
    (tmp_path / "frame3.png").write_bytes(b"\x89PNG nothing")
    (tmp_path / "notes.txt").write_text("no image")
    video = open_video(str(tmp_path), rate=10)
    frames = list(video)
    assert video.total == 4
    assert [f.stamp for f in frames] == pytest.approx([0, 0.1, 0.3])
    assert [int(f.color[0, 0, 0]) for f in frames] == [20, 130, 240]
    assert len(video.notes) == 1
    assert "frame3.png" in video.notes[0]


@contextmanager
def server(images: list[np.ndarray]) -> Iterator[str]:
    """A camera in the network: sends each picture and hangs up. Gives its URL."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            for image in images:
                data = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/camera"
    finally:
        http.shutdown()
        http.server_close()


def test_a_stream_gives_its_newest_pictures_until_it_ends() -> None:
    with server(pictures(60)) as url:
        video = open_video(url)
        frames = list(video)
        video.close()
    assert video.is_live
    assert 1 <= len(frames) <= 60
    assert all(a.stamp_ns < b.stamp_ns for a, b in zip(frames, frames[1:], strict=False))
    assert video.notes[0] == "the stream has ended"


def test_a_stream_has_its_own_pace() -> None:
    with server(pictures(60)) as url, pytest.raises(DatasetError, match="at their own pace: leave the rate of 5 Hz"):
        open_video(url, rate=5)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("clip.mp4", b"", "cannot be read as a video"),
        ("clip.mp4", b"this is no video" * 100, "cannot be read as a video"),
        ("missing.mp4", None, "no such file or folder"),
    ],
)
def test_a_file_that_is_no_video_is_named(tmp_path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=words) as caught:
        list(open_video(str(tmp_path / name)))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_without_images_and_devices_that_are_not_there_are_named(tmp_path) -> None:
    with pytest.raises(DatasetError, match="has no images"):
        open_video(str(tmp_path))
    (tmp_path / "rgb").mkdir()
    cv2.imwrite(str(tmp_path / "rgb/000000.png"), pictures(1)[0])
    with pytest.raises(DatasetError, match="rgb has some"):
        open_video(str(tmp_path))
    with pytest.raises(DatasetError, match="97: cannot be opened: no such camera"):
        open_video("97")
    with pytest.raises(DatasetError, match="nothing answers there"):
        open_video("rtsp://127.0.0.1:9/stream")


def test_a_folder_of_nothing_but_damaged_images_has_no_picture(tmp_path) -> None:
    (tmp_path / "1.png").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"no picture that can be read; left out: .*1\.png"):
        list(open_video(str(tmp_path)))
