"""Things that are suddenly elsewhere: they keep their identity where nothing else can have it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pose_scenario import at, detect
from tracking_scenario import one_object

from pose_tracking.tracking import Tracker
from pose_tracking.tracking.config import TrackingConfig

G = 9.81


def _resting(*poses, config=None):
    tracker = Tracker(config or TrackingConfig(), one_object())
    for k in range(10):
        tracker.update([detect(p) for p in poses], k / 10)
    return tracker


@pytest.mark.parametrize("rate", [8, 10, 15, 30])
@pytest.mark.parametrize("height", [0.2, 0.5, 1.0])
def test_what_falls_and_lies_keeps_its_identity_and_is_where_it_is_seen(rate, height):
    tracker = _resting(at(0.0))
    for k in range(1, 2 * rate):
        way = min(0.5 * G * (k / rate) ** 2, height)
        objects = tracker.update([detect(at(0.0, y=way))], 0.9 + k / rate)
        assert [o.track_id for o in objects] == [1]
        assert objects[0].pose is not None
        assert objects[0].pose[1, 3] == pytest.approx(way, abs=0.03)


def test_of_two_missing_ones_nobody_knows_which_it_was():
    tracker = _resting(at(0.0), at(0.3))

    objects = tracker.update([detect(at(0.15, y=0.05))], 1.0)

    assert sorted(o.track_id for o in objects) == [1, 2, 3]


def test_of_two_new_ones_neither():
    tracker = _resting(at(0.0))

    objects = tracker.update([detect(at(0.0, y=0.08)), detect(at(0.08))], 1.0)

    assert sorted(o.track_id for o in objects) == [1, 2, 3]


def test_one_that_others_have_found_where_it_was_has_not_moved():
    tracker = _resting(at(0.0))
    tracker.predict(1.0)
    association = tracker.associate([detect(at(0.0, y=0.08))])
    (track,) = association.unmatched_tracks

    objects = tracker.commit(association, [(track, detect(at(0.0)))])

    assert [o.track_id for o in objects] == [1, 2]


@pytest.mark.parametrize(
    ("config", "way", "seconds"),
    [
        (TrackingConfig(), 0.3, 0.1),  # farther than gravity brings anything
        (TrackingConfig(), 0.3, 0.7),  # unseen for too long
        (TrackingConfig(sudden_acceleration=0.0), 0.08, 0.1),
        (TrackingConfig(motion="box"), 0.08, 0.1),
    ],
)
def test_what_cannot_be_it_is_another(config, way, seconds):
    tracker = _resting(at(0.0), config=config)
    far = detect(at(0.0, y=way))
    far.box = far.box + np.array([0, 300, 0, 300])

    objects = tracker.update([far], 0.9 + seconds)

    assert len(objects) == 2


def _seen_unsurely(tracker, unsure, sure=(), stamp=1.0):
    tracker.predict(stamp)
    association = tracker.associate([*sure, *unsure])
    left = [d for d in association.unmatched_detections if not any(d is each for each in unsure)]
    return tracker.commit(replace(association, unmatched_detections=left, unsure=list(unsure)))


def _below(way):
    found = detect(at(0.0, y=way))
    found.box = found.box + np.array([0, 300, 0, 300])  # far from where it was expected in the picture, too
    return found


def test_what_falls_and_is_detected_too_unsurely_to_begin_a_track_goes_on():
    objects = _seen_unsurely(_resting(at(0.0)), [_below(0.08)])

    assert [(o.track_id, o.is_observed) for o in objects] == [(1, True)]


def test_an_unsure_detection_that_it_cannot_be_begins_nothing():
    objects = _seen_unsurely(_resting(at(0.0)), [_below(0.6)])

    assert [(o.track_id, o.is_observed) for o in objects] == [(1, False)]


def test_a_sure_detection_goes_before_an_unsure_one():
    sure = _below(0.08)
    objects = _seen_unsurely(_resting(at(0.0)), [_below(-0.08)], [sure])

    assert [o.track_id for o in objects] == [1]
    assert objects[0].detection is sure
