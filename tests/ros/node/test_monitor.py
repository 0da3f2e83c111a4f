"""Counters of the node."""

from __future__ import annotations

import pytest

from pose_tracking.ros.node.monitor import MAX_DETAIL, WINDOW_SECONDS, Monitor


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def monitor(clock):
    return Monitor(clock)


def test_rate_and_latency_over_the_window(monitor, clock):
    monitor.watch(["/c"])
    for index in range(30):
        clock.now += 1
        monitor.received("/c")
        monitor.received("/c")
        monitor.processed({"pose": 0.1 if index % 2 else 0.3})
    snapshot = monitor.snapshot()
    assert snapshot.processed == 30
    assert snapshot.rate == pytest.approx(1.0, abs=0.11)
    assert snapshot.topic_rate["/c"] == pytest.approx(2.0, abs=0.21)
    assert snapshot.latency["pose"].largest == 0.3
    clock.now += WINDOW_SECONDS + 1
    snapshot = monitor.snapshot()
    assert (snapshot.rate, snapshot.topic_rate["/c"], snapshot.latency) == (0, 0, {})


def test_latency_is_given_as_median_percentile_and_maximum(monitor):
    monitor.watch(["/c"])
    for index in range(101):
        monitor.processed({"frame": 0.01 * index})
    assert monitor.snapshot().latency["frame"] == pytest.approx((0.5, 0.99, 1.0))


def test_drops_are_counted_for_good_and_since_the_last_snapshot(monitor):
    assert monitor.dropped("size", "a")
    assert not monitor.dropped("size", "b")
    assert monitor.dropped("internal_error", "x", kind="ValueError")
    assert monitor.dropped("internal_error", "x", kind="KeyError")
    first = monitor.snapshot()
    assert first.drops == first.recent_drops == {"size": 2, "internal_error": 2}
    assert first.details["size"] == "b"
    monitor.dropped("size")
    second = monitor.snapshot()
    assert second.drops == {"size": 3, "internal_error": 2}
    assert second.recent_drops == {"size": 1}


def test_rejected_detections_add_up(monitor):
    monitor.processed({}, {"no_pose": 2})
    monitor.processed({}, {"no_pose": 1, "pose_confidence": 1})
    assert monitor.snapshot().rejected == {"no_pose": 3, "pose_confidence": 1}


def test_silence_is_measured_from_the_last_message_or_the_start(monitor, clock):
    monitor.watch(["/a", "/b"])
    clock.now += 3
    monitor.received("/a")
    monitor.received("/not_watched")
    clock.now += 2
    assert monitor.snapshot().silence == {"/a": pytest.approx(2), "/b": pytest.approx(5)}


def test_what_became_of_tracks_is_counted():
    monitor = Monitor()
    monitor.processed({}, counts={"frames_segmented": 1, "tracks_recovered": 2})
    monitor.processed({}, counts={"frames_segmented": 0, "tracks_recovered": 1, "tracks_not_found.gone": 1})
    assert monitor.snapshot().counts == {"frames_segmented": 1, "tracks_recovered": 3, "tracks_not_found.gone": 1}


def test_an_event_is_counted_and_the_first_one_told(monitor):
    assert monitor.counted("time_jumps.back")
    assert not monitor.counted("time_jumps.back")
    assert monitor.counted("time_jumps.forward")
    assert monitor.snapshot().counts == {"time_jumps.back": 2, "time_jumps.forward": 1}


def test_messages_are_counted_for_each_topic(monitor):
    monitor.watch(["/c", "/d"])
    for topic in ("/c", "/c", "/d", "/unknown"):
        monitor.received(topic)
    assert monitor.snapshot().received == {"/c": 2, "/d": 1}


def test_a_detail_is_cut_off_where_what_came_is_quoted_at_length(monitor):
    monitor.dropped("encoding", "x" * 100_000)
    assert len(monitor.snapshot().details["encoding"]) <= MAX_DETAIL + 2


def test_an_event_is_new_once_for_each_kind(monitor):
    assert monitor.counted("failed_callbacks", "a")
    assert monitor.counted("failed_callbacks", "b")
    assert not monitor.counted("failed_callbacks", "a")
    assert monitor.snapshot().counts == {"failed_callbacks": 3}
