from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import (
    block_rotation,
    invert_transform,
    make_transform,
    quaternion_xyzw,
    rotation_angle,
    rotation_from_quaternion_xyzw,
    transform_points,
)

coordinate = st.floats(-5, 5)
vector = st.tuples(coordinate, coordinate, coordinate).map(np.array)
rotation = st.tuples(vector, st.floats(0, np.pi)).map(
    lambda av: Rotation.from_rotvec(av[0] / max(np.linalg.norm(av[0]), 1e-3) * av[1]).as_matrix()
)
transform = st.tuples(rotation, vector).map(lambda rt: make_transform(*rt))


def test_a_rotation_in_each_block_turns_vectors_laid_end_to_end() -> None:
    turn = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()
    for count in (1, 2, 4):
        np.testing.assert_array_equal(block_rotation(turn, count), np.kron(np.eye(count), turn))


@given(transform)
def test_inverse_undoes(pose: np.ndarray) -> None:
    np.testing.assert_allclose(invert_transform(pose) @ pose, np.eye(4), atol=1e-9)


@given(transform, transform, vector)
def test_points_compose_like_matrices(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> None:
    np.testing.assert_allclose(
        transform_points(a @ b, point[None]), transform_points(a, transform_points(b, point[None])), atol=1e-9
    )


@given(rotation)
def test_quaternion_round_trip(matrix: np.ndarray) -> None:
    quaternion = quaternion_xyzw(matrix)
    assert quaternion[3] >= 0
    assert np.linalg.norm(quaternion) == pytest.approx(1)
    np.testing.assert_allclose(rotation_from_quaternion_xyzw(3.0 * quaternion), matrix, atol=1e-9)


@given(vector.filter(lambda v: np.linalg.norm(v) > 1e-2), st.floats(1e-3, np.pi - 1e-3))
def test_angle_of_a_turn(axis: np.ndarray, angle: float) -> None:
    matrix = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
    assert rotation_angle(matrix) == pytest.approx(angle, abs=1e-6)


def test_quaternion_order_is_that_of_ros() -> None:
    quarter_about_z = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(quaternion_xyzw(quarter_about_z), [0, 0, half, half], atol=1e-12)


def test_everything_broadcasts() -> None:
    rotations = Rotation.random(6, random_state=0).as_matrix().reshape(2, 3, 3, 3)
    poses = make_transform(rotations, np.arange(3.0))
    assert poses.shape == (2, 3, 4, 4)
    np.testing.assert_allclose(poses[..., 3, :], np.broadcast_to([0, 0, 0, 1.0], (2, 3, 4)))
    np.testing.assert_allclose(invert_transform(poses) @ poses, np.broadcast_to(np.eye(4), (2, 3, 4, 4)), atol=1e-12)
    assert rotation_angle(rotations).shape == (2, 3)
    assert quaternion_xyzw(rotations).shape == (2, 3, 4)
    assert transform_points(poses, np.ones((5, 3))).shape == (2, 3, 5, 3)
    np.testing.assert_allclose(
        transform_points(poses, np.ones((5, 3)))[1, 2, 4], rotations[1, 2] @ np.ones(3) + np.arange(3.0)
    )


def test_one_rotation_serves_many_translations() -> None:
    poses = make_transform(np.eye(3), np.arange(12.0).reshape(4, 3))
    np.testing.assert_allclose(poses[:, :3, 3], np.arange(12.0).reshape(4, 3))
