"""Pictures that anyone may send, and the crops cut from frames."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.core.errors import FrameError
from pose_tracking.gallery.crops import CropPool, as_crop, cut_out, difference, encode
from pose_tracking.gallery.pictures import MAX_BYTES, decode_crop, decode_picture, picture_size, read_picture

RNG = np.random.default_rng(2)


def picture(width: int = 40, height: int = 30, channels: int = 3, kind: str = ".png") -> bytes:
    pixels = RNG.integers(0, 255, (height, width, channels), np.uint8)
    return cv2.imencode(kind, pixels)[1].tobytes()


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_are_read_with_an_alpha_channel(kind: str, channels: int) -> None:
    data = picture(41, 30, 3 if kind == ".jpg" and channels == 4 else channels, kind)
    assert picture_size(data) == (41, 30)
    pixels = decode_picture(data)
    assert (pixels.shape, pixels.dtype) == ((30, 41, 4), np.uint8)


def test_lossless_webp_states_its_size() -> None:
    pixels = RNG.integers(0, 255, (33, 77, 3), np.uint8)
    data = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    assert picture_size(data) == (77, 33)


def test_a_decompression_bomb_is_not_unpacked() -> None:
    """50,000 x 50,000 pixels in a few kilobytes: 7.5 GB once unpacked."""
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 10_000_000, 9)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    with pytest.raises(FrameError, match="50000x50000 pixels, more than 40 million: scale it down"):
        decode_picture(bomb, "bomb.png")


def test_a_picture_of_200_mb_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.write(picture())
        file.truncate(200_000_000)
    with pytest.raises(FrameError, match=f"more than {MAX_BYTES // 10**6} MB"):
        read_picture(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no PNG, JPEG or WebP"),
        (b"<svg onload=alert(1)>", "no PNG, JPEG or WebP"),
        (b"GIF89a" + bytes(100), "no PNG, JPEG or WebP"),
        (picture()[:60], "truncated"),
        (picture(kind=".jpg")[:-40], "truncated"),
        (picture(4, 4), "is 4x4, smaller than 8"),
        (b"\xff\xd8\xff", "no PNG, JPEG or WebP"),
        (b"RIFF\0\0\0\0WEBPVP8X", "0 pixels|no PNG|smaller"),
    ],
)
def test_what_is_no_picture(data: bytes, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        decode_picture(data, "sent.png")


def test_missing_pictures(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(FrameError, match="no such picture"):
            read_picture(path)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF1234WEBPVP8L"]))
def test_any_bytes_are_a_picture_or_one_clear_line(data: bytes, start: bytes) -> None:
    with pytest.raises(FrameError):
        decode_picture(start + data)


def test_a_crop_shows_the_thing_and_nothing_around_it() -> None:
    color = np.full((60, 80, 3), 200, np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[10:40, 20:50] = True
    color[mask] = (250, 10, 10)
    mask[10:20, 20:30] = False
    candidate = cut_out(color, mask, 5, None)
    assert candidate is not None
    np.testing.assert_array_equal(candidate.box, [20, 10, 50, 40])
    assert candidate.area == 800
    pixels = decode_crop(as_crop(candidate).image)
    assert pixels.shape == (30, 30, 4)
    np.testing.assert_array_equal(pixels[..., 3] > 127, mask[10:40, 20:50])
    np.testing.assert_allclose(pixels[15:, 15:, :3].reshape(-1, 3), [[250, 10, 10]] * 225, atol=16)
    assert cut_out(color, np.zeros_like(mask), 5, None) is None


def test_a_large_crop_is_made_smaller() -> None:
    color = RNG.integers(0, 255, (900, 1200, 3), np.uint8)
    candidate = cut_out(color, np.ones((900, 1200), bool), 0, None)
    assert candidate is not None
    assert candidate.pixels.shape == (384, 512, 4)
    assert len(encode(candidate.pixels)) > 1000


def test_the_pool_keeps_unlike_views_and_of_each_the_best() -> None:
    """Ten crops from the front, sharper and sharper, two from behind: one of each kind is left."""
    mask, pool = np.ones((20, 20), bool), CropPool(6)
    texture = RNG.integers(0, 255, (20, 20, 3)).astype(float)
    half_turn = np.diag([-1.0, 1.0, -1.0])
    for k in range(10):
        front = cut_out((texture * (k + 1) / 10).astype(np.uint8), mask, k, np.eye(3))
        assert front is not None
        pool.add(front)
    for k in (10, 11):
        behind = cut_out((texture * 0.2).astype(np.uint8), mask, k, half_turn)
        assert behind is not None
        pool.add(behind)
    best = pool.best(2)
    assert [c.stamp_ns for c in best][0] == 9
    assert best[1].stamp_ns in (10, 11)
    assert difference(best[0], best[1]) == pytest.approx(1.0)
    assert len(pool) == 6
