from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.rotations import rotation_matrices, rotation_vectors


def vectors_of(angle: float) -> np.ndarray:
    axes = np.random.default_rng(0).normal(size=(50, 3))
    return np.asarray(angle * axes / np.linalg.norm(axes, axis=1, keepdims=True))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-7, 1e-5, 0.01, 1.0, 2.5, np.pi - 1e-6])
def test_they_are_those_of_scipy(angle: float) -> None:
    vectors = vectors_of(angle)
    rotations = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(rotation_matrices(vectors), rotations, atol=1e-14)
    np.testing.assert_allclose(rotation_vectors(rotations), vectors, atol=1e-9 if angle < 3 else 1e-8, rtol=0)


def test_half_a_turn_about_each_axis() -> None:
    halves = np.diag([np.pi] * 3)
    rotations = np.stack([np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1])])
    np.testing.assert_allclose(np.abs(rotation_vectors(rotations)), halves, atol=1e-12)
    np.testing.assert_allclose(rotation_matrices(halves), rotations, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_any_number_at_once(shape: tuple[int, ...]) -> None:
    vectors = np.full((*shape, 3), 0.3)
    rotations = rotation_matrices(vectors)
    assert rotations.shape == (*shape, 3, 3)
    assert rotation_vectors(rotations).shape == vectors.shape
    # A view that is not contiguous, as of (4, 4) poses.
    poses = np.tile(np.eye(4), (*shape, 1, 1))
    poses[..., :3, :3] = rotations
    np.testing.assert_allclose(rotation_vectors(poses[..., :3, :3]), vectors, atol=1e-12)
