"""The mask of what is seen of a posed object."""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool

from .surface_comparison import SurfaceComparison

_CLOSED = 7  # pixels, odd: gaps up to so wide between what is seen are holes in it


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
        mask |= compared.painted(blind & closed[compared.rows - top, compared.cols - left], shape)
    return mask
