"""The turn that a frame leaves open stays where it was expected, whatever the fit made of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.pose.fitting.ambiguous_turn import OpenTurn
from pose_tracking.pose.fitting.held_turn import held_turn

AXIS, POINT = np.array([0.0, 0.6, 0.8]), np.array([0.02, 0.05, 0.9])
POSE = make_transform(Rotation.from_euler("xyz", [0.3, 1.0, -2.0]).as_matrix(), [0.05, 0.03, 0.92])


def _about_axis(degrees: float) -> np.ndarray:
    turn = Rotation.from_rotvec(np.radians(degrees) * AXIS).as_matrix()
    return make_transform(turn, POINT - turn @ POINT)


def _open(degrees: float) -> OpenTurn:
    return OpenTurn((AXIS, POINT), np.radians(degrees) ** 2)


@pytest.mark.parametrize("degrees", [-150.0, -30.0, 8.0, 120.0])
def test_a_turn_about_the_open_axis_is_taken_back_and_nothing_else(degrees: float) -> None:
    aside = make_transform(Rotation.from_rotvec([0.02, 0.0, 0.0]).as_matrix(), [0.002, 0.0, 0.001])
    fitted = _about_axis(degrees) @ aside @ POSE

    held = held_turn(fitted, _open(50), POSE)

    assert held is not None
    np.testing.assert_allclose(held @ np.linalg.inv(fitted) @ np.append(POINT, 1), np.append(POINT, 1), atol=1e-3)
    left = Rotation.from_matrix(held[:3, :3] @ POSE[:3, :3].T).as_rotvec()
    assert abs(left @ AXIS) < np.radians(1.0)
    assert np.linalg.norm(left) == pytest.approx(0.02, abs=0.01)


def test_a_turn_that_the_frame_tells_is_left_alone() -> None:
    fitted = _about_axis(30) @ POSE

    assert held_turn(fitted, _open(5), POSE) is None
    assert held_turn(POSE, _open(50), POSE) is None
