"""Live cameras: trackers that start anew, clocks that jump, two trackers of one name."""

import numpy as np
import pytest
from live_samples import SECOND, thing

from pose_tracking.core.events import Event, EventKind
from pose_tracking.core.results import TrackState
from pose_tracking.gallery.crops import CropCandidate
from pose_tracking.gallery.live_collector import LiveCollector, LiveMessage


class Clock:
    """A steady clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def message(stamp, *things, to_map=None):
    return LiveMessage(round(stamp * SECOND), to_map, to_map, things)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def collector(clock):
    return LiveCollector("left", "map", clock=clock, wall_ns=lambda: 5 * SECOND)


def run(collector, clock, start, count, *, age=0.0, **about):
    """So many messages, ten a second, on one track; the sightings that ended."""
    done = []
    for number in range(count):
        clock.now += 0.1
        done += collector.add(message(start + number / 10, thing(age=age + number / 10, **about)))
    return done


def test_a_track_becomes_a_sighting_once_it_is_gone(collector, clock):
    assert run(collector, clock, 10, 20) == []
    (sighting,) = collector.add(message(12))
    assert (sighting.camera, sighting.class_name, sighting.epoch, sighting.track_id) == ("left", "mug_red", 0, 1)
    assert (sighting.start_ns, sighting.end_ns, sighting.frames) == (10 * SECOND, round(11.9 * SECOND), 20)
    assert sighting.map_frame is None
    assert collector.without_map == 21


def test_ids_that_begin_anew_are_other_tracks(collector, clock):
    run(collector, clock, 10, 20)
    (first,) = run(collector, clock, 12.5, 20, age=0.0)
    (second,) = collector.flush()
    assert [(s.epoch, s.track_id, s.part) for s in (first, second)] == [(0, 1, 0), (1, 1, 0)]
    assert collector.counts["restarts"] == 1


def test_one_track_that_was_silent_for_a_while_stays_one(collector, clock):
    run(collector, clock, 10, 20)
    (first,) = collector.flush()
    run(collector, clock, 30, 5, age=20.0)
    (second,) = collector.flush()
    assert [(s.epoch, s.track_id, s.part) for s in (first, second)] == [(0, 1, 0), (0, 1, 1)]
    assert not collector.counts["restarts"]


def test_a_new_tracker_is_known_by_low_ids_too(collector, clock):
    run(collector, clock, 10, 5, track=9)
    run(collector, clock, 15, 5, track=2)
    assert collector.counts["restarts"] == 1


def test_a_lost_track_that_comes_back_with_its_age_is_no_new_tracker(collector, clock):
    run(collector, clock, 10, 5, track=2)
    run(collector, clock, 11, 5, track=9)
    run(collector, clock, 15, 5, age=5.0, track=2)
    assert not collector.counts["restarts"]


def test_a_clock_that_goes_back_ends_what_goes_on(collector, clock):
    run(collector, clock, 10, 20)
    (first,) = run(collector, clock, 3, 5)
    assert first.end_ns == round(11.9 * SECOND)
    assert collector.counts["time_jumps.back"] == 1


def test_two_trackers_of_one_name_are_dropped_and_counted(collector, clock):
    for number in range(40):
        clock.now += 0.05
        collector.add(message(10 + number / 10, thing(age=number / 10)))
        collector.add(message(10.05 + number / 10, thing(age=50 + number / 10, name="top")))
    assert collector.is_quarrel
    assert collector.dropped["two_cameras"] > 70
    clock.now += 60
    run(collector, clock, 80, 20)
    assert not collector.is_quarrel
    (sighting,) = collector.flush()
    assert sighting.frames == 20


def test_a_tracker_that_is_started_once_more_is_no_second_one(collector, clock):
    for start in (10, 15, 20):
        run(collector, clock, start, 20)
        clock.now += 3
    assert not collector.dropped["two_cameras"]


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 65])
def test_a_class_without_a_name_is_dropped_alone(collector, name):
    collector.add(message(1, thing(track=1), thing(track=2, name=name)))
    assert collector.dropped["unknown_class"] == 1
    assert [s.track_id for s in collector.flush()] == [1]


def crop(stamp, quality=1000):
    pixels = np.zeros((0, 0, 4), np.uint8)
    return CropCandidate(
        round(stamp * SECOND), np.zeros(4), quality, 1.0, pixels, None, b"picture", np.ones(3, np.float32)
    )


def test_crops_wait_for_the_message_on_their_track(collector, clock):
    collector.add_crop(1, crop(10))
    run(collector, clock, 10, 5)
    collector.add_crop(1, crop(10.2))
    collector.add_crop(7, crop(10.2))
    assert collector.dropped["late_crop"] == 1
    (sighting,) = collector.flush()
    assert [c.stamp_ns for c in sighting.crops] == [10 * SECOND, round(10.2 * SECOND)]
    assert sighting.crops[0].image == b"picture"
    np.testing.assert_array_equal(sighting.crops[0].embedding, np.ones(3))


def test_crops_of_no_track_do_not_pile_up(collector):
    for number in range(100):
        collector.add_crop(3, crop(number))
    assert len(collector._waiting) == 32
    assert collector.dropped["late_crop"] == 68


def test_events_go_with_the_sighting(collector, clock):
    run(collector, clock, 10, 5)
    collector.tell([Event(EventKind.FELL, 1, 2, "mug_red", 10 * SECOND, 10 * SECOND)])
    assert [e.kind for e in collector.flush()[0].events] == [EventKind.FELL]


def test_what_it_shows_now(collector, clock):
    assert collector.live is None
    to_map = np.eye(4)
    to_map[:3, 3] = 5, 0, 0
    for number in range(50):
        clock.now += 0.1
        waiting = thing(track=2, state=TrackState.TENTATIVE)
        collector.add(message(10 + number / 10, thing(age=number / 10, x=1), waiting, to_map=to_map))
    collector.show(b"jpeg")
    live = collector.live
    assert live is not None
    assert (live.camera, live.map_frame, live.received_ns, live.picture) == ("left", "map", 5 * SECOND, b"jpeg")
    assert live.rate_hz == pytest.approx(10, abs=0.3)
    assert [o.track_id for o in live.objects] == [1]
    pose = live.objects[0].pose
    assert pose is not None
    np.testing.assert_allclose(pose[:3, 3], [6, 0, 1])
    clock.now += 60
    later = collector.live
    assert later is not None
    assert later.rate_hz == 0
    assert later.objects == live.objects
