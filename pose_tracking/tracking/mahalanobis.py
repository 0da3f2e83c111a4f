"""Residuals of poses, and lengths of residuals under their covariances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float
from pose_tracking.core.rotations import rotation_vectors


def squared_length(residual: Float, covariance: Float) -> Float:
    """(K,) squared Mahalanobis lengths of (K, N) residuals."""
    return np.asarray((residual * np.linalg.solve(covariance, residual[..., None])[..., 0]).sum(-1))


def pairs_within(
    predicted: Float, spread: Float, measured: Float, spread_of: Float, gate: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pairs of (T, 3) and (D, 3) positions that may be within a gate under their covariances.

    A length under a covariance is never less than that under its trace, which is cheap to tell for all pairs.
    """
    difference = measured[None] - predicted[:, None]
    bound = np.trace(spread, axis1=1, axis2=2)[:, None] + np.trace(spread_of, axis1=1, axis2=2)
    rows, columns = np.nonzero((difference * difference).sum(-1) <= gate * bound)
    return rows, columns


def pose_residual(poses: Float, predicted: Float) -> Float:
    """(K, 6) position (m) and rotation vector (rad) from predicted to measured (K, 4, 4) poses."""
    turn = poses[:, :3, :3] @ np.swapaxes(predicted[:, :3, :3], 1, 2)
    return np.concatenate([poses[:, :3, 3] - predicted[:, :3, 3], rotation_vectors(turn)], axis=1)
