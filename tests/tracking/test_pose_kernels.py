"""The compiled arithmetic of the pose filters against the same written with NumPy and SciPy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import block_rotation, make_transform
from pose_tracking.tracking.mahalanobis import pose_lengths, pose_pair_lengths, pose_residual
from pose_tracking.tracking.pose_kernels import move_poses, published_covariances, shift_poses


def random_poses(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4, 4)"""
    turns = Rotation.from_rotvec(rng.normal(size=(count, 3))).as_matrix().reshape(count, 3, 3)
    return make_transform(turns, rng.normal(size=(count, 3)))


def random_covariances(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """(count, size, size)"""
    factors = rng.normal(size=(count, size, 2 * size))
    return np.asarray(factors @ np.swapaxes(factors, 1, 2))


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 4), dt=st.floats(0, 2))
def test_poses_move_and_turn_about_fixed_axes_and_their_doubt_grows(seed: int, count: int, dt: float) -> None:
    rng = np.random.default_rng(seed)
    poses, velocities = random_poses(rng, count), rng.normal(size=(count, 6))
    covariances, variances = random_covariances(rng, count, 12), rng.uniform(0, 1, 2)
    before = poses.copy(), covariances.copy()
    moved, spread = np.empty((count, 4, 4)), np.empty((count, 12, 12))
    move_poses(poses, velocities, covariances, dt, variances, moved, spread)
    transition, noise = np.eye(12), np.zeros((12, 12))
    transition[:6, 6:] = dt * np.eye(6)
    density = np.diag(np.repeat(variances, 3))
    noise[:6, :6], noise[6:, 6:] = density * dt**3 / 3, density * dt
    noise[:6, 6:] = noise[6:, :6] = density * dt**2 / 2
    for k in range(count):
        turn = Rotation.from_rotvec(velocities[k, 3:] * dt).as_matrix() @ poses[k, :3, :3]
        expected = make_transform(turn, poses[k, :3, 3] + velocities[k, :3] * dt)
        np.testing.assert_allclose(moved[k], expected, atol=1e-12)
        np.testing.assert_allclose(spread[k], transition @ covariances[k] @ transition.T + noise, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(poses, before[0])
    np.testing.assert_array_equal(covariances, before[1])


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 4))
def test_what_lies_between_two_poses_takes_one_to_the_other(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    start, end = random_poses(rng, count), random_poses(rng, count)
    shift_poses(start, pose_residual(end, start))
    np.testing.assert_allclose(start, end, atol=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), tracks=st.integers(1, 4), measured=st.integers(1, 4))
def test_lengths_of_pairs_are_those_of_their_residuals(seed: int, tracks: int, measured: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, poses = random_poses(rng, tracks), random_poses(rng, measured)
    spread, noise = random_covariances(rng, tracks, 12), random_covariances(rng, measured, 6)
    rows, columns = (index.ravel() for index in np.indices((tracks, measured)))
    lengths = pose_pair_lengths(predicted, spread, rows, poses[columns], noise, columns)
    for row, column, found in zip(rows, columns, lengths, strict=True):
        residual = pose_residual(poses[column, None], predicted[row, None])
        np.testing.assert_allclose(found, pose_lengths(residual, (spread[row, :6, :6] + noise[column])[None])[0])


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 4))
def test_what_is_published_has_the_shared_error_turned_with_the_object(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    poses, covariances = random_poses(rng, count), random_covariances(rng, count, 12)
    shared, out = random_covariances(rng, count, 6), np.empty((count, 6, 6))
    published_covariances(poses, covariances, shared, out)
    for k in range(count):
        turn = block_rotation(poses[k, :3, :3])
        np.testing.assert_allclose(out[k], covariances[k, :6, :6] + turn @ shared[k] @ turn.T, rtol=1e-9, atol=1e-9)
