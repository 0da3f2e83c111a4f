"""The plane that most of a depth image lies on. A plane is (n, d) with n.x + d = 0."""

from __future__ import annotations

import numpy as np

from .arrays import Float, Float32, valid_depth
from .camera import CameraIntrinsics

_STEP = 6  # pixels from one that is looked at to the next, along rows and columns


def find_plane(depth: Float32, intrinsics: CameraIntrinsics, seed: int = 0) -> Float | None:
    """(4,) plane (n, d) with the most points of a depth image (RANSAC), or None where none holds a tenth of them."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: depth.shape[0] : _STEP, : depth.shape[1] : _STEP].reshape(2, -1)
    known = valid_depth(depth[rows, cols])
    rows, cols = rows[known], cols[known]
    points = intrinsics.backproject_pixels(rows, cols, depth[rows, cols].astype(np.float64))
    if len(points) < 50:
        return None
    best, best_count = None, 0
    for _ in range(80):
        a, b, c = points[rng.choice(len(points), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        norm = np.linalg.norm(normal)
        if norm < 1e-6:
            continue
        normal = normal / norm
        count = int(np.count_nonzero(np.abs(points @ normal - a @ normal) < 0.008))
        if count > best_count:
            best, best_count = np.append(normal, -normal @ a), count
    if best is None or best_count < 0.1 * len(points):
        return None
    near = points[np.abs(points @ best[:3] + best[3]) < 0.01]
    centre = near.mean(0)
    normal = np.linalg.svd(near - centre, full_matrices=False)[2][2]
    normal = normal if normal @ centre < 0 else -normal  # towards the camera
    return np.append(normal, -normal @ centre).astype(np.float64)
