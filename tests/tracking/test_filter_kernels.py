"""The compiled arithmetic of the filters against the formulas of the textbooks, written with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.geometry import block_rotation
from pose_tracking.core.rotations import rotation_matrices
from pose_tracking.tracking.filter_kernels import add_changed_velocities, add_turned, move_on, squared_distances
from pose_tracking.tracking.mahalanobis import correction, pairs_within, pose_lengths, squared_length


def covariances(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Random (count, size, size) covariances whose standard deviations lie three orders of magnitude apart."""
    factors = rng.normal(size=(count, size, 2 * size)) * 10.0 ** rng.uniform(-3, 0, (count, size, 1))
    return factors @ np.swapaxes(factors, 1, 2)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 5), size=st.integers(1, 7))
def test_a_length_is_the_residual_under_the_inverse_covariance(seed: int, count: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    residual, covariance = rng.normal(size=(count, size)), covariances(rng, count, size)
    expected = np.einsum("ki,kij,kj->k", residual, np.linalg.inv(covariance), residual)
    np.testing.assert_allclose(squared_length(residual, covariance), expected, rtol=1e-6)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 5))
def test_the_lengths_of_a_pose_are_those_of_all_of_its_position_and_of_its_rotation(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    residual, covariance = rng.normal(size=(count, 6)), covariances(rng, count, 6)
    parts = [slice(6), slice(3), slice(3, 6)]
    expected = np.array([squared_length(residual[:, part], covariance[:, part, part]) for part in parts]).T
    np.testing.assert_allclose(pose_lengths(residual, covariance), expected, rtol=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 4))
def test_covariances_are_turned_in_both_their_halves(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    rotations, given_ones = rotation_matrices(rng.normal(size=(count, 3))), covariances(rng, count, 6)
    out = covariances(rng, count, 6)
    expected = out.copy()
    for k in range(count):
        turn = block_rotation(rotations[k])
        expected[k] += turn @ given_ones[k] @ turn.T
    add_turned(rotations, given_ones, out)
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-12)


def test_a_velocity_that_changed_leads_a_pose_astray_with_the_time_since_then() -> None:
    """Of random changes, each for its time, against the spread of what they do; what has not changed adds nothing."""
    rng = np.random.default_rng(0)
    times, variances = np.array([0.1, 2.0]), np.array([0.04, 1.0])
    parts = np.array([[True, True], [False, True]])
    out = np.zeros((2, 12, 12))
    add_changed_velocities(out, times, variances, parts)
    for k in range(2):
        changes = rng.normal(size=(40000, 6)) * np.repeat(np.sqrt(variances) * parts[k], 3)
        spread = np.cov(np.concatenate([changes * times[k], changes], axis=1).T)
        np.testing.assert_allclose(out[k], spread, atol=0.03 * out[k].max())


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), tracks=st.integers(1, 4), measured=st.integers(1, 4))
def test_distances_are_lengths_of_all_differences(seed: int, tracks: int, measured: int) -> None:
    rng = np.random.default_rng(seed)
    expected, places, spread = rng.normal(size=(tracks, 4)), rng.normal(size=(measured, 4)), covariances(rng, tracks, 4)
    out = np.empty((tracks, measured))
    squared_distances(expected, spread, places, out)
    for column in range(measured):
        np.testing.assert_allclose(out[:, column], squared_length(places[column] - expected, spread), rtol=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 4), sizes=st.sampled_from([(4, 8), (6, 12)]))
def test_a_correction_is_that_of_kalman(seed: int, count: int, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    size, state = sizes
    covariance = covariances(rng, count, state)
    innovation = covariance[:, :size, :size] + covariances(rng, count, size)
    residual = rng.normal(size=(count, size))
    corrected, moves = correction(covariance, innovation, residual)
    gain = covariance[:, :, :size] @ np.linalg.inv(innovation)
    np.testing.assert_allclose(moves, (gain @ residual[..., None])[..., 0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(corrected, covariance - gain @ innovation @ np.swapaxes(gain, 1, 2), atol=1e-9)
    assert (corrected == np.swapaxes(corrected, 1, 2)).all()


def test_one_filter_is_corrected_as_many_are() -> None:
    rng = np.random.default_rng(0)
    covariance, innovation, residual = covariances(rng, 1, 8), covariances(rng, 1, 4), rng.normal(size=(1, 4))
    many, one = correction(covariance, innovation, residual), correction(covariance[0], innovation[0], residual[0])
    for several, single in zip(many, one, strict=True):
        np.testing.assert_array_equal(several[0], single)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 4), size=st.integers(1, 6), step=st.floats(0, 3))
def test_moving_on_is_the_transition_of_constant_velocity(seed: int, count: int, size: int, step: float) -> None:
    rng = np.random.default_rng(seed)
    covariance = covariances(rng, count, 2 * size)
    noise, cross, rate = rng.uniform(0, 1, (3, count, size))
    transition = np.eye(2 * size)
    transition[:size, size:] = step * np.eye(size)
    added = np.zeros_like(covariance)
    for block, values in (((0, 0), noise), ((0, size), cross), ((size, 0), cross), ((size, size), rate)):
        for i in range(size):
            added[:, block[0] + i, block[1] + i] = values[:, i]
    moved = covariance.copy()
    move_on(moved, step, noise, cross, rate)
    np.testing.assert_allclose(moved, transition @ covariance @ transition.T + added, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gate", [0.5, 7.8, 50.0])
def test_no_pair_within_the_gate_is_left_out(gate: float) -> None:
    rng = np.random.default_rng(3)
    predicted, measured = rng.normal(size=(6, 3)), rng.normal(size=(9, 3))
    spread, spread_of = covariances(rng, 6, 3), covariances(rng, 9, 3)
    rows, columns = pairs_within(predicted, spread, measured, spread_of, gate)
    kept = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert 0 < len(kept) < 54
    for row in range(6):
        for column in range(9):
            length = squared_length((measured[column] - predicted[row])[None], (spread[row] + spread_of[column])[None])
            assert length[0] > gate or (row, column) in kept
