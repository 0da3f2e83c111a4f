from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.pipeline.hand_held import HandHeld

PLACES = np.array([[0.0, 0.0, 0.6], [0.1, 0.0, 0.7]])


def moving(x: float, turn: float = 0.0) -> np.ndarray:
    """By x metres to the side, and a turn (rad) about the objects."""
    rotation = Rotation.from_rotvec([0.0, turn, 0.0]).as_matrix()
    centre = np.array([0.0, 0.0, 0.65])
    return make_transform(rotation, centre - rotation @ centre + [x, 0.0, 0.0])


def detected(motions: list[np.ndarray], seconds: float = 0.1) -> bool:
    hand_held = HandHeld()
    for motion in motions:
        hand_held.add(motion, seconds, PLACES)
    return hand_held.detected


def test_a_camera_that_sways_smoothly_or_rests_is_on_a_stand() -> None:
    sway = [moving(0.004 * np.sin(0.2 * k), 0.01 * np.cos(0.2 * k)) for k in range(100)]
    assert not detected([*sway])


def test_a_jerk_is_that_of_a_hand() -> None:
    assert detected([moving(0.003), moving(0.003), moving(0.006), moving(0.003)])


def test_a_camera_that_moves_fast_from_the_start_is_taken_for_one() -> None:
    assert detected([moving(0.007)])
    assert not detected([moving(0.004)])


def test_the_time_between_frames_is_allowed_for() -> None:
    hand_held = HandHeld()
    for seconds in (0.1, 0.1, 0.2, 0.1, 0.3):
        hand_held.add(moving(0.03 * seconds), seconds, PLACES)
    assert not hand_held.detected
