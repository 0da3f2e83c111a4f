"""Rigid transforms as (4, 4) arrays. ``T_a_b`` maps points of frame b into frame a."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from .arrays import Float


def make_transform(rotation: ArrayLike, translation: ArrayLike) -> Float:
    """(..., 3, 3) rotations and (..., 3) translations (m) to (..., 4, 4) transforms."""
    rotation, translation = np.asarray(rotation, float), np.asarray(translation, float)
    out = np.zeros((*np.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1]), 4, 4))
    out[..., :3, :3] = rotation
    out[..., :3, 3] = translation
    out[..., 3, 3] = 1.0
    return out


def invert_transform(transform: ArrayLike) -> Float:
    """Inverse of (..., 4, 4) rigid transforms."""
    transform = np.asarray(transform, float)
    rotation_t = np.swapaxes(transform[..., :3, :3], -1, -2)
    return make_transform(rotation_t, -(rotation_t @ transform[..., :3, 3:])[..., 0])


def block_rotation(rotation: Float, count: int = 2) -> Float:
    """(3 count, 3 count) with a (3, 3) rotation in each block of the diagonal: turns `count` vectors laid end to end.

    As ``np.kron(np.eye(count), rotation)``, which takes twenty times as long.
    """
    turn = np.zeros((3 * count, 3 * count))
    for start in range(0, 3 * count, 3):
        turn[start : start + 3, start : start + 3] = rotation
    return turn


def transform_points(transform: ArrayLike, points: ArrayLike) -> Float:
    """Apply (..., 4, 4) transforms to (..., N, 3) points."""
    transform = np.asarray(transform, float)
    return np.asarray(points, float) @ np.swapaxes(transform[..., :3, :3], -1, -2) + transform[..., None, :3, 3]


def rotation_angle(rotation: ArrayLike) -> Float:
    """Angle in radians, 0 to pi, of (..., 3, 3) rotation matrices."""
    rotation = np.asarray(rotation, float)
    angle = Rotation.from_matrix(rotation.reshape(-1, 3, 3)).magnitude()
    return np.asarray(angle).reshape(rotation.shape[:-2])


def quaternion_xyzw(rotation: ArrayLike) -> Float:
    """(..., 3, 3) rotation matrices to (..., 4) unit quaternions in ROS order xyzw, w >= 0."""
    rotation = np.asarray(rotation, float)
    quaternion = Rotation.from_matrix(rotation.reshape(-1, 3, 3)).as_quat(canonical=True)
    return np.asarray(quaternion).reshape(*rotation.shape[:-2], 4)


def rotation_from_quaternion_xyzw(quaternion: ArrayLike) -> Float:
    """(..., 4) quaternions in ROS order xyzw, of any non-zero norm, to (..., 3, 3) rotation matrices."""
    quaternion = np.asarray(quaternion, float)
    return np.asarray(Rotation.from_quat(quaternion.reshape(-1, 4)).as_matrix()).reshape(*quaternion.shape[:-1], 3, 3)


def cross(a: Float, b: Float) -> Float:
    """Cross product of two (3,) vectors; that of NumPy takes twenty times as long."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def view_rotation(centre: ArrayLike) -> Float:
    """(3, 3) smallest rotation whose third column is the direction of `centre`: ``R_camera_crop``."""
    x, y, z = np.asarray(centre, float) / np.linalg.norm(centre)
    # Rodrigues' formula from (0, 0, 1) to (x, y, z); z > 0 in front of the camera, so that 1 + z is never small.
    k = 1.0 / (1.0 + z)
    return np.array([[1 - k * x * x, -k * x * y, x], [-k * x * y, 1 - k * y * y, y], [-x, -y, z]])


def nearest_equivalent(poses: Float, references: Float, symmetries: Float) -> Float:
    """The poses among ``pose @ symmetries`` whose rotations are nearest to those of `references`.

    Args:
        poses, references: (..., 4, 4) poses.
        symmetries: (S, 4, 4) transforms that map the object onto itself.
    """
    if len(symmetries) == 1:
        return poses
    candidates = poses[..., None, :, :] @ symmetries
    # The trace of a relative rotation falls as its angle grows.
    likeness = (candidates[..., :3, :3] * references[..., None, :3, :3]).sum((-2, -1))
    best = likeness.argmax(-1)[..., None, None, None]
    return np.asarray(np.take_along_axis(candidates, best, axis=-3)[..., 0, :, :])
