"""Constant-velocity Kalman filter on image boxes, for many tracks at once.

State (x, y, a, h, vx, vy, va, vh): box centre, aspect ratio width / height, height, and their change per nominal frame;
measurement (x, y, a, h). Noise is proportional to the height, as in the public code of Deep SORT (Wojke et al. 2017).
Time steps are real: a step of `steps` nominal frames moves the mean `steps` times as far and adds `steps` times the
process noise, so one step of 1 equals the public code.
"""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float

from .box_kernels import ASPECT, ASPECT_VELOCITY, POSITION, VELOCITY, box_innovations, move_boxes
from .filter_kernels import squared_distances
from .mahalanobis import as_contiguous, correction


def to_xyah(boxes: Float) -> Float:
    """(..., 4) corner boxes (x_min, y_min, x_max, y_max) to (x, y, a, h)."""
    boxes = np.asarray(boxes, float)
    out = np.empty(boxes.shape)
    out[..., :2] = (boxes[..., :2] + boxes[..., 2:]) / 2
    out[..., 3] = np.maximum(boxes[..., 3] - boxes[..., 1], 1e-6)
    out[..., 2] = (boxes[..., 2] - boxes[..., 0]) / out[..., 3]
    return out


def to_corners(xyah: Float) -> Float:
    """(..., 4) boxes (x, y, a, h) to corners (x_min, y_min, x_max, y_max)."""
    xyah = np.asarray(xyah, float)
    half = xyah[..., 2:] / 2
    half[..., 0] *= xyah[..., 3]
    out = np.empty(xyah.shape)
    out[..., :2], out[..., 2:] = xyah[..., :2] - half, xyah[..., :2] + half
    return out


def initiate(measurement: Float) -> tuple[Float, Float]:
    """Mean (..., 8) and covariance (..., 8, 8) of tracks that begin at (..., 4) measurements (x, y, a, h)."""
    measurement = np.asarray(measurement, float)
    height = measurement[..., 3]
    p, v = 2 * POSITION * height, 10 * VELOCITY * height
    a, va = np.full_like(height, ASPECT), np.full_like(height, ASPECT_VELOCITY)
    covariance = np.zeros((*height.shape, 8, 8))
    covariance[..., range(8), range(8)] = np.stack([p, p, a, p, v, v, va, v], -1) ** 2
    return np.concatenate([measurement, np.zeros_like(measurement)], -1), covariance


def predict(mean: Float, covariance: Float, steps: float) -> tuple[Float, Float]:
    """Move (T, 8) means and (T, 8, 8) covariances on by `steps` nominal frames (>= 0)."""
    moved, spread = np.empty(mean.shape), np.empty(covariance.shape)
    move_boxes(as_contiguous(mean), as_contiguous(covariance), float(steps), moved, spread)
    return moved, spread


def project(mean: Float, covariance: Float) -> tuple[Float, Float]:
    """Expected measurement (..., 4) and its innovation covariance (..., 4, 4)."""
    innovation = np.empty((*mean.shape[:-1], 4, 4))
    box_innovations(
        as_contiguous(mean).reshape(-1, 8), as_contiguous(covariance).reshape(-1, 8, 8), innovation.reshape(-1, 4, 4)
    )
    return mean[..., :4], innovation


def update(mean: Float, covariance: Float, measurement: Float) -> tuple[Float, Float]:
    """Correct means (..., 8) and covariances (..., 8, 8), each by its own measurement (..., 4)."""
    expected, innovation = project(mean, covariance)
    corrected, moves = correction(covariance, innovation, measurement - expected)
    return mean + moves, corrected


def squared_mahalanobis(mean: Float, covariance: Float, measurements: Float) -> Float:
    """(T, D) squared Mahalanobis distances of D measurements (x, y, a, h) to T tracks."""
    expected, innovation = project(mean, covariance)
    distances = np.empty((len(mean), len(measurements)))
    squared_distances(as_contiguous(expected), as_contiguous(innovation), as_contiguous(measurements), distances)
    return distances
