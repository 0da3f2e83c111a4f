"""The loop over pairs of points that the rotation search needs beside its matrix products."""

from __future__ import annotations

from pose_tracking.core.arrays import Float32, Int
from pose_tracking.core.kernels import kernel


@kernel
def index_of(least: Float32, values: Float32, index: Int) -> None:
    """Where in each row of (N, P) values its least one (N,) is found first, into `index` (N,); 0 where it is NaN.

    The least ones are found for many values at once: this is several times faster than looking for both in one go.
    """
    for row in range(len(values)):
        index[row] = 0
        for col in range(values.shape[1]):
            if values[row, col] == least[row]:
                index[row] = col
                break
