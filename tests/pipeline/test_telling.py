"""What the events are given of the camera."""

from __future__ import annotations

import numpy as np
import pytest
from event_story import CAMERA, EMPTY, NO_COLOR, OBJECTS, standing, track

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform
from pose_tracking.events import EventConfig, EventDetector
from pose_tracking.events.watchers import Watchers
from pose_tracking.pipeline.frame_report import FrameReport
from pose_tracking.pipeline.hand_held import HandHeldCamera
from pose_tracking.pipeline.telling import tell_events
from pose_tracking.simulation.scenery.rooms import looking_at


@pytest.mark.parametrize("measures", [True, False])
def test_events_are_told_in_the_frame_where_a_moving_camera_began(measures: bool) -> None:
    detector, camera, rng, kinds = EventDetector(OBJECTS), HandHeldCamera(), np.random.default_rng(0), set()
    start = looking_at(np.zeros(3), 0.4, 0.5, 1.1)
    for number in range(60):
        view = looking_at(np.zeros(3), 0.4 + 0.2 * np.sin(0.15 * number), 0.5, 1.1)
        if measures:
            camera.pose = invert_transform(start) @ view
        frame = RGBDFrame(NO_COLOR, EMPTY, CAMERA, (number + 1) * 100_000_000)
        report = FrameReport()
        tracked = [track(1, standing(), rng, view=view)]
        tell_events(detector, Watchers(), EventConfig(), frame, tracked, report, camera)
        kinds |= {event.kind.value for event in report.events}

    assert kinds == {"appeared"} if measures else "moved" in kinds
