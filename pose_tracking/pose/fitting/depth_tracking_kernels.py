"""The loops over points of depth tracking."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float, Float32, Int
from pose_tracking.core.kernels import kernel


@kernel
def share_in_view(
    samples: Float, normals: Float, pose: Float, camera: Float, width: int, height: int, is_inside: bool
) -> float:
    """Share, 0 to 1, of the surface samples facing the camera that are in the picture; 0 where none face it.

    Args:
        samples, normals: (M, 3) object frame, metres and unit length.
        pose: (4, 4) ``T_camera_object``.
        camera: (4,) fx, fy, cx, cy in pixels.
        width, height: of the image, pixels.
        is_inside: whether all of the object is known to be in the picture.
    """
    eye = np.empty(3)
    for i in range(3):
        eye[i] = -(pose[0, i] * pose[0, 3] + pose[1, i] * pose[1, 3] + pose[2, i] * pose[2, 3])
    facing, inside = 0, 0
    for m in range(len(samples)):
        before = 0.0
        for i in range(3):
            before += (eye[i] - samples[m, i]) * normals[m, i]
        if before <= 0:
            continue
        if is_inside:
            return 1.0
        facing += 1
        a, b, c = samples[m, 0], samples[m, 1], samples[m, 2]
        z = pose[2, 0] * a + pose[2, 1] * b + pose[2, 2] * c + pose[2, 3]
        if z <= 0:
            continue
        u = (pose[0, 0] * a + pose[0, 1] * b + pose[0, 2] * c + pose[0, 3]) / z * camera[0] + camera[2]
        v = (pose[1, 0] * a + pose[1, 1] * b + pose[1, 2] * c + pose[1, 3]) / z * camera[1] + camera[3]
        inside += -0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5
    return inside / facing if facing else 0.0


@kernel
def measured_near(
    depth: Float32, camera: Float, rows: Int, cols: Int, behind: Float, tolerance: Float, reach: float, points: Float
) -> tuple[int, float]:
    """Measured points near a rendered surface, evenly spread over it, into the beginning of `points`.

    Args:
        depth: (H, W) metres.
        camera: (4,) fx, fy, cx, cy in pixels.
        rows, cols, behind, tolerance: (N,), see `SurfaceComparison`.
        reach: metres from it up to which points are near, the tolerance at least.
        points: (K, 3) out: camera frame, metres; all that are near, or K of them.

    Returns:
        how many there are, and which share of the N pixels is near.
    """
    near = np.empty(len(rows), np.int64)
    count = 0
    for n in range(len(rows)):
        if abs(behind[n]) < max(reach, tolerance[n]):
            near[count] = n
            count += 1
    kept = min(count, len(points))
    step = 1.0 if kept == count or kept == 1 else (count - 1) / (kept - 1)
    for k in range(kept):
        row, col = rows[near[int(np.rint(k * step))]], cols[near[int(np.rint(k * step))]]
        z = np.float64(depth[row, col])
        points[k, 0] = (col - camera[2]) * z / camera[0]
        points[k, 1] = (row - camera[3]) * z / camera[1]
        points[k, 2] = z
    return kept, count / max(len(rows), 1)


@kernel
def mean_distance(points: Float, step: int, pose: Float, other: Float) -> float:
    """Mean distance (m) between every `step`-th of (M, 3) points, object frame, at two (4, 4) poses."""
    total, count = 0.0, 0
    for p in range(0, len(points), step):
        squared = 0.0
        for i in range(3):
            moved = pose[i, 3] - other[i, 3]
            for j in range(3):
                moved += (pose[i, j] - other[i, j]) * points[p, j]
            squared += moved * moved
        total += np.sqrt(squared)
        count += 1
    return total / count if count else 0.0
