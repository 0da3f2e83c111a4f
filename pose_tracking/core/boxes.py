"""Axis-aligned boxes in an image: (x_min, y_min, x_max, y_max) in pixels, upper limits exclusive."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Bool, Float, Int


def box_iou(a: ArrayLike, b: ArrayLike) -> Float:
    """(N, M) intersection over union of (N, 4) and (M, 4) boxes; a single (4,) box counts as one row.

    Boxes without area overlap nothing: their rows are 0.
    """
    a, b = np.asarray(a, float).reshape(-1, 1, 4), np.asarray(b, float).reshape(1, -1, 4)
    overlap = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(-1)
    area_a, area_b = (np.clip(x[..., 2:] - x[..., :2], 0, None).prod(-1) for x in (a, b))
    union = area_a + area_b - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def mask_box(mask: Bool) -> Int | None:
    """(4,) tight box around the true pixels of a (H, W) mask, ready for slicing; None for an empty mask."""
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.int64)
