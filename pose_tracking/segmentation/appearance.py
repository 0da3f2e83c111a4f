"""Appearance descriptors for the tracker, out of the features the detector already computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float32
from pose_tracking.core.results import Instances

if TYPE_CHECKING:
    from .embedding import AppearanceEmbedding


def descriptors(instances: Instances, embedding: AppearanceEmbedding | None = None) -> Float32:
    """One descriptor per instance, of unit length.

    Without `embedding` it is the RoIAlign features averaged over the mask. Either way a cell of the RoI grid counts
    as far as the object covers it, so that the background does not leak in; where the mask covers nothing of the
    box, all cells count alike.

    Returns:
        (N, D) float32; without an embedding D is the number of channels, and a row is zero where the features are.
    """
    weights = grid_masks(instances)
    if embedding is not None:
        return embedding.embed(instances.roi_features, weights)
    return pooled(instances.roi_features, weights)


def pooled(features: Float32, masks: Float32) -> Float32:
    """(N, C) unit-length means of (N, C, S, S) features, weighted by (N, S, S) masks; empty masks count as full."""
    weights = np.where(masks.sum((1, 2), keepdims=True) < 1e-3, np.float32(1), masks)
    out = np.einsum("nchw,nhw->nc", features, weights)
    out /= weights.sum((1, 2))[:, None]
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12), np.float32)


def grid_masks(instances: Instances) -> Float32:
    """(N, S, S) share of every cell of the instances' RoI grids that their masks cover."""
    grid = instances.roi_features.shape[2]
    found = [mask_on_grid(mask, box, grid) for mask, box in zip(instances.masks, instances.boxes, strict=True)]
    return np.stack(found) if found else np.zeros((0, grid, grid), np.float32)


def mask_on_grid(mask: Bool, box: Float32, grid: int) -> Float32:
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
