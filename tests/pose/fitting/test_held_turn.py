"""The turn that a frame leaves open stays where it was expected, and goes where the frame fits clearly better."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import ObjectModel
from pose_tracking.pose.fitting.held_turn import held_turn

AXIS, POINT = np.array([0.0, 0.6, 0.8]), np.array([0.02, 0.05, 0.9])
POSE = make_transform(Rotation.from_euler("xyz", [0.3, 1.0, -2.0]).as_matrix(), [0.05, 0.03, 0.92])


def _about_axis(degrees: float) -> np.ndarray:
    turn = Rotation.from_rotvec(np.radians(degrees) * AXIS).as_matrix()
    return make_transform(turn, POINT - turn @ POINT)


def _covariance(pose: np.ndarray, degrees: float) -> np.ndarray:
    turn = np.concatenate([np.cross(AXIS, pose[:3, 3] - POINT), AXIS])
    return np.diag([1e-6] * 3 + [1e-4] * 3) + np.radians(degrees) ** 2 * np.outer(turn, turn)


def _model(symmetries: np.ndarray) -> ObjectModel:
    return ObjectModel(1, "thing", 0.1, np.full(3, -0.05), np.full(3, 0.1), symmetries)


@pytest.mark.parametrize("degrees", [-150.0, -30.0, 8.0, 120.0])
def test_a_turn_about_the_open_axis_is_taken_back_and_nothing_else(degrees: float) -> None:
    aside = make_transform(Rotation.from_rotvec([0.02, 0.0, 0.0]).as_matrix(), [0.002, 0.0, 0.001])
    fitted = _about_axis(degrees) @ aside @ POSE

    held = held_turn(fitted, _covariance(fitted, 50), POSE, _model(np.eye(4)[None]))

    assert held is not None
    np.testing.assert_allclose(held @ np.linalg.inv(fitted) @ np.append(POINT, 1), np.append(POINT, 1), atol=1e-3)
    left = Rotation.from_matrix(held[:3, :3] @ POSE[:3, :3].T).as_rotvec()
    assert abs(left @ AXIS) < np.radians(1.0)
    assert np.linalg.norm(left) == pytest.approx(0.02, abs=0.01)


def test_a_turn_that_the_frame_tells_is_left_alone() -> None:
    fitted = _about_axis(30) @ POSE
    about_z = [
        make_transform(Rotation.from_euler("z", 10 * k, degrees=True).as_matrix(), np.zeros(3)) for k in range(36)
    ]

    assert held_turn(fitted, _covariance(fitted, 5), POSE, _model(np.eye(4)[None])) is None
    assert held_turn(fitted, _covariance(fitted, 50), POSE, _model(np.array(about_z))) is None
    assert held_turn(POSE, _covariance(POSE, 50), POSE, _model(np.eye(4)[None])) is None
