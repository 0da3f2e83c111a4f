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
from pose_tracking.core.odds import log_odds
from pose_tracking.core.rotations import rotation_matrices

from .ambiguous_turn import OpenTurn, slipping_axis
from .icp import IcpRefiner
from .scoring import InstanceView, Verification, Verifier

_OPEN = np.radians(12.0)  # standard deviation of an angle from which it counts as unknown, as in the event rules
_SAME = np.radians(2.0)  # turns that make no difference
# Log-odds by which the frame has to be for the turn that the fit has made.
_CLEARLY = 0.3


def held_turn(pose: Float, turn: OpenTurn, predicted: Float) -> Float | None:
    """The pose without the turn about its open axis that the fit has made; None where it is not open, or not turned.

    Args:
        pose: (4, 4) ``T_camera_object`` as fitted.
        turn: that the frame may leave open.
        predicted: (4, 4) where it was expected.
    """
    if turn.variance < _OPEN**2:
        return None
    return _turned_back(pose, turn.axis, predicted)


def hold_turn(
    verifier: Verifier,
    icp: IcpRefiner,
    view: InstanceView,
    obj_id: int,
    points: Float,
    pose: Float,
    predicted: Float,
) -> tuple[Float, Verification]:
    """A pose fitted from where a track expects it, without its turn if the surface slips; and what the frame says.

    The shape then does not tell the turn, but colours and what is behind may: the fit's own is kept where they are
    clearly for it.

    Args:
        verifier, icp: what checks and what has refined the pose.
        view: the frame and the instance.
        obj_id: its object.
        points: (P, 3) its measured points, metres.
        pose: (4, 4) ``T_camera_object`` as fitted.
        predicted: (4, 4) where it was expected.
    """
    check = verifier.verify(view, obj_id, pose)
    reach = icp.last_distance(obj_id, verifier.noise(view.frame).excess(pose[2, 3]))
    axis = slipping_axis(icp.objects[obj_id], icp.surface(obj_id), points, pose, check, reach)
    held = None if axis is None else _turned_back(pose, axis, predicted)
    if held is None:
        return pose, check
    again = verifier.verify(view, obj_id, held)
    is_held = log_odds(again.score) > log_odds(check.score) - _CLEARLY
    return (held, again) if is_held else (pose, check)


def _turned_back(pose: Float, axis: tuple[Float, Float], predicted: Float) -> Float | None:
    """A (4, 4) pose without its turn against a predicted one about an axis (camera frame); None where that is small."""
    direction, point = axis
    angle = _twist(predicted[:3, :3] @ pose[:3, :3].T, direction)
    if abs(angle) < _SAME:
        return None
    back = rotation_matrices(angle * direction)
    return np.asarray(make_transform(back, point - back @ point) @ pose)


def _twist(rotation: Float, axis: Float) -> float:
    """Angle (rad) of the part of a (3, 3) rotation that is about a unit axis."""
    r = rotation
    # 4 w times vector part and scalar part w of the quaternion.
    vector = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    return 2 * float(np.arctan2(vector @ axis, 1 + np.trace(r)))
