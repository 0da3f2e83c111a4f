"""Measured poses that say that a track was wrong, not that its object has moved."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import nearest_equivalent
from pose_tracking.core.results import PoseEstimate

from .pose_filter import PoseFilter


def set_right(each: PoseFilter, estimate: PoseEstimate, symmetries: Float) -> PoseFilter:
    """The predicted filter of a track, at the measured pose if that corrects it; its object moves on as it was seen to.

    The measurement then leaves the velocity as it is, which it would else explain the way by.

    Args:
        each: the filter, which is changed.
        estimate: what was measured.
        symmetries: (S, 4, 4) of the object.
    """
    if estimate.corrects:
        each.pose = nearest_equivalent(estimate.pose, each.pose, symmetries)
        each.contradiction, each.outliers, each.turned = np.zeros(2), 0, 0
    return each
