"""The turn of an object about its axis of symmetry, where no measurement tells it.

A measured pose whose covariance says that the angle about the axis is unknown is no measurement of that angle, however
often it is repeated. So the filter's state leaves that turn out: no doubt about it that could shrink and no angular
velocity about it, as if its variance in each measurement were infinite. The turn moves an object's origin, too, where
that is off the axis: it is a direction (6,) of the pose's perturbation, translation and rotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform, nearest_equivalent
from pose_tracking.core.rotations import rotation_matrices
from pose_tracking.core.symmetry_axis import UNKNOWN_ANGLE, symmetry_axis

# Unit direction and a point of an axis, object frame.
Axis = tuple[Float, Float]
# An angle about the axis is unknown from this share of the variance of not knowing.
_NEARLY = 0.9


def ignorance(rotation: Float, axis: Axis) -> Float:
    """(6, 6) covariance of a pose with (3, 3) `rotation` of which nothing but the turn about `axis` is unknown."""
    turn = _turns(rotation[None], axis)[0]
    return UNKNOWN_ANGLE * np.outer(turn, turn)


@dataclass(frozen=True)
class UnseenTurn:
    """Those of M measurements of one object that do not tell the turn about its axis.

    Attributes:
        axis: of the object.
        rows: (K,) indices of them.
        predicted: (K, 4, 4) predicted poses.
        turns: (K, 6) the turn about the axis there.
        keeps: (K, 6, 6) what takes that turn out of a perturbation and leaves all else.
    """

    axis: Axis
    rows: NDArray[np.intp]
    predicted: Float
    turns: Float
    keeps: Float

    @classmethod
    def find(cls, symmetries: Float, poses: Float, covariances: Float, predicted: Float) -> UnseenTurn | None:
        """What is unseen in (M, 4, 4) measured poses with (M, 6, 6) covariances; None where nothing is.

        Args:
            symmetries: (S, 4, 4) of the object.
            poses, covariances: the measurements.
            predicted: (M, 4, 4) predictions of them.
        """
        axis = symmetry_axis(symmetries) if len(symmetries) > 1 else None
        if axis is None:
            return None
        directions = poses[:, :3, :3] @ axis[0]
        variances = np.einsum("ni,nij,nj->n", directions, covariances[:, 3:, 3:], directions)
        rows = np.flatnonzero(variances >= _NEARLY * UNKNOWN_ANGLE)
        if not len(rows):
            return None
        turns = _turns(predicted[rows, :3, :3], axis)
        return cls(axis, rows, predicted[rows], turns, _keeps(turns))

    def out_of_poses(self, poses: Float) -> Float:
        """(M, 4, 4) measured poses, in their place the equivalent ones that are not turned against the prediction."""
        poses = poses.copy()
        direction, point = self.axis
        relative = np.swapaxes(self.predicted[:, :3, :3], 1, 2) @ poses[self.rows, :3, :3]
        quaternion = Rotation.from_matrix(relative).as_quat()
        twist = 2 * np.arctan2(quaternion[:, :3] @ direction, quaternion[:, 3])
        back = rotation_matrices(-twist[:, None] * direction)
        poses[self.rows] = poses[self.rows] @ make_transform(back, point - back @ point)
        return poses

    def out_of_noise(self, covariances: Float, poses: Float) -> Float:
        """(M, 6, 6) covariances of measured (M, 4, 4) poses, with nothing about the axis but variance."""
        covariances = covariances.copy()
        keeps = self.keeps @ _keeps(_turns(poses[self.rows, :3, :3], self.axis))
        # As the state has nothing about the axis either, any variance about it does for an infinite one.
        unknown = UNKNOWN_ANGLE * self.turns[:, :, None] * self.turns[:, None]
        covariances[self.rows] = keeps @ covariances[self.rows] @ np.swapaxes(keeps, 1, 2) + unknown
        return covariances

    def out_of_covariances(self, covariances: Float) -> Float:
        """(M, 12, 12) covariances of the filters' states without turn and rate of turn about the axis."""
        covariances = covariances.copy()
        keeps = np.zeros((len(self.rows), 12, 12))
        keeps[:, :6, :6] = keeps[:, 6:, 6:] = self.keeps
        covariances[self.rows] = keeps @ covariances[self.rows] @ np.swapaxes(keeps, 1, 2)
        return covariances

    def out_of_velocities(self, velocities: Float) -> Float:
        """(M, 6) velocities without what is about the axis."""
        velocities = velocities.copy()
        velocities[self.rows] = (self.keeps @ velocities[self.rows, :, None])[..., 0]
        return velocities


def nearest_measurements(
    poses: Float, covariances: Float, predicted: Float, symmetries: Float
) -> tuple[Float, Float, UnseenTurn | None]:
    """Those equivalents of measured poses that are nearest to the predictions.

    Args:
        poses, covariances: (M, 4, 4) and (M, 6, 6) measurements.
        predicted: (M, 4, 4) predictions of them.
        symmetries: (S, 4, 4) of the object.

    Returns:
        (M, 4, 4) poses, (M, 6, 6) covariances about their origins, and which turns are unseen in them.
    """
    if len(symmetries) == 1:
        return poses, covariances, None
    nearest = nearest_equivalent(poses, predicted, symmetries)
    unseen = UnseenTurn.find(symmetries, nearest, covariances, predicted)
    if unseen is not None:
        nearest = unseen.out_of_poses(nearest)
    moved = _moved_origins(nearest[:, :3, 3] - poses[:, :3, 3])
    return nearest, moved @ covariances @ np.swapaxes(moved, 1, 2), unseen


def _turns(rotations: Float, axis: Axis) -> Float:
    """(K, 6) how origin and rotation change with a turn about the axis of objects with (K, 3, 3) rotations."""
    directions = rotations @ axis[0]
    return np.concatenate([np.cross(directions, -rotations @ axis[1]), directions], axis=1)


def _moved_origins(shifts: Float) -> Float:
    """(K, 6, 6) what takes a perturbation of a pose to that of the same object with its origin (K, 3) metres away."""
    out = np.tile(np.eye(6), (len(shifts), 1, 1))
    out[:, :3, 3:] = np.cross(np.eye(3), shifts[:, None]).swapaxes(1, 2)
    return out


def _keeps(turns: Float) -> Float:
    """(K, 6, 6) projections along `turns` onto what has no rotation about their axes."""
    along = np.concatenate([np.zeros((len(turns), 3)), turns[:, 3:]], axis=1)
    return np.eye(6) - turns[:, :, None] * along[:, None]
