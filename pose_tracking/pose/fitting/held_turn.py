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
from pose_tracking.core.symmetry_axis import symmetry_axis
from pose_tracking.objects import ObjectModel

_OPEN = np.radians(12.0)  # standard deviation of an angle from which it counts as unknown, as in the event rules
_SAME = np.radians(2.0)  # turns that make no difference


def held_turn(pose: Float, covariance: Float, predicted: Float, model: ObjectModel) -> Float | None:
    """The pose without the turn about its open axis that the fit has made; None where it has none, or made none.

    Args:
        pose: (4, 4) ``T_camera_object`` as fitted.
        covariance: (6, 6) of it.
        predicted: (4, 4) where it was expected.
        model: the object; the turn about an axis of symmetry that it declares is nobody's business.
    """
    values, vectors = np.linalg.eigh(covariance[3:, 3:])
    if values[-1] < _OPEN**2 or (model.is_symmetric and symmetry_axis(model.symmetries) is not None):
        return None
    axis = vectors[:, -1]
    angle = _twist(predicted[:3, :3] @ pose[:3, :3].T, axis)
    if abs(angle) < _SAME:
        return None
    # With the turn the origin moves by axis x (origin - point of the axis).
    point = pose[:3, 3] - np.cross(covariance[:3, 3:] @ axis / values[-1], axis)
    turn = rotation_matrices(angle * axis)
    return np.asarray(make_transform(turn, point - turn @ point) @ pose)


def _twist(rotation: Float, axis: Float) -> float:
    """Angle (rad) of the part of a (3, 3) rotation that is about a unit axis."""
    r = rotation
    # 4 w times vector part and scalar part w of the quaternion.
    vector = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    return 2 * float(np.arctan2(vector @ axis, 1 + np.trace(r)))
