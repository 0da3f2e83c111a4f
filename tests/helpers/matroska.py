"""A minimal Matroska writer (RFC 9559), so that tests have videos of any time stamps: each frame a JPEG."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import cv2
import numpy as np


def matroska(images: Sequence[np.ndarray], milliseconds: Sequence[int], duration: float | None = None) -> bytes:
    """A video of (H, W, 3) RGB images at given times.

    Args:
        images: of one size.
        milliseconds: time of each, rising.
        duration: milliseconds that the header states; None: the last time.
    """
    height, width = images[0].shape[:2]
    header = _element(
        0x1A45DFA3,
        _number(0x4286, 1)
        + _number(0x42F7, 1)
        + _number(0x42F2, 4)
        + _number(0x42F3, 8)
        + _element(0x4282, b"matroska")
        + _number(0x4287, 4)
        + _number(0x4285, 2),
    )
    stated = float(milliseconds[-1] if duration is None else duration)
    info = _element(0x1549A966, _number(0x2AD7B1, 1_000_000) + _element(0x4489, struct.pack(">d", stated)))
    picture = _element(0xE0, _number(0xB0, width) + _number(0xBA, height))
    track = _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 1) + _element(0x86, b"V_MJPEG") + picture
    tracks = _element(0x1654AE6B, _element(0xAE, track))
    clusters = b""
    for image, time in zip(images, milliseconds, strict=True):
        done, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])
        assert done
        block = b"\x81" + struct.pack(">hB", 0, 0x80) + data.tobytes()
        clusters += _element(0x1F43B675, _number(0xE7, time) + _element(0xA3, block))
    return header + _element(0x18538067, info + tracks + clusters)


def _element(identity: int, content: bytes) -> bytes:
    name = identity.to_bytes((identity.bit_length() + 7) // 8, "big")
    return name + (len(content) | 1 << 56).to_bytes(8, "big") + content


def _number(identity: int, value: int) -> bytes:
    return _element(identity, value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big"))
