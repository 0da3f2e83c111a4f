"""The loop over pairs of points of a pose's covariance."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.kernels import kernel


@kernel
def sum_of_neighbours(x: Float, y: Float, values: Float, distance: float) -> float:
    """Sum of the products of the values of all ordered pairs of points nearer than `distance`, each with itself too.

    Args:
        x, y: (P,) where the points lie.
        values: (P,).
        distance: in the unit of `x` and `y`.
    """
    around = np.zeros(len(values))
    most = distance * distance
    for i in range(len(values)):
        # One sum a point rather than one in all: the processor adds eight at a time.
        for j in range(len(values)):
            across, down = x[i] - x[j], y[i] - y[j]
            around[j] += values[i] if across * across + down * down < most else 0.0
    total = 0.0
    for i in range(len(values)):
        total += around[i] * values[i]
    return total
