"""The arithmetic of the box filters of many tracks at once; see `box_filter` for state, measurement and noise."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.kernels import kernel

from .filter_kernels import move_on

# Standard deviations of position and velocity per pixel of height.
POSITION, VELOCITY = 1.0 / 20, 1.0 / 160
# Those of the aspect ratio, its change, and of a measured one.
ASPECT, ASPECT_VELOCITY, MEASURED_ASPECT = 1e-2, 1e-5, 1e-1


@kernel
def move_boxes(means: Float, covariances: Float, steps: float, moved: Float, spread: Float) -> None:
    """States (K, 8) and their covariances (K, 8, 8), `steps` nominal frames later, into `moved` and `spread`."""
    count = len(means)
    noise, cross, rate_noise = np.empty((count, 4)), np.zeros((count, 4)), np.empty((count, 4))
    for k in range(count):
        height = means[k, 3]
        for i in range(4):
            moved[k, i] = means[k, i] + steps * means[k, 4 + i]
            moved[k, 4 + i] = means[k, 4 + i]
            noise[k, i], rate_noise[k, i] = steps * (POSITION * height) ** 2, steps * (VELOCITY * height) ** 2
        noise[k, 2], rate_noise[k, 2] = steps * ASPECT**2, steps * ASPECT_VELOCITY**2
    spread[:] = covariances
    move_on(spread, steps, noise, cross, rate_noise)


@kernel
def box_innovations(means: Float, covariances: Float, out: Float) -> None:
    """Covariances of the differences of boxes measured to those expected, into (K, 4, 4)."""
    for k in range(len(means)):
        for i in range(4):
            for j in range(4):
                out[k, i, j] = covariances[k, i, j]
            std = MEASURED_ASPECT if i == 2 else POSITION * means[k, 3]
            out[k, i, i] += std * std
