"""Measured poses that say that a track was wrong, not that its object has moved (`PoseEstimate.corrects`)."""

from __future__ import annotations

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import nearest_equivalent

from .pose_filter import PoseFilter


def set_right(each: PoseFilter, pose: Float, symmetries: Float) -> None:
    """Put the predicted filter of a track to the measured pose that corrects it; its object moves on as it was seen to.

    The measurement then leaves the velocity as it is, which it would else explain the way by.

    Args:
        each: the filter, which is changed.
        pose: (4, 4) what was measured.
        symmetries: (S, 4, 4) of the object.
    """
    each.set_right(nearest_equivalent(pose, each.pose, symmetries))
