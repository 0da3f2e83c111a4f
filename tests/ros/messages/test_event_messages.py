"""The message of ``~/events``."""

from __future__ import annotations

import numpy as np
from event_story import standing, track

from pose_tracking.core.events import Activity, Event, EventKind
from pose_tracking.ros.messages.conversions import make_header, track_event_array

FELL = Event(EventKind.FELL, 7, 1, "box", 1_500_000_000, 1_900_000_001, 0.75, "from a shelf")


def test_events_and_activities_are_sent_as_they_were_told():
    thing, unknown = track(7, standing(), np.random.default_rng(0)), track(8, standing(), np.random.default_rng(0))
    thing.activity = Activity.FALLING

    message = track_event_array(make_header(2_000_000_000, "camera"), [FELL], [thing, unknown], {7: 1_500_000_000})

    (event,), (activity,) = message.events, message.activities
    assert (event.kind, event.track_id, event.obj_id, event.class_name) == ("fell", 7, 1, "box")
    assert (event.onset.sec, event.onset.nanosec) == (1, 500_000_000)
    assert (event.end.sec, event.end.nanosec) == (1, 900_000_001)
    assert (event.confidence, event.note) == (0.75, "from a shelf")
    assert (activity.track_id, activity.activity, activity.since.nanosec) == (7, activity.FALLING, 500_000_000)
