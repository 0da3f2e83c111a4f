"""Appearance descriptors for the tracker, out of the features the detector already computed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..results import Instances


def descriptors(instances: Instances) -> NDArray[np.float32]:
    """One descriptor per instance: its RoIAlign features averaged over its mask, of unit length.

    The mask is resampled to the RoI grid by area, so that a cell counts as far as the object covers it and the
    background does not leak in. Where the mask covers nothing of the box, all cells count alike.

    Returns:
        (N, C) float32; a row is zero only where the features themselves are.
    """
    count, channels, grid = instances.roi_features.shape[:3]
    out = np.zeros((count, channels), np.float32)
    for i in range(count):
        weights = mask_on_grid(instances.masks[i], instances.boxes[i], grid)
        if weights.sum() < 1e-3:
            weights = np.ones_like(weights)
        out[i] = (instances.roi_features[i] * weights).sum((1, 2)) / weights.sum()
    norm = np.linalg.norm(out, axis=1, keepdims=True)
    return out / np.maximum(norm, 1e-12)


def mask_on_grid(mask: NDArray[np.bool_], box: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    """(grid, grid) share of every cell of `box` (x_min, y_min, x_max, y_max in pixels) that `mask` (H, W) covers."""
    height, width = mask.shape
    x0, y0 = (max(int(v), 0) for v in np.floor(box[:2]))
    x1, y1 = min(int(np.ceil(box[2])), width), min(int(np.ceil(box[3])), height)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((grid, grid), np.float32)
    patch = mask[y0:y1, x0:x1].astype(np.float32)
    # Area averaging needs at least one pixel a cell: small boxes are magnified first.
    factor = -(-grid // min(patch.shape))
    if factor > 1:
        patch = np.kron(patch, np.ones((factor, factor), np.float32))
    return np.asarray(cv2.resize(patch, (grid, grid), interpolation=cv2.INTER_AREA), np.float32)
