"""Box and mask of what is seen of a posed object, from few rays."""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float

from .surface_comparison import SurfaceComparison

_CLOSED = 7  # pixels, odd: gaps up to so wide between what is seen are holes in it


def exact_box(every: SurfaceComparison, coarse: SurfaceComparison) -> Float:
    """The box of what agrees, to the pixel, where few rays say roughly what does (something must).

    Args:
        every: the comparison on every pixel.
        coarse: some of its rays. Single pixels farther outside of what they have are no part of it.
    """
    box = coarse.box()
    if coarse.step == 1:
        return box
    x0, y0, x1, y1 = box + np.array([-1, -1, 1, 1]) * (coarse.step - 1)
    rows, cols = every.rows[every.agrees], every.cols[every.agrees]
    near = (rows >= y0) & (rows < y1) & (cols >= x0) & (cols < x1)
    rows, cols = rows[near], cols[near]
    low = np.minimum(box[:2], [cols.min(), rows.min()])
    return np.concatenate([low, np.maximum(box[2:], [cols.max() + 1, rows.max() + 1])])


def visible_mask(compared: SurfaceComparison, shape: tuple[int, int]) -> Bool:
    """(H, W) mask of what agrees, and of the holes in the depth inside of it."""
    mask = compared.painted(compared.agrees, shape)
    blind = compared.blind
    if blind.any():
        x0, y0, x1, y1 = compared.region
        margin = _CLOSED + compared.step  # what is farther outside changes nothing inside
        top, left = max(y0 - margin, 0), max(x0 - margin, 0)
        part = mask[top : y1 + margin, left : x1 + margin].astype(np.uint8)
        closed = cv2.morphologyEx(part, cv2.MORPH_CLOSE, np.ones((_CLOSED, _CLOSED), np.uint8)) > 0
        compared.paint(blind & closed[compared.rows - top, compared.cols - left], mask)
    return mask
