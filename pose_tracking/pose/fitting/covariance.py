"""How sure a pose is: a 6x6 covariance of (x, y, z, rx, ry, rz) in the optical frame.

The perturbation is that of ROS: the object's origin moves by (x, y, z) and the object turns about its origin by the
rotation vector (rx, ry, rz), both expressed in the axes of the optical frame. A surface point p with normal n then
moves along n by ``n . d + ((p - t) x n) . r``; that row is the Jacobian of a point-to-plane residual and the inverse
of their Gauss-Newton information is the covariance of the refined pose (Censi 2007 without the term of the
correspondences).

That counts the noise of the readings down by their number. What many of them share (`depth_noise.offset` and the
others) stays: it is led through the same fit, and kept apart, for the frames share it too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, Int, valid_depth
from pose_tracking.core.depth_noise import DepthNoise
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import cross, nearest_equivalent, view_rotation
from pose_tracking.core.rotations import rotation_vectors
from pose_tracking.core.symmetry_axis import UNKNOWN_ANGLE, symmetry_axis
from pose_tracking.objects import ObjectModel
from pose_tracking.pose.config import CovarianceConfig

from .covariance_kernels import bound_covariance, covariance_of_fit
from .surface_samples import ObjectSurface

# Angle (rad) within which readings may share an error that changes from frame to frame: 15 px at 572 px. Residuals of
# two real sensors (active stereo, structured light) correlate by 0.5 at a third of it, by less than 0.1 at all of it.
_SHARING = 0.026
# Square metres: residuals that sum up to less are rounding.
_LEAST_SQUARE = 1e-12
_SHARED_POINTS = 150  # points that tell what an error they share does to the pose


def depth_covariance(
    config: CovarianceConfig,
    model: ObjectModel,
    surface: ObjectSurface,
    points: Float,
    pose: Float,
    noise: DepthNoise,
    visible_px: float,
    max_distance: float,
    confidence: float = 1.0,
    outline: float | None = None,
    match: Int | None = None,
) -> tuple[Float, Float]:
    """Covariance of a pose that was fitted to measured points.

    Args:
        config: options.
        model: the object.
        surface: its surface samples.
        points: (P, 3) measured points in the camera frame, metres.
        pose: (4, 4) ``T_camera_object``.
        noise: the sensor's; a fit cannot be better than it says.
        visible_px: pixels of the object with readings, of which `points` are a sample; see `own_readings`.
        max_distance: metres; points farther from the surface are not the object's.
        confidence: of the pose, 0 to 1; the covariance grows as it falls.
        outline: standard deviation (m) of the position across the view ray that the object's outline leaves, where it
            was compared with the frame; flat sides seen from one side let the points slide within them.
        match: (P,) what `SampleGrid.nearest` says of the points; None: it is asked.

    Returns:
        (6, 6) covariance, symmetric and positive definite, and (6, 6) the part of it that all frames share. Directions
        the points do not bind (a rotation about an axis of symmetry) get the variance of not knowing.
    """
    ignorance = _ignorance(model)
    prior = np.diag(1 / ignorance)
    if outline is not None:
        across = view_rotation(pose[:3, 3])[:, :2]
        prior[:3, :3] += across @ across.T / outline**2
    pose, points = np.ascontiguousarray(pose, np.float64), np.ascontiguousarray(points, np.float64)
    grid, errors = surface.grid, noise.config
    match = grid.nearest(points, pose, max_distance) if match is None else match
    covariance, shared = np.empty((2, 6, 6))
    readings = max(visible_px, 1.0) / config.correlation_px**2
    scatter = np.full(6, config.systematic**2)
    scatter[3:] /= (0.4 * model.diameter) ** 2
    is_bound = covariance_of_fit(
        points,
        pose,
        match,
        grid.samples,
        grid.normals,
        prior,
        (float(noise.sigma(pose[2, 3])), float(readings), _SHARING, _LEAST_SQUARE),
        _SHARED_POINTS,
        (errors.offset, errors.relative, errors.lateral, errors.warp, errors.warp_length * model.diameter),
        scatter,
        _growth(config, confidence),
        ignorance,
        _free_turn(model, pose),
        covariance,
        shared,
    )
    return (covariance, shared) if is_bound else (np.asarray(np.linalg.inv(prior), float), np.zeros((6, 6)))


def own_readings(
    config: CovarianceConfig, frame: RGBDFrame, mask: Bool, visible_px: float, corner: tuple[int, int] = (0, 0)
) -> float:
    """How many of `visible_px` pixels with depth count as read by the sensor: holes were filled, images enlarged.

    Args:
        config: says within how many pixels readings share their error anyway.
        frame: the frame; depth of a longer focal length than `CameraIntrinsics.density` is 1 at is taken for enlarged.
        mask: (h, w) bool, where the pixels lie: of the frame, or of a part of it.
        visible_px: number of pixels.
        corner: row and column of the frame at which the mask begins.
    """
    share = 1.0
    if frame.readings is not None:
        rows, cols = (slice(first, first + length) for first, length in zip(corner, mask.shape, strict=True))
        readings, depth = frame.readings[rows, cols][mask], frame.depth[rows, cols][mask]
        share = min(1.0, valid_depth(readings).sum() / max(valid_depth(depth).sum(), 1))
    # One reading among those that share an error tells it.
    told = 1.0 - (1.0 - share) ** (config.correlation_px**2)
    return float(visible_px * told / max(frame.intrinsics.density, 1.0))


def hypotheses_covariance(
    config: CovarianceConfig,
    model: ObjectModel,
    poses: Float,
    confidences: NDArray[np.floating],
    confidence: float = 1.0,
) -> Float:
    """Covariance of a pose that is the network's alone: the spread of its hypotheses, seen from the best.

    Args:
        config: options; the spread is added to the network's typical errors given there.
        model: the object; hypotheses that differ by one of its symmetries are the same.
        poses: (K, 4, 4) hypotheses in the camera frame; the first is the one handed out.
        confidences: (K,) the network's confidences.
        confidence: of the pose, 0 to 1.
    """
    aligned = nearest_equivalent(poses, poses[0], model.symmetries)
    delta = np.zeros((len(poses), 6))
    delta[:, :3] = aligned[:, :3, 3] - poses[0, :3, 3]
    delta[:, 3:] = rotation_vectors(aligned[:, :3, :3] @ poses[0, :3, :3].T)
    weights = np.maximum(np.asarray(confidences, float), 1e-6)
    spread = (delta * weights[:, None]).T @ delta / weights.sum()
    typical = np.array([config.network_position * model.diameter] * 3 + [config.network_rotation] * 3)
    bounded = np.linalg.inv(np.linalg.inv(spread + np.diag(typical**2)) + np.diag(1 / _ignorance(model)))
    return _finish(config, bounded, model, poses[0], confidence)


def _ignorance(model: ObjectModel) -> Float:
    """(6,) variances of a pose nobody knows, but for where the object's points lie."""
    return np.array([(0.5 * model.diameter) ** 2] * 3 + [UNKNOWN_ANGLE] * 3)


def _finish(config: CovarianceConfig, covariance: Float, model: ObjectModel, pose: Float, confidence: float) -> Float:
    """Grow `covariance` with doubt, bound it by ignorance and free the turn about a continuous symmetry axis."""
    growth, turn = _growth(config, confidence), _free_turn(model, pose)
    return np.asarray(bound_covariance(np.ascontiguousarray(covariance), growth, _ignorance(model), turn))


def _growth(config: CovarianceConfig, confidence: float) -> float:
    confidence = min(max(float(confidence), 0.01), 1.0)
    return float(1 + config.doubt * (1 - confidence) / confidence)


def _free_turn(model: ObjectModel, pose: Float) -> Float:
    """(6,) turn about a continuous symmetry axis, times the standard deviation of not knowing it; 0 without one."""
    axis = symmetry_axis(model.symmetries) if model.is_symmetric else None
    turn = np.zeros(6)
    if axis is not None:
        turn[3:] = pose[:3, :3] @ axis[0]
        turn[:3] = cross(turn[3:], -pose[:3, :3] @ axis[1])  # of the way from the axis to the object's origin
        turn *= np.sqrt(UNKNOWN_ANGLE)
    return turn
