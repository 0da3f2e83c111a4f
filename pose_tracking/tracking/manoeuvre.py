"""Manoeuvres: what contradicts steady motion, and what a change of velocity adds to a filter's doubt.

Things on a table stand still or move steadily, and now and then they start, stop or turn. One process noise cannot
serve both: the steady one keeps a resting object steady, and where the measurements of late contradict it the velocity
is taken to have changed since the last one. They do so where the fading sum of the normalised innovations squared is
larger than chance makes it (manoeuvre detection: Bar-Shalom, Li and Kirubarajan 2001, section 11.2), judged for
position and rotation apart.
"""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Bool, Float

from .config import TrackingConfig
from .filter_kernels import add_changed_velocities

# Memory of the fading sum, about three measurements, and its 99th percentile in steady motion (3 degrees of freedom).
_FADING, _CONTRADICTION = 0.7, 20.0


def contradictions(sums: Float, lengths: Float, config: TrackingConfig) -> tuple[Bool, Float]:
    """Whether measurements contradict steady motion.

    Args:
        sums: (M, 2) fading sums of what contradicted it before, for position and rotation.
        lengths: (M, 3) `pose_lengths` of the residuals under steady motion.
        config: gates.

    Returns:
        (M, 2) whether position and rotation contradict it, these residuals counted in, and (M, 2) the sums from now on.
    """
    sums = _FADING * sums + lengths[:, 1:]
    # What steady motion leaves beyond the gate may be a manoeuvre before it is an outlier, even if neither part is one.
    contradicts = (sums > _CONTRADICTION) | (lengths[:, :1] > config.pose_gate)
    sums[contradicts] = 0.0
    return np.asarray(contradicts), sums


def add_manoeuvres(covariances: Float, unmeasured: Float, config: TrackingConfig, parts: Bool | None = None) -> None:
    """Add to predicted covariances what a change of velocity at the last measurement makes uncertain.

    Args:
        covariances: (K, 12, 12) of the error states, changed in place.
        unmeasured: (K,) seconds since the last measurement.
        config: how large the change may be.
        parts: (K, 2) whether that of position and of rotation is added; None: both.
    """
    # What was not seen for long has not necessarily gone far: without a bound any detection could be it.
    times = unmeasured / (1 + unmeasured / config.velocity_change_seconds)
    variances = np.array([config.velocity_change**2, config.angular_velocity_change**2])
    add_changed_velocities(covariances, times, variances, np.ones((len(times), 2), bool) if parts is None else parts)
