"""Scores of events: whom they are about, when they were, and how late they were told."""

from __future__ import annotations

import numpy as np
import pytest
from event_story import CAMERA, EMPTY, NO_COLOR, VIEW, standing, track

from pose_tracking.core.events import Event, EventKind
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.evaluation.metrics.events import EventScorer, temporal_iou

S = 1_000_000_000


def _event(kind, onset, end, identity=1, confidence=1.0, obj_id=1):
    return Event(EventKind(kind), identity, obj_id, "box", round(onset * S), round(end * S), confidence)


def _score(told, happened, places=((7, 1, 0.0),), seconds=10, knows=True):
    """Scores of events told as (event, told at) of tracks (track ID, instance, x) that stand still."""
    scorer, rng = EventScorer(), np.random.default_rng(0)
    for k in range(seconds * 10):
        now = k / 10
        frame = RGBDFrame(NO_COLOR, EMPTY, CAMERA, k * S // 10, camera_pose=VIEW)
        truth = [GroundTruthObject(1, invert_transform(VIEW) @ standing(x), instance_id=i) for _, i, x in places]
        over = [e for e in happened if e.end_ns == frame.stamp_ns]
        sample = Sample(frame, truth, events=over if knows else None)
        tracked = [track(number, standing(x), rng) for number, _, x in places]
        scorer.add(sample, tracked, [e for e, at in told if abs(at - now) < 1e-6])
    return scorer.result()


def test_right_wrong_and_missed():
    happened = [_event("moved", 1.0, 2.0), _event("moved", 4.0, 5.0), _event("fell", 4.5, 4.8)]
    told = [
        (_event("moved", 1.1, 2.1, 7), 2.4),
        (_event("moved", 4.9, 6.5, 7), 7.0),  # hardly overlaps
        (_event("moved", 8.0, 9.0, 7), 9.4),
    ]

    kinds = _score(told, happened)["kinds"]

    assert (kinds["moved"]["happened"], kinds["moved"]["told"], kinds["moved"]["right"]) == (2, 3, 1)
    assert kinds["moved"]["precision"] == pytest.approx(1 / 3)
    assert kinds["moved"]["recall"] == 0.5
    assert kinds["moved"]["f"] == pytest.approx(0.4)
    assert kinds["moved"]["median_delay"] == pytest.approx(0.4)
    assert (kinds["fell"]["recall"], kinds["fell"]["precision"]) == (0.0, None)
    assert kinds["placed"]["f"] is None


def test_the_track_must_be_on_that_instance():
    happened = [_event("moved", 1.0, 2.0, identity=2)]
    places = ((7, 1, 0.0), (8, 2, 0.3))

    assert _score([(_event("moved", 1, 2, 7), 2.4)], happened, places)["kinds"]["moved"]["right"] == 0
    assert _score([(_event("moved", 1, 2, 8), 2.4)], happened, places)["kinds"]["moved"]["right"] == 1
    assert _score([(_event("moved", 1, 2, 99), 2.4)], happened, places)["kinds"]["moved"]["right"] == 0


def test_one_true_event_is_told_once():
    happened = [_event("moved", 1.0, 2.0)]
    told = [(_event("moved", 1, 2, 7, 0.5), 2.4), (_event("moved", 1, 2, 7, 0.9), 2.5)]

    moved = _score(told, happened)["kinds"]["moved"]

    assert (moved["right"], moved["told"]) == (1, 2)
    assert moved["median_delay"] == pytest.approx(0.5)  # the surer one


@pytest.mark.parametrize(("end", "right"), [(2.4, 1), (2.6, 0)])
def test_instants_may_be_half_a_second_off(end, right):
    told = [(_event("placed", end, end, 7), 3.0)]

    assert _score(told, [_event("placed", 2.0, 2.0)])["kinds"]["placed"]["right"] == right


def test_without_truth_of_events_nothing_is_scored():
    result = _score([(_event("moved", 1, 2, 7), 2.4)], [], knows=False)

    assert result["kinds"] is None
    assert [e["kind"] for e in result["told"]] == ["moved"]


def test_temporal_iou():
    assert temporal_iou(_event("moved", 1, 2), _event("moved", 1, 2)) == 1
    assert temporal_iou(_event("moved", 1, 2), _event("moved", 2, 3)) == 0
    assert temporal_iou(_event("moved", 1, 2), _event("moved", 1.5, 2.5)) == pytest.approx(1 / 3)
    assert temporal_iou(_event("moved", 1, 1), _event("moved", 1, 1)) == 0
    assert temporal_iou(_event("moved", 1, 2), _event("moved", 2, 3), S) == pytest.approx(2 / 4)
