"""A seeded crowd of moving boxes with features, misses, clutter and occlusions, for the tracker's tests."""

from __future__ import annotations

import numpy as np

from pose_tracking.objects import ObjectModel, ObjectSet


def one_object(*obj_ids: int) -> ObjectSet:
    """An object set of asymmetric 10 cm objects without meshes."""
    size = np.full(3, 0.1)
    return ObjectSet({i: ObjectModel(i, f"thing{i}", 0.17, -size / 2, size, np.eye(4)[None]) for i in obj_ids or (1,)})


def scenario(seed: int, things: int = 8, frames: int = 80) -> list[tuple[np.ndarray, np.ndarray]]:
    """(boxes (N, 4), features (N, 16)) of each frame; feature clusters overlap enough to be confused."""
    rng = np.random.default_rng(seed)
    center = rng.uniform([50, 50], [590, 430], (things, 2))
    velocity = rng.normal(0, 3.0, (things, 2))
    height = rng.uniform(40, 120, things)
    aspect = rng.uniform(0.4, 1.2, things)
    identity = rng.normal(size=(things, 16)) + 2.0
    out = []
    hidden = np.zeros(things, int)
    for _ in range(frames):
        center = center + velocity + rng.normal(0, 0.5, center.shape)
        velocity = np.where((center < 0) | (center > [640, 480]), -velocity, velocity)
        hidden = np.where(hidden > 0, hidden - 1, np.where(rng.random(things) < 0.02, rng.integers(1, 45, things), 0))
        seen = (hidden == 0) & (rng.random(things) > 0.05)
        xy = center[seen] + rng.normal(0, 1.5, (int(seen.sum()), 2))
        h = height[seen] * rng.normal(1, 0.02, int(seen.sum()))
        w = aspect[seen] * h
        boxes = np.stack([xy[:, 0] - w / 2, xy[:, 1] - h / 2, xy[:, 0] + w / 2, xy[:, 1] + h / 2], 1)
        features = identity[seen] + rng.normal(0, 1.0, (len(boxes), 16))
        clutter = rng.poisson(0.3)
        corner = rng.uniform(0, 400, (clutter, 2))
        boxes = np.concatenate([boxes, np.concatenate([corner, corner + rng.uniform(30, 90, (clutter, 2))], 1)])
        features = np.concatenate([features, rng.normal(2.0, 1.5, (clutter, 16))])
        order = rng.permutation(len(boxes))
        out.append((boxes[order], features[order].astype(np.float32)))
    return out
