"""The message of ``~/events``."""

from __future__ import annotations

import numpy as np
from event_story import standing, track

from pose_tracking.core.events import Activity, ClipVerdict, Event, EventKind
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


def test_what_the_clip_network_says_cannot_be_taken_for_an_event_of_the_rules():
    thing = track(7, standing(), np.random.default_rng(0))
    said = ClipVerdict("fell", 0.8, 1_000_000_000, 2_500_000_000)

    message = track_event_array(make_header(2_500_000_000, "camera"), [FELL], [thing], {}, {7: said, 9: said})

    rule, clip = message.events
    assert (rule.kind, clip.kind) == ("fell", "clip:fell")
    assert (clip.track_id, clip.class_name, clip.onset.sec, clip.end.sec) == (7, "box", 1, 2)
    assert abs(clip.confidence - 0.8) < 1e-6
