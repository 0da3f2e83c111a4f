"""The turn that a frame leaves open, held where it was expected.

Where the shape that is seen slips within itself, a fit to the depth turns it by what chance and the readings beside it
want, a little further with each frame. As a measurement of infinite variance says nothing beside a prediction, the
turn of such a pose is that of the prediction, if the frame as a whole (colours, outline, what is behind) does not
contradict it.
"""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.rotations import rotation_matrices

from .ambiguous_turn import OpenTurn

_OPEN = np.radians(12.0)  # standard deviation of an angle from which it counts as unknown, as in the event rules
_SAME = np.radians(2.0)  # turns that make no difference


def held_turn(pose: Float, turn: OpenTurn, predicted: Float) -> Float | None:
    """The pose without the turn about its open axis that the fit has made; None where it is not open, or not turned.

    Args:
        pose: (4, 4) ``T_camera_object`` as fitted.
        turn: that the frame may leave open.
        predicted: (4, 4) where it was expected.
    """
    if turn.variance < _OPEN**2:
        return None
    axis, point = turn.axis
    angle = _twist(predicted[:3, :3] @ pose[:3, :3].T, axis)
    if abs(angle) < _SAME:
        return None
    back = rotation_matrices(angle * axis)
    return np.asarray(make_transform(back, point - back @ point) @ pose)


def _twist(rotation: Float, axis: Float) -> float:
    """Angle (rad) of the part of a (3, 3) rotation that is about a unit axis."""
    r = rotation
    # 4 w times vector part and scalar part w of the quaternion.
    vector = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    return 2 * float(np.arctan2(vector @ axis, 1 + np.trace(r)))
