"""The plane that most of a depth image lies on. A plane is (n, d) with n.x + d = 0."""

from __future__ import annotations

import numpy as np

from .arrays import Float, Float32, Int, valid_depth
from .camera import CameraIntrinsics
from .kernels import kernel

_STEP = 6  # pixels from one that is looked at to the next, along rows and columns
_TRIED, _HELD = 80, 0.008  # planes that are tried, and metres within which they hold a point


def find_plane(depth: Float32, intrinsics: CameraIntrinsics, seed: int = 0) -> Float | None:
    """(4,) plane (n, d) with the most points of a depth image (RANSAC), or None where none holds a tenth of them."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: depth.shape[0] : _STEP, : depth.shape[1] : _STEP].reshape(2, -1)
    known = valid_depth(depth[rows, cols])
    rows, cols = rows[known], cols[known]
    points = intrinsics.backproject_pixels(rows, cols, depth[rows, cols].astype(np.float64))
    if len(points) < 50:
        return None
    # Three points each, as many planes as are tried.
    triples = np.array([rng.choice(len(points), 3, replace=False) for _ in range(_TRIED)])
    best = np.empty(4)
    if _most_held(np.ascontiguousarray(points.T), triples, _HELD, best) < max(1, 0.1 * len(points)):
        return None
    near = points[np.abs(points @ best[:3] + best[3]) < 0.01]
    centre = near.mean(0)
    normal = np.linalg.svd(near - centre, full_matrices=False)[2][2]
    normal = normal if normal @ centre < 0 else -normal  # towards the camera
    return np.append(normal, -normal @ centre).astype(np.float64)


@kernel
def _most_held(points: Float, triples: Int, near: float, plane: Float) -> int:
    """The plane (n, d) through three of (3, N) points that most of them are `near` (m) to, into `plane`; how many are.

    `triples` (K, 3) are numbers of points.
    """
    most = 0
    xs, ys, zs = points[0], points[1], points[2]
    for k in range(len(triples)):
        i, j, m = triples[k, 0], triples[k, 1], triples[k, 2]
        ux, uy, uz = xs[j] - xs[i], ys[j] - ys[i], zs[j] - zs[i]
        vx, vy, vz = xs[m] - xs[i], ys[m] - ys[i], zs[m] - zs[i]
        a, b, c = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = np.sqrt(a * a + b * b + c * c)
        if length < 1e-6:
            continue
        a, b, c = a / length, b / length, c / length
        at = a * xs[i] + b * ys[i] + c * zs[i]
        count = 0
        for p in range(len(xs)):
            count += abs(a * xs[p] + b * ys[p] + c * zs[p] - at) < near
        if count > most:
            most = count
            plane[0], plane[1], plane[2], plane[3] = a, b, c, -at
    return most
