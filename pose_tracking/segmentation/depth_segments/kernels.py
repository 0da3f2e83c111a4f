"""The loops of planes and proposals, over every pixel or point."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float, Float32
from pose_tracking.core.kernels import kernel


@kernel
def areas_on_planes(
    points: Float,
    normals: Float,
    areas: Float,
    tolerance: Float,
    directions: Float,
    offsets: Float,
    alike: float,
    out: Float,
) -> None:
    """How much of the area of P points lies on each of K planes, into `out` (K,).

    Args:
        points, normals: (P, 3) metres, and unit vectors.
        areas: (P,) square metres.
        tolerance: (P,) metres from a plane within which a point is its own.
        directions, offsets: (K, 3) and (K,) of the planes, see `planes.Plane`.
        alike: cosine between the normals of a plane and of a point on it.
    """
    for k in range(len(directions)):
        x, y, z, offset, total = directions[k, 0], directions[k, 1], directions[k, 2], offsets[k], 0.0
        for p in range(len(points)):
            apart = points[p, 0] * x + points[p, 1] * y + points[p, 2] * z + offset
            cosine = normals[p, 0] * x + normals[p, 1] * y + normals[p, 2] * z
            if abs(apart) < tolerance[p] and cosine > alike:
                total += areas[p]
        out[k] = total


@kernel
def measure_creases(points: Float32, normals: Float32, reach: int, out: Float32) -> None:
    """Sine of the angle by which a surface bends inwards at each pixel, the larger of along rows and columns.

    Args:
        points, normals: (H, W, 3) metres, and unit normals, 0 where unknown.
        reach: pixels to either side over which it is looked for.
        out: (H, W), 0 where it does not bend, or nothing is known.
    """
    height, width = out.shape
    for row in range(height):
        for col in range(width):
            most = 0.0
            for axis in range(2):
                down, right = reach * (axis == 0), reach * (axis == 1)
                r0, c0, r1, c1 = row - down, col - right, row + down, col + right
                if r0 < 0 or c0 < 0 or r1 >= height or c1 >= width:
                    continue
                squared, bend, first, last = 0.0, 0.0, 0.0, 0.0
                for i in range(3):
                    across = np.float64(points[r1, c1, i]) - points[r0, c0, i]
                    n0, n1 = np.float64(normals[r0, c0, i]), np.float64(normals[r1, c1, i])
                    squared += across * across
                    bend -= across * (n1 - n0)
                    first += n0 * n0
                    last += n1 * n1
                if first > 0.5 and last > 0.5 and squared > 1e-12:
                    most = max(most, bend / np.sqrt(squared))
            out[row, col] = most
