"""Reading a picture that anyone may have sent: its size is known before it is decoded."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.errors import FrameError
from pose_tracking.core.images import decode_file

MAX_BYTES = 20_000_000
MAX_PIXELS = 40_000_000  # a telephone's 24 or 48 MP picture is scaled down by most senders; 160 MB once decoded
MIN_SIDE = 8


def read_picture(path: str | Path) -> UInt8:
    """(H, W, 4) RGBA of a PNG, JPEG or WebP file.

    Raises:
        FrameError: see `decode_picture`; `reason` ``missing_image`` where it cannot be read.
    """
    path = Path(path).expanduser()
    try:
        if not path.is_file():
            raise FrameError(f"{path}: no such picture", "missing_image")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FrameError(f"{path}: cannot be read ({error.strerror})", "missing_image") from error
    return decode_picture(data, str(path))


def decode_picture(data: bytes, what: str = "picture") -> UInt8:
    """(H, W, 4) RGBA of a PNG, JPEG or WebP file in memory; alpha is 255 where the file has none.

    Raises:
        FrameError: it is none of these, too large in bytes or pixels, too small, or damaged; `reason` is
            ``image_size``, ``color_encoding``, ``empty_image`` or ``truncated_image``.
    """
    if len(data) > MAX_BYTES:
        raise FrameError(f"{what}: has more than {MAX_BYTES // 10**6} MB: send a smaller picture", "image_size")
    size = picture_size(data)
    if size is None:
        raise FrameError(f"{what}: is no PNG, JPEG or WebP picture", "truncated_image")
    width, height = size
    if width * height > MAX_PIXELS:
        raise FrameError(
            f"{what}: is {width}x{height} pixels, more than {MAX_PIXELS // 10**6} million: scale it down", "image_size"
        )
    if min(width, height) < MIN_SIDE:
        raise FrameError(f"{what}: is {width}x{height}, smaller than {MIN_SIDE} pixels: nothing shows", "image_size")
    return _as_rgba(decode_file(data, what), what)


def decode_crop(data: bytes) -> UInt8:
    """(h, w, 4) RGBA of a picture that this program has encoded."""
    return _as_rgba(decode_file(data, "crop"), "crop")


def _as_rgba(pixels: NDArray[Any], what: str) -> UInt8:
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise FrameError(f"{what}: has {pixels.dtype} pixels; 8 bits a channel are read", "color_encoding")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, 2)
    if pixels.shape[2] == 2:
        pixels = np.dstack([np.repeat(pixels[..., :1], 3, 2), pixels[..., 1:]])
    if pixels.shape[2] == 3:
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    return np.ascontiguousarray(pixels)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) that a picture's header states; None where it is no PNG, JPEG or WebP."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            return struct.unpack(">II", data[16:24])
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
    except (struct.error, IndexError):
        return None
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position < len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # filling
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        if marker == 0xD9 or marker == 0xDA:
            return None
        alone = marker == 0x01 or 0xD0 <= marker <= 0xD8
        position += 2 if alone else 2 + struct.unpack(">H", data[position + 2 : position + 4])[0]
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None
