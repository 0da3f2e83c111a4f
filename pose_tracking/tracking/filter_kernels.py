"""The arithmetic of the Kalman filters of many tracks: small matrices, a few of each, one track after the other.

NumPy takes a matrix of 6 by 6 through a dozen calls, each of which costs more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Int
from pose_tracking.core.kernels import kernel


@kernel
def _factorise(matrix: Float, factor: Float) -> None:
    """L D L' of a symmetric matrix: L below the diagonal of `factor` (its own is 1), D on it."""
    size = len(matrix)
    for j in range(size):
        pivot = matrix[j, j]
        for k in range(j):
            pivot -= factor[j, k] * factor[j, k] * factor[k, k]
        factor[j, j] = pivot
        for i in range(j + 1, size):
            value = matrix[i, j]
            for k in range(j):
                value -= factor[i, k] * factor[j, k] * factor[k, k]
            factor[i, j] = value / pivot


@kernel
def _forward(factor: Float, rows: Float) -> None:
    """L^-1 times `rows`, in place."""
    for i in range(len(factor)):
        for k in range(i):
            for j in range(rows.shape[1]):
                rows[i, j] -= factor[i, k] * rows[k, j]


@kernel
def squared_lengths(residuals: Float, covariances: Float, out: Float) -> None:
    """Squared Mahalanobis lengths of (K, N) residuals under their (K, N, N) covariances, into (K,)."""
    size = residuals.shape[1]
    factor, solved = np.empty((size, size)), np.empty((size, 1))
    for k in range(len(residuals)):
        _factorise(covariances[k], factor)
        for i in range(size):
            solved[i, 0] = residuals[k, i]
        _forward(factor, solved)
        total = 0.0
        for i in range(size):
            total += solved[i, 0] * solved[i, 0] / factor[i, i]
        out[k] = total


@kernel
def part_lengths(residuals: Float, covariances: Float, out: Float) -> None:
    """The same of (K, 6) residuals of poses, into (K, 3): of all, of the positions alone, of the rotations alone."""
    factor, solved = np.empty((6, 6)), np.empty((6, 1))
    of_rotation, turn = np.empty((3, 3)), np.empty((3, 1))
    for k in range(len(residuals)):
        _factorise(covariances[k], factor)
        _factorise(covariances[k, 3:, 3:], of_rotation)
        for i in range(6):
            solved[i, 0] = residuals[k, i]
        for i in range(3):
            turn[i, 0] = residuals[k, 3 + i]
        _forward(factor, solved)
        _forward(of_rotation, turn)
        position, rest, rotation = 0.0, 0.0, 0.0
        for i in range(3):  # the factors of the first three are those of the position
            position += solved[i, 0] * solved[i, 0] / factor[i, i]
            rest += solved[3 + i, 0] * solved[3 + i, 0] / factor[3 + i, 3 + i]
            rotation += turn[i, 0] * turn[i, 0] / of_rotation[i, i]
        out[k, 0], out[k, 1], out[k, 2] = position + rest, position, rotation


@kernel
def squared_distances(expected: Float, innovations: Float, measured: Float, out: Float) -> None:
    """Squared Mahalanobis distances, into (T, D), of (D, N) to (T, N) with (T, N, N) covariances of the difference."""
    count, size = measured.shape
    factor, solved = np.empty((size, size)), np.empty((size, count))
    for t in range(len(expected)):
        _factorise(innovations[t], factor)
        for i in range(size):
            for d in range(count):
                solved[i, d] = measured[d, i] - expected[t, i]
        _forward(factor, solved)
        for d in range(count):
            total = 0.0
            for i in range(size):
                total += solved[i, d] * solved[i, d] / factor[i, i]
            out[t, d] = total


@kernel
def find_pairs_within(
    predicted: Float, spread: Float, measured: Float, spread_of: Float, gate: float
) -> tuple[Int, Int]:
    """Which of (T, 3) and (D, 3) positions may be within `gate` under their (T, N, N) and (D, N, N) covariances.

    Returns:
        (P,) rows and (P,) columns, row by row. Of the N variables of the covariances the first three count.
    """
    count = len(measured)
    rows, columns = np.empty(len(predicted) * count, np.int64), np.empty(len(predicted) * count, np.int64)
    bounds = np.empty(count)
    for d in range(count):
        bounds[d] = gate * (spread_of[d, 0, 0] + spread_of[d, 1, 1] + spread_of[d, 2, 2])
    found = 0
    for t in range(len(predicted)):
        bound = gate * (spread[t, 0, 0] + spread[t, 1, 1] + spread[t, 2, 2])
        for d in range(count):
            x = measured[d, 0] - predicted[t, 0]
            y = measured[d, 1] - predicted[t, 1]
            z = measured[d, 2] - predicted[t, 2]
            if x * x + y * y + z * z <= bound + bounds[d]:
                rows[found], columns[found] = t, d
                found += 1
    return rows[:found].copy(), columns[:found].copy()


def correcting(size: int, state: int) -> Callable[[Float, Float, Float, Float, Float], None]:
    """The correction of Kalman filters whose measurement is the first `size` of their `state` variables, as a kernel.

    Of loops of known lengths the compiler makes code that takes half as long.
    """

    @kernel
    def correct(covariances: Float, innovations: Float, residuals: Float, corrected: Float, corrections: Float) -> None:
        """Correct K filters.

        Args:
            covariances: (K, M, M) predicted.
            innovations: (K, N, N) covariances of the residuals.
            residuals: (K, N) measured less predicted.
            corrected: (K, M, M) out: covariances after the measurement.
            corrections: (K, M) out: what is added to the state.
        """
        # With P the covariance, its first N rows W, and L D L' the innovation's: Y = L^-1 W, P - Y' D^-1 Y is left.
        factor, scales = np.empty((size, size)), np.empty(size)
        columns, shares = np.empty((state + 1, size)), np.empty((state, size))  # of Y, the residual last, and of D^-1 Y
        for k in range(len(residuals)):
            covariance = covariances[k]
            _factorise(innovations[k], factor)
            for i in range(size):
                scales[i] = 1.0 / factor[i, i]
            for a in range(state + 1):
                for i in range(size):
                    value = covariance[i, a] if a < state else residuals[k, i]
                    for m in range(i):
                        value -= factor[i, m] * columns[a, m]
                    columns[a, i] = value
            for a in range(state):
                shift = 0.0
                for i in range(size):
                    shares[a, i] = columns[a, i] * scales[i]
                    shift += shares[a, i] * columns[state, i]
                corrections[k, a] = shift
                for b in range(a, state):
                    left = (covariance[a, b] + covariance[b, a]) / 2
                    for i in range(size):
                        left -= shares[a, i] * columns[b, i]
                    corrected[k, a, b], corrected[k, b, a] = left, left

    return correct


@kernel
def move_on(covariances: Float, steps: float, noise: Float, cross: Float, rate_noise: Float) -> None:
    """Covariances of constant-velocity states, `steps` later: (K, 2 N, 2 N), first the N values, then their rates.

    Args:
        covariances: changed in place.
        steps: time, in units of the rates.
        noise, cross, rate_noise: (K, N) variances that are added to values and rates, and the covariances between.
    """
    size = noise.shape[1]
    for k in range(len(covariances)):
        c = covariances[k]
        for i in range(size):
            for j in range(size):
                c[i, j] += steps * (c[i, size + j] + c[size + i, j]) + steps * steps * c[size + i, size + j]
        for i in range(size):
            for j in range(size):
                c[i, size + j] += steps * c[size + i, size + j]
            c[i, i] += noise[k, i]
            c[i, size + i] += cross[k, i]
            c[size + i, size + i] += rate_noise[k, i]
        for i in range(size):
            for j in range(size):
                c[size + j, i] = c[i, size + j]


@kernel
def add_turned(rotations: Float, covariances: Float, out: Float) -> None:
    """Add (K, 6, 6) covariances of positions and rotations to `out`, in axes turned by (K, 3, 3) rotations."""
    half = np.empty((3, 3))
    for k in range(len(rotations)):
        turn = rotations[k]
        for a in range(0, 6, 3):
            for b in range(0, 6, 3):
                for i in range(3):
                    for j in range(3):
                        half[i, j] = 0.0
                        for m in range(3):
                            half[i, j] += turn[i, m] * covariances[k, a + m, b + j]
                for i in range(3):
                    for j in range(3):
                        for m in range(3):
                            out[k, a + i, b + j] += half[i, m] * turn[j, m]


@kernel
def add_changed_velocities(covariances: Float, times: Float, variances: Float, parts: Bool) -> None:
    """What velocities that changed some time ago add to (K, 12, 12) covariances of poses and their rates, in place.

    Args:
        covariances: of position, rotation and their rates.
        times: (K,) seconds since the change.
        variances: (2,) of the change of each axis of linear and angular velocity.
        parts: (K, 2) which of the two have changed.
    """
    for k in range(len(covariances)):
        c, t = covariances[k], times[k]
        for i in range(6):
            if parts[k, i // 3]:
                variance = variances[i // 3]
                c[i, i] += variance * t * t
                c[i, 6 + i] += variance * t
                c[6 + i, i] += variance * t
                c[6 + i, 6 + i] += variance
