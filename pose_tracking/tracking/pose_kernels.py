"""The arithmetic of the pose filters of many tracks at once; see `pose_filter` for the state."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float, Int
from pose_tracking.core.kernels import kernel
from pose_tracking.core.rotations import to_matrices, to_vectors

from .filter_kernels import add_turned, move_on, part_lengths


@kernel
def move_poses(
    poses: Float, velocities: Float, covariances: Float, dt: float, variances: Float, moved: Float, spread: Float
) -> None:
    """States `dt` seconds later, into `moved` and `spread`.

    Args:
        poses, velocities, covariances: (K, 4, 4), (K, 6) and (K, 12, 12).
        dt: seconds.
        variances: (2,) of the acceleration of positions and of rotations: white noise, exact for this transition.
        moved, spread: (K, 4, 4) and (K, 12, 12) out: the poses and covariances then.
    """
    count = len(poses)
    moved[:], spread[:] = poses, covariances
    _turn(moved, velocities[:, 3:] * dt)
    noise, cross, rate_noise = np.empty((count, 6)), np.empty((count, 6)), np.empty((count, 6))
    for k in range(count):
        for i in range(3):
            moved[k, i, 3] += velocities[k, i] * dt
        for i in range(6):
            density = variances[i // 3]
            noise[k, i], cross[k, i] = density * (dt**3 / 3), density * (dt**2 / 2)
            rate_noise[k, i] = density * dt
    move_on(spread, dt, noise, cross, rate_noise)


@kernel
def shift_poses(poses: Float, shifts: Float) -> None:
    """Move (K, 4, 4) poses, in place, by (K, 6): positions in metres, and rotation vectors in fixed axes."""
    _turn(poses, shifts[:, 3:])
    for k in range(len(poses)):
        for i in range(3):
            poses[k, i, 3] += shifts[k, i]


@kernel
def _turn(poses: Float, vectors: Float) -> None:
    """Turn (K, 4, 4) poses in place about their origins, by (K, 3) rotation vectors in fixed axes."""
    turns, old = np.empty((len(poses), 3, 3)), np.empty((3, 3))
    to_matrices(vectors.copy(), turns)
    for k in range(len(poses)):
        old[:] = poses[k, :3, :3]
        for i in range(3):
            for j in range(3):
                poses[k, i, j] = turns[k, i, 0] * old[0, j] + turns[k, i, 1] * old[1, j] + turns[k, i, 2] * old[2, j]


@kernel
def pose_residuals(predicted: Float, poses: Float, out: Float) -> None:
    """From predicted to measured (K, 4, 4) poses, into (K, 6): the way (m) and the rotation vector in fixed axes."""
    turns, vectors = np.empty((len(poses), 3, 3)), np.empty((len(poses), 3))
    for k in range(len(poses)):
        for i in range(3):
            for j in range(3):
                total = 0.0
                for m in range(3):
                    total += poses[k, i, m] * predicted[k, j, m]
                turns[k, i, j] = total
    to_vectors(turns, vectors)
    for k in range(len(poses)):
        for i in range(3):
            out[k, i] = poses[k, i, 3] - predicted[k, i, 3]
            out[k, 3 + i] = vectors[k, i]


@kernel
def innovations(covariances: Float, noise: Float, out: Float) -> None:
    """Covariances of the residuals, into (K, 6, 6), of states of (K, 12, 12) measured with `noise` (K, 6, 6)."""
    for k in range(len(out)):
        for i in range(6):
            for j in range(6):
                out[k, i, j] = covariances[k, i, j] + noise[k, i, j]


@kernel
def pair_lengths(
    predicted: Float, covariances: Float, rows: Int, poses: Float, noise: Float, columns: Int, out: Float
) -> None:
    """`part_lengths` of the residuals of P pairs of predictions and measurements.

    Args:
        predicted, covariances: (T, 4, 4) and (T, N, N), N at least 6.
        rows: (P,) which of them.
        poses: (P, 4, 4) measured.
        noise: (D, 6, 6) of the measurements.
        columns: (P,) which of these belongs to each of `poses`.
        out: (P, 3).
    """
    count = len(rows)
    expected, residuals, spread = np.empty((count, 4, 4)), np.empty((count, 6)), np.empty((count, 6, 6))
    for p in range(count):
        row, column = rows[p], columns[p]
        expected[p] = predicted[row]
        for i in range(6):
            for j in range(6):
                spread[p, i, j] = covariances[row, i, j] + noise[column, i, j]
    pose_residuals(expected, poses, residuals)
    part_lengths(residuals, spread, out)


@kernel
def published_covariances(poses: Float, covariances: Float, shared: Float, out: Float) -> None:
    """Covariances of poses against the truth.

    Args:
        poses, covariances: (K, 4, 4) and (K, 12, 12) of the filters.
        shared: (K, 6, 6) what no number of frames averages out, in the axes of the objects.
        out: (K, 6, 6) along the optical axes.
    """
    out[:] = covariances[:, :6, :6]
    add_turned(poses, shared, out)
