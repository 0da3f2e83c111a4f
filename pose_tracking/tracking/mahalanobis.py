"""Residuals of poses, their lengths under their covariances, and what they correct."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float

from .filter_kernels import correcting, find_pairs_within, part_lengths, squared_lengths
from .pose_kernels import pair_lengths, pose_residuals

# By the numbers of measured variables and of all: those of boxes and of poses.
_CORRECTING = {(4, 8): correcting(4, 8), (6, 12): correcting(6, 12)}


def as_contiguous(values: NDArray) -> Float:
    """The values as the kernels take them."""
    return np.ascontiguousarray(values, np.float64)


def squared_length(residual: Float, covariance: Float) -> Float:
    """(K,) squared Mahalanobis lengths of (K, N) residuals."""
    lengths = np.empty(len(residual))
    squared_lengths(as_contiguous(residual), as_contiguous(covariance), lengths)
    return lengths


def pose_lengths(residual: Float, covariance: Float) -> Float:
    """(K, 3) squared Mahalanobis lengths of (K, 6) residuals of poses: of all, of positions and rotations alone."""
    lengths = np.empty((len(residual), 3))
    part_lengths(as_contiguous(residual), as_contiguous(covariance), lengths)
    return lengths


def pairs_within(
    predicted: Float, spread: Float, measured: Float, spread_of: Float, gate: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pairs of (T, 3) and (D, 3) positions that may be within a gate under their covariances.

    A length under a covariance is never less than that under its trace, which is cheap to tell for all pairs.
    """
    rows, columns = find_pairs_within(
        as_contiguous(predicted), as_contiguous(spread), as_contiguous(measured), as_contiguous(spread_of), gate
    )
    return rows, columns


def pose_pair_lengths(
    predicted: Float, spread: Float, rows: NDArray[np.intp], poses: Float, noise: Float, columns: NDArray[np.intp]
) -> Float:
    """(P, 3) `pose_lengths` of pairs: `rows` of (T, 4, 4) predictions, and (P, 4, 4) measured poses.

    The covariances of a pair are its row of `spread` (T, N, N), the first six variables of which count, and that of
    `noise` (D, 6, 6) which `columns` names.
    """
    lengths = np.empty((len(rows), 3))
    pair_lengths(
        as_contiguous(predicted),
        as_contiguous(spread),
        np.ascontiguousarray(rows, np.int64),
        as_contiguous(poses),
        as_contiguous(noise),
        np.ascontiguousarray(columns, np.int64),
        lengths,
    )
    return lengths


def pose_residual(poses: Float, predicted: Float) -> Float:
    """(K, 6) position (m) and rotation vector (rad) from predicted to measured (K, 4, 4) poses."""
    residual = np.empty((len(poses), 6))
    pose_residuals(as_contiguous(predicted), as_contiguous(poses), residual)
    return residual


def correction(covariance: Float, innovation: Float, residual: Float) -> tuple[Float, Float]:
    """What measurements of the first N of M state variables make of Kalman filters: 4 of 8, or 6 of 12.

    Args:
        covariance: (..., M, M) predicted.
        innovation: (..., N, N) covariances of the residuals.
        residual: (..., N) measured less predicted.

    Returns:
        (..., M, M) corrected covariances, symmetric, and (..., M) what is to be added to the states.
    """
    corrected, moves = np.empty(covariance.shape), np.empty(covariance.shape[:-1])
    state, size = covariance.shape[-1], residual.shape[-1]
    _CORRECTING[size, state](
        as_contiguous(covariance).reshape(-1, state, state),
        as_contiguous(innovation).reshape(-1, size, size),
        as_contiguous(residual).reshape(-1, size),
        corrected.reshape(-1, state, state),
        moves.reshape(-1, state),
    )
    return corrected, moves
