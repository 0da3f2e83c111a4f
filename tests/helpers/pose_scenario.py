"""Seeded boxes, features and 6D poses of copies on a table, for tests of the pose motion."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, PoseEstimate

CAMERA = CameraIntrinsics(640, 480, 570.0, 570.0, 319.5, 239.5)
SIGMA = np.array([0.005] * 3 + [0.05] * 3)
COVARIANCE = np.diag(SIGMA**2)
ALIKE = np.ones(8, np.float32)


def at(x: float, y: float = 0.0, z: float = 0.8, turn: float = 0.0) -> np.ndarray:
    """A pose, metres, turned by `turn` radians about z."""
    return make_transform(Rotation.from_rotvec([0, 0, turn]).as_matrix(), [x, y, z])


def detect(pose: np.ndarray, feature: np.ndarray | None = ALIKE, obj_id: int = 1, side: float = 0.1) -> Detection:
    """A detection of a cube of `side` metres at `pose`."""
    (u, v), reach = CAMERA.project(pose[:3, 3]), 0.5 * side * CAMERA.fx / pose[2, 3]
    box = np.array([u - reach, v - reach, u + reach, v + reach])
    return Detection(obj_id, 0.9, box, feature, PoseEstimate(pose, 0.9, COVARIANCE))


def noisy(pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`pose` with measurement noise of `COVARIANCE`."""
    error = rng.normal(0, SIGMA)
    return make_transform(Rotation.from_rotvec(error[3:]).as_matrix() @ pose[:3, :3], pose[:3, 3] + error[:3])


def grid(count: int, spacing: float = 0.25) -> list[np.ndarray]:
    """Poses of `count` things on a square grid, all in front of the camera."""
    side = max(int(np.ceil(np.sqrt(count))), 1)
    return [at((k % side - side / 2) * spacing, (k // side - side / 2) * spacing, 6.0) for k in range(count)]
