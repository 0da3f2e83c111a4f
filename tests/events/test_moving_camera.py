"""Rules before a camera that moves: its pose is known, or was measured from frame to frame, or was lost on the way."""

from __future__ import annotations

import numpy as np
import pytest
from event_story import CAMERA, EMPTY, NO_COLOR, OBJECTS, VIEW, kinds, standing, told, track
from scipy.spatial.transform import Rotation

from pose_tracking.core.events import Activity
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.events import EventConfig, EventDetector
from pose_tracking.events.measured_camera import MeasuredCamera
from pose_tracking.simulation.scenery.rooms import looking_at
from pose_tracking.simulation.sequences.scripted import Carry

# Up is not looked for: no depth shows a support here.
NO_GRAVITY = EventConfig(gravity="unknown")


def _around(seconds: float) -> np.ndarray:
    """A camera that goes about the table by 15 cm/s at most, held by hand."""
    wave = 0.25 * np.sin(0.6 * seconds) + 0.01 * np.sin(9 * seconds)
    return looking_at(np.zeros(3), 0.4 + wave, 0.5 + 0.3 * wave, 1.1)


def _measured(seconds: float) -> MeasuredCamera:
    return MeasuredCamera(invert_transform(_around(0.0)) @ _around(seconds))


@pytest.mark.parametrize("rate", [2, 10, 30])
@pytest.mark.parametrize("count", [1, 2])
def test_a_camera_that_was_measured_to_move_moves_no_thing(rate: int, count: int) -> None:
    things = [lambda t, x=x: standing(x) for x in (0.0, 0.2)[:count]]

    assert told(things, 20, rate, knows_camera=False, view=_around, camera=_measured) == []
    # One whose motion nobody measures does.
    assert "moved" in kinds(told(things, 20, rate, knows_camera=False, view=_around, config=NO_GRAVITY))


def test_what_moves_before_a_moving_camera_is_told() -> None:
    carry = Carry(standing(), standing(0.3, 0.1), 2.0, 0.15)

    def path(t: float) -> np.ndarray:
        return carry.pose(float(np.clip(t - 3, 0, 2)))

    things = [path, lambda t: standing(-0.2)]
    events = told(things, 9, 30, knows_camera=False, view=_around, camera=_measured, config=NO_GRAVITY)

    assert [(e.kind.value, e.identity) for e in events] == [("moved", 1)]
    assert abs(events[0].onset_ns * 1e-9 - 4) < 0.35  # a careful hand begins slowly
    assert abs(events[0].end_ns * 1e-9 - 6) < 0.35


@pytest.mark.parametrize("knows_camera", [False, True])
def test_a_pose_of_the_camera_that_drifts_moves_nothing(knows_camera: bool) -> None:
    """By 30 degrees and 18 cm in two minutes: odometry, of wheels or of pictures."""

    def drifted(seconds: float) -> np.ndarray:
        turn = Rotation.from_rotvec([0.0, 0.0, np.radians(0.25) * seconds]).as_matrix()
        return make_transform(turn, [0.0015 * seconds, 0.0, 0.0])

    rng, detector = np.random.default_rng(0), EventDetector(OBJECTS, NO_GRAVITY)
    events = []
    for time in np.arange(600) / 5:
        believed = drifted(time) @ _around(time)
        pose = believed if knows_camera else None
        frame = RGBDFrame(NO_COLOR, EMPTY, CAMERA, round((1 + time) * 1e9), camera_pose=pose)
        things = [track(1, standing(), rng, view=_around(time))]
        events += detector.update(frame, things, None if knows_camera else MeasuredCamera(believed))

    assert kinds(events) == ["appeared"]


def test_a_thing_that_turns_slowly_before_a_camera_at_rest_has_moved() -> None:
    def path(t: float) -> np.ndarray:
        turned = standing()
        turned[:3, :3] = Rotation.from_rotvec([0, 0, np.radians(1.0) * np.clip(t - 3, 0, 60)]).as_matrix()
        return turned

    assert "moved" in kinds(told(path, 70, 5))


def test_places_are_not_compared_over_a_way_that_was_lost() -> None:
    """One frame does not tell how far the camera has moved: the places before are worth nothing from there on."""
    jump = make_transform(Rotation.from_rotvec([0.05, 0.02, 0.0]).as_matrix(), [0.06, 0.0, 0.02])

    def view(t: float) -> np.ndarray:
        return VIEW if t < 4 else VIEW @ jump

    def camera(t: float) -> MeasuredCamera:
        return MeasuredCamera(np.eye(4), int(t >= 4) * says_so)

    says_so, detector = 1, EventDetector(OBJECTS, NO_GRAVITY)
    assert told(lambda t: standing(), 8, 10, detector=detector, knows_camera=False, view=view, camera=camera) == []
    assert detector.activities[1][0] == Activity.STILL
    says_so = 0
    assert kinds(told(lambda t: standing(), 8, 10, knows_camera=False, view=view, camera=camera)) == ["moved"]
