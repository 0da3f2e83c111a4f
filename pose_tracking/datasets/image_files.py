"""Colour, depth and mask images of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float32, UInt8
from pose_tracking.core.errors import DatasetError, FrameError
from pose_tracking.core.images import read_image


def load_image(path: Path, upright: bool = False) -> NDArray[Any]:
    """Pixels of the file at `path`, colour as RGB; see `images.read_image` and `images.decode_file`.

    Raises:
        DatasetError: missing, truncated or not an image.
    """
    try:
        return read_image(path, upright)
    except FrameError as error:
        raise DatasetError(str(error)) from error


def read_color(path: Path, upright: bool = False) -> UInt8:
    """(H, W, 3) uint8 RGB from a colour or grey image file; see `images.decode_file`.

    Raises:
        DatasetError: it cannot be read, or is grey of 16 bits, as depth is.
    """
    color = load_image(path, upright)
    if color.ndim == 3 and color.dtype == np.uint16:
        color = (color >> 8).astype(np.uint8)
    if color.ndim == 2:
        color = np.repeat(color[:, :, None], 3, axis=2)
    if color.dtype != np.uint8:
        raise DatasetError(f"{path}: colour image is {color.dtype}, expected 8 bits a channel")
    return np.ascontiguousarray(color[:, :, :3])


def read_depth(path: Path, scale_mm: float) -> Float32:
    """(H, W) float32 metres from a single-channel image file whose values times `scale_mm` are millimetres."""
    depth = load_image(path)
    if depth.ndim != 2:
        raise DatasetError(f"{path}: depth image has {depth.shape[2]} channels, expected one")
    return (depth * (scale_mm * 1e-3)).astype(np.float32)


def read_mask(path: Path) -> Bool:
    """(H, W) where an image file, grey or colour, is not black."""
    pixels = load_image(path)
    return np.asarray(pixels if pixels.ndim == 2 else pixels.max(2)) > 0
