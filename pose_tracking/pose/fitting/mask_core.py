"""The pixels of a mask that are surely the instance's: not those of its rim, and only those with depth."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Bool, Float32, UInt8
from pose_tracking.core.kernels import kernel

RIM = 3  # pixels by which predicted masks are too large at most
_LEAST_LEFT = 0.3  # share of a mask that must be left within its rim


def core_of(mask: Bool, depth: Float32, corner: tuple[int, int]) -> tuple[Bool, int]:
    """(h, w) bool core of a mask, and its number of pixels: eroded by up to `RIM` pixels if enough is left, with depth.

    Args:
        mask: (h, w) of a part of the image.
        depth: (H, W) metres.
        corner: row and column of the image at which the mask begins.
    """
    core = np.zeros(mask.shape, bool)
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return core, 0
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    away = np.empty((bottom - top, right - left), np.uint8)
    inside = mask[top:bottom, left:right]
    is_cut = top == 0, bottom == mask.shape[0], left == 0, right == mask.shape[1]
    count = _fill_core(
        np.ascontiguousarray(inside), *is_cut, np.ascontiguousarray(depth, np.float32), corner[0] + top,
        corner[1] + left, away, core[top:bottom, left:right],
    )  # fmt: skip
    return core, count


@kernel
def _fill_core(
    inside: Bool, at_top: bool, at_bottom: bool, at_left: bool, at_right: bool, depth: Float32, top: int, left: int,
    away: UInt8, core: Bool,
) -> int:  # fmt: skip
    """Fill in the core of a mask and return its number of pixels.

    Args:
        inside: (h, w) the box around the mask.
        at_top, at_bottom, at_left, at_right: where the mask is cut off by this side of the box, which is no rim of it.
        depth: (H, W) metres.
        top, left: row and column of the image at which the box begins.
        away: (h, w) out: pixels from what is outside, along the axis along which they are more, up to `RIM` + 1.
        core: (h, w) out, given empty.
    """
    height, width = inside.shape
    most = RIM + 1
    # Two passes, each from one corner (Rosenfeld and Pfaltz 1966): exact for this distance.
    for row in range(height):
        for col in range(width):
            nearest = most
            if row > 0:
                nearest = min(nearest, away[row - 1, col] + 1)
                if col > 0:
                    nearest = min(nearest, away[row - 1, col - 1] + 1)
                if col + 1 < width:
                    nearest = min(nearest, away[row - 1, col + 1] + 1)
            elif not at_top:
                nearest = 1
            if col > 0:
                nearest = min(nearest, away[row, col - 1] + 1)
            elif not at_left:
                nearest = 1
            if col + 1 == width and not at_right:
                nearest = 1
            away[row, col] = nearest if inside[row, col] else 0
    counts = np.zeros(RIM + 2, np.int64)
    for row in range(height - 1, -1, -1):
        for col in range(width - 1, -1, -1):
            nearest = away[row, col]
            if row + 1 < height:
                nearest = min(nearest, away[row + 1, col] + 1)
                if col > 0:
                    nearest = min(nearest, away[row + 1, col - 1] + 1)
                if col + 1 < width:
                    nearest = min(nearest, away[row + 1, col + 1] + 1)
            elif not at_bottom:
                nearest = min(nearest, 1)
            if col + 1 < width:
                nearest = min(nearest, away[row, col + 1] + 1)
            away[row, col] = nearest
            counts[nearest] += 1
    area = height * width - counts[0]
    rim, left_over = RIM, counts[RIM + 1]
    while rim > 0 and left_over < _LEAST_LEFT * area:
        left_over += counts[rim]
        rim -= 1
    count = 0
    for row in range(height):
        for col in range(width):
            if away[row, col] > rim:
                z = depth[top + row, left + col]
                core[row, col] = z > 0 and z < np.inf
                count += core[row, col]
    return count
