"""Loops over the pixels of an instance for its measured points (`icp.object_points`)."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32
from pose_tracking.core.kernels import kernel


@kernel
def points_near_median(depth: Float32, mask: Bool, fx: float, fy: float, cx: float, cy: float, reach: float) -> Float:
    """Points of the pixels of a mask that have depth and lie within `reach` (m) of their median, row by row.

    Args:
        depth: (H, W) metres; readings are finite and above 0.
        mask: (H, W).
        fx, fy, cx, cy: of the camera, pixels.
        reach: metres.

    Returns:
        (P, 3) metres, camera frame.
    """
    height, width = mask.shape
    in_row, most = np.empty(height, np.int64), 0
    for row in range(height):
        count = 0
        for col in range(width):  # without a branch, and so many pixels at once
            count += mask[row, col]
        in_row[row] = count
        most += count
    points = np.empty((3, most))
    found = 0
    for row in range(height):
        if in_row[row] == 0:
            continue
        for col in range(width):
            z = np.float64(depth[row, col])
            if mask[row, col] and z > 0 and z < np.inf:
                points[0, found], points[1, found], points[2, found] = (col - cx) * z / fx, (row - cy) * z / fy, z
                found += 1
    if found == 0:
        return np.empty((0, 3))
    x, y, z = np.median(points[0, :found]), np.median(points[1, :found]), np.median(points[2, :found])
    near = np.empty((found, 3))
    kept = 0
    for i in range(found):
        away_x, away_y, away_z = points[0, i] - x, points[1, i] - y, points[2, i] - z
        if np.sqrt(away_x * away_x + away_y * away_y + away_z * away_z) < reach:
            near[kept, 0], near[kept, 1], near[kept, 2] = points[0, i], points[1, i], points[2, i]
            kept += 1
    return near[:kept]
