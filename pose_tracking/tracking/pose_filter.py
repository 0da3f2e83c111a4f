"""Smoothed 6D pose of one track: a constant-velocity Kalman filter with an error state on the rotation.

State: position p and rotation R of the object in the optical frame, linear velocity v and angular velocity w along the
optical axes. The error state (dp, dtheta, dv, dw) is small, with R_true = Exp(dtheta) R, so the filter has no
singularity and its covariance is in the convention of ROS (x, y, z and rotation about the fixed axes). Error-state
filtering: Sola 2017, arXiv:1711.02508.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry import make_transform, rotation_angle
from .config import TrackingConfig

Float = NDArray[np.float64]

# Spread of the velocities of an object seen for the first time: m/s and rad/s.
_INITIAL_SPEED, _INITIAL_TURN = 0.3, 1.0
# Smallest standard deviations of a measured pose (m, rad): an overconfident measurement must not freeze the filter.
_FLOOR = np.array([5e-4] * 3 + [5e-3] * 3)


def nearest_equivalent(pose: Float, reference: Float, symmetries: Float) -> Float:
    """The pose among ``pose @ symmetries`` whose rotation is nearest to that of `reference`.

    Args:
        pose, reference: (4, 4) poses.
        symmetries: (S, 4, 4) transforms that map the object onto itself.
    """
    if len(symmetries) == 1:
        return pose
    candidates = pose @ symmetries
    angles = rotation_angle(np.swapaxes(candidates[:, :3, :3], -1, -2) @ reference[:3, :3])
    return candidates[int(np.argmin(angles))]


class PoseFilter:
    """Pose, velocity and covariance of one object over time.

    Args:
        pose: (4, 4) first measured pose.
        covariance: (6, 6) of that measurement.
        symmetries: (S, 4, 4) symmetry transforms of the object.
        config: noise and gate.
    """

    _position: Float
    _rotation: Float
    _linear: Float
    _angular: Float
    _covariance: Float
    _outliers: int

    def __init__(self, pose: Float, covariance: Float, symmetries: Float, config: TrackingConfig) -> None:
        self._symmetries = symmetries
        self._config = config
        self._start(pose, covariance)

    @property
    def pose(self) -> Float:
        """(4, 4) filtered pose."""
        return make_transform(self._rotation, self._position)

    @property
    def covariance(self) -> Float:
        """(6, 6) covariance of (x, y, z, rx, ry, rz) in m^2 and rad^2."""
        return self._covariance[:6, :6].copy()

    @property
    def velocity(self) -> Float:
        """(6,) linear (m/s) and angular (rad/s) velocity along the optical axes."""
        return np.concatenate([self._linear, self._angular])

    def predict(self, dt: float) -> None:
        """Move on by `dt` seconds."""
        self._position = self._position + self._linear * dt
        self._rotation = Rotation.from_rotvec(self._angular * dt).as_matrix() @ self._rotation
        transition = np.eye(12)
        transition[:6, 6:] = dt * np.eye(6)
        # White noise on the acceleration, exact for this transition.
        density = np.repeat([self._config.acceleration_noise**2, self._config.angular_acceleration_noise**2], 3)
        noise = np.zeros((12, 12))
        noise[:6, :6] = np.diag(density * dt**3 / 3)
        noise[:6, 6:] = noise[6:, :6] = np.diag(density * dt**2 / 2)
        noise[6:, 6:] = np.diag(density * dt)
        self._covariance = transition @ self._covariance @ transition.T + noise

    def move_camera(self, motion: Float) -> None:
        """Express the state in a new optical frame; `motion` is (4, 4) ``T_new_old``."""
        rotation = motion[:3, :3]
        self._position = rotation @ self._position + motion[:3, 3]
        self._rotation = rotation @ self._rotation
        self._linear, self._angular = rotation @ self._linear, rotation @ self._angular
        turn = np.kron(np.eye(4), rotation)
        self._covariance = turn @ self._covariance @ turn.T

    def update(self, pose: Float, covariance: Float) -> bool:
        """Correct by a measured (4, 4) pose with (6, 6) covariance.

        A measurement beyond the gate is left out, unless it is the last of `pose_max_outliers` in a row: then the
        filter was wrong and starts again.

        Returns:
            Whether the measurement was used.
        """
        pose = nearest_equivalent(pose, self.pose, self._symmetries)
        residual = np.empty(6)
        residual[:3] = pose[:3, 3] - self._position
        residual[3:] = Rotation.from_matrix(pose[:3, :3] @ self._rotation.T).as_rotvec()
        innovation = self._covariance[:6, :6] + _with_floor(covariance)
        distance = residual @ np.linalg.solve(innovation, residual)
        if distance > self._config.pose_gate:
            self._outliers += 1
            if self._outliers >= self._config.pose_max_outliers:
                self._start(pose, covariance)
                return True
            return False
        self._outliers = 0
        gain = np.linalg.solve(innovation, self._covariance[:6]).T
        correction = gain @ residual
        self._position = self._position + correction[:3]
        self._rotation = Rotation.from_rotvec(correction[3:6]).as_matrix() @ self._rotation
        self._linear = self._linear + correction[6:9]
        self._angular = self._angular + correction[9:]
        corrected = self._covariance - gain @ innovation @ gain.T
        self._covariance = (corrected + corrected.T) / 2
        return True

    def _start(self, pose: Float, covariance: Float) -> None:
        self._position = np.array(pose[:3, 3], float)
        self._rotation = np.array(pose[:3, :3], float)
        self._linear, self._angular = np.zeros(3), np.zeros(3)
        self._covariance = np.diag(np.repeat([0, 0, _INITIAL_SPEED**2, _INITIAL_TURN**2], 3).astype(float))
        self._covariance[:6, :6] = _with_floor(covariance)
        self._outliers = 0


def _with_floor(covariance: Float) -> Float:
    covariance = np.asarray(covariance, float)
    return (covariance + covariance.T) / 2 + np.diag(_FLOOR**2)
