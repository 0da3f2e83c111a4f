"""Whether a track is believed to exist: what the detector finds and what it denies, and never what was recovered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pose_scenario import at, detect
from tracking_scenario import one_object

from pose_tracking.core.results import Detection, TrackedObject, TrackState
from pose_tracking.tracking import Tracker, TrackingConfig


def seen(confidence: float = 0.9) -> Detection:
    detection = detect(at(0.0))
    assert detection.pose is not None
    return replace(detection, pose=replace(detection.pose, confidence=confidence))


class Watched:
    """A tracker of one thing, 0.1 s a frame."""

    def __init__(self, **options: float) -> None:
        self.tracker = Tracker(TrackingConfig(reid_budget=0, **options), one_object())  # type: ignore[arg-type]
        self.time = 0.0

    def detect(self, times: int = 1, confidence: float = 0.9) -> list[TrackedObject]:
        for _ in range(times):
            self.time += 0.1
            tracked = self.tracker.update([seen(confidence)], self.time)
        return tracked

    def recover(self, looked: bool = True, clear: bool = True) -> list[TrackedObject]:
        """A frame in which the thing was recovered, with a perfect pose, and not detected."""
        self.time += 0.1
        self.tracker.predict(self.time)
        association = self.tracker.associate([] if looked else None)
        found = [(track, seen(1.0)) for track in association.unmatched_tracks]
        return self.tracker.commit(association, found, [t.track_id for t, _ in found] if clear else ())

    def denials_outlived(self) -> int:
        return next(k for k in range(1000) if not self.recover())


@pytest.mark.parametrize(("confidence", "outlived"), [(0.35, 0), (0.5, 0), (0.8, 3), (0.9, 5)])
@pytest.mark.parametrize("clear", [True, False])
def test_a_tentative_track_is_never_confirmed_by_being_recovered_and_goes_when_denied(
    confidence: float, outlived: int, clear: bool
) -> None:
    scene = Watched()
    scene.detect(confidence=confidence)
    for _ in range(outlived):
        (thing,) = scene.recover(clear=clear)
        assert (thing.state, thing.hits) == (TrackState.TENTATIVE, 1)
    assert scene.recover(clear=clear) == []


def test_a_detection_after_a_denial_confirms_a_tentative_track() -> None:
    scene = Watched()
    scene.detect()
    scene.recover()
    (thing,) = scene.detect()
    assert (thing.track_id, thing.state, thing.hits) == (1, TrackState.CONFIRMED, 2)


def test_a_confirmed_track_is_dropped_when_denied_for_long_and_the_longer_its_past_the_later() -> None:
    outlived = []
    for hits in (2, 4, 30, 300):
        scene = Watched()
        scene.detect(hits)
        outlived.append(scene.denials_outlived())
    assert outlived == sorted(outlived)
    assert outlived[:2] == [10, 21]
    assert outlived[2] == outlived[3] == 49
    weak = Watched()
    weak.detect(4, confidence=0.4)
    assert weak.denials_outlived() == 3


def test_options_say_how_much_a_denial_counts_and_what_is_believed_at_most() -> None:
    for options, expected in (({"denial_evidence": 2.0}, 9), ({"most_evidence": 4.0}, 9)):
        scene = Watched(**options)
        scene.detect(100)
        assert scene.denials_outlived() == expected


def test_what_is_found_now_and_then_lives_on() -> None:
    """As an object that the detector finds in one frame of five."""
    scene = Watched()
    scene.detect(2)
    for _ in range(50):
        for _ in range(4):
            assert scene.recover()
        (thing,) = scene.detect()
    assert thing.track_id == 1


def test_only_a_look_at_what_is_in_clear_view_is_a_denial_of_a_confirmed_track() -> None:
    scene = Watched()
    scene.detect(2)
    for _ in range(100):
        assert len(scene.recover(clear=False)) == 1
        (thing,) = scene.recover(looked=False)
    assert (thing.state, thing.hits) == (TrackState.CONFIRMED, 2)


def test_frames_in_which_the_detector_did_not_look_deny_no_tentative_track() -> None:
    scene = Watched()
    scene.detect(confidence=0.3)
    for _ in range(100):
        (thing,) = scene.recover(looked=False)
    assert (thing.state, thing.hits) == (TrackState.TENTATIVE, 1)
