"""Constant-velocity Kalman filter on image boxes, for many tracks at once.

State (x, y, a, h, vx, vy, va, vh): box centre, aspect ratio width / height, height, and their change per nominal frame;
measurement (x, y, a, h). Noise is proportional to the height, as in the public code of Deep SORT (Wojke et al. 2017).
Time steps are real: a step of `steps` nominal frames moves the mean `steps` times as far and adds `steps` times the
process noise, so one step of 1 equals the public code.
"""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float

from .filter_kernels import move_on, squared_distances
from .mahalanobis import as_contiguous, correction

# Standard deviations of position and velocity per pixel of height.
_POSITION, _VELOCITY = 1.0 / 20, 1.0 / 160


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
    half = np.stack([xyah[..., 2] * xyah[..., 3], xyah[..., 3]], -1) / 2
    return np.concatenate([xyah[..., :2] - half, xyah[..., :2] + half], -1)


def initiate(measurement: Float) -> tuple[Float, Float]:
    """Mean (..., 8) and covariance (..., 8, 8) of tracks that begin at (..., 4) measurements (x, y, a, h)."""
    measurement = np.asarray(measurement, float)
    mean = np.concatenate([measurement, np.zeros_like(measurement)], -1)
    return mean, _diagonal(_std(measurement[..., 3], 2 * _POSITION, 1e-2, 10 * _VELOCITY, 1e-5))


def predict(mean: Float, covariance: Float, steps: float) -> tuple[Float, Float]:
    """Move (T, 8) means and (T, 8, 8) covariances on by `steps` nominal frames (>= 0)."""
    variances = steps * _std(mean[..., 3], _POSITION, 1e-2, _VELOCITY, 1e-5) ** 2
    moved = np.array(mean, float)
    moved[..., :4] += steps * moved[..., 4:]
    spread = np.array(covariance, float)
    cross = np.zeros((len(spread), 4))
    move_on(spread, float(steps), as_contiguous(variances[:, :4]), cross, as_contiguous(variances[:, 4:]))
    return moved, spread


def project(mean: Float, covariance: Float) -> tuple[Float, Float]:
    """Expected measurement (T, 4) and its innovation covariance (T, 4, 4)."""
    height = mean[..., 3]
    std = np.stack([_POSITION * height, _POSITION * height, np.full_like(height, 1e-1), _POSITION * height], -1)
    return mean[..., :4], covariance[..., :4, :4] + _diagonal(std)


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


def _std(height: Float, position: float, aspect: float, velocity: float, aspect_velocity: float) -> Float:
    p, v = position * height, velocity * height
    a, va = np.full_like(height, aspect), np.full_like(height, aspect_velocity)
    return np.stack([p, p, a, p, v, v, va, v], -1)


def _diagonal(std: Float) -> Float:
    out = np.zeros((*std.shape, std.shape[-1]))
    index = np.arange(std.shape[-1])
    out[..., index, index] = std**2
    return out
