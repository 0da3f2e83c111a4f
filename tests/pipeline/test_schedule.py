"""When the detector runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.bundles.pipeline_config import AUTO
from pose_tracking.pipeline.schedule import DetectorPace, DetectorSchedule


def run_schedule(every: int, has_tracks: Callable[[int], bool], lost: Callable[[int], bool]) -> list[bool]:
    schedule, ran = DetectorSchedule(), []
    for k in range(60):
        ran.append(schedule.is_due(every, has_tracks(k)))
        schedule.frame_done(ran[-1], lost(k))
    return ran


@pytest.mark.parametrize("every", [2, 5])
def test_a_new_track_makes_the_detector_run_again_until_nothing_is_new(every: int) -> None:
    schedule, ran = DetectorSchedule(), []
    for k in range(3 + 2 * every):
        ran.append(schedule.is_due(every, has_tracks=k > 0))
        schedule.frame_done(ran[-1], lost=False, new=k < 2)
    assert [k for k, due in enumerate(ran) if due] == [0, 1, 2, 2 + every, 2 + 2 * every]


@pytest.mark.parametrize("lost_in", range(5))
def test_no_other_frame_is_looked_at_ahead_of_an_early_run(lost_in: int) -> None:
    schedule = DetectorSchedule()
    for k in range(5):
        schedule.is_due(5, True)
        schedule.frame_done(k == 0, lost=k == lost_in)
        expected = [ahead for ahead in range(1, 6) if schedule.may_be_due_after(5, True, ahead)]
        comes_early = k == lost_in and k in (1, 2, 3)
        assert expected == ([] if comes_early else [4 - k] if k < 4 else [5])
        if comes_early:
            return


@given(st.integers(1, 12), st.lists(st.booleans(), min_size=60, max_size=60))
def test_the_detector_is_neither_late_nor_more_than_hurried(every: int, lost: list[bool]) -> None:
    ran = run_schedule(every, lambda k: True, lambda k: lost[k])
    assert ran[0]
    gaps = np.diff(np.flatnonzero(ran))
    assert gaps.max() <= every
    if every > 1:
        assert gaps.min() >= 2
    for k in range(59):
        if lost[k] and not ran[k]:
            assert ran[k + 1]
    assert run_schedule(every, lambda k: True, lambda k: False) == [k % every == 0 for k in range(60)]


# segment_every: auto


class Camera:
    """A camera and a pipeline with a clock of their own: who waits is overtaken by what comes next, as in the node.

    Args:
        rate: frames a second.
        without, with_detector: seconds that a frame takes.
    """

    def __init__(self, rate: float, without: float, with_detector: float, beside: bool = False) -> None:
        self.schedule = DetectorSchedule()
        self.rate, self.seconds, self.beside = rate, (without, with_detector), beside
        self.clock = 0.0
        self.frame = -1
        self.runs: list[int] = []
        self.overtaken = 0

    def play(self, frames: int) -> None:
        """Process the frames that the camera takes, always the newest."""
        self.schedule.pace.camera_interval = 1 / self.rate
        while self.frame < frames - 1:
            newest = max(int(self.clock * self.rate + 1e-9), self.frame + 1)
            self.overtaken += newest - self.frame - 1
            self.frame = newest
            self.clock = max(self.clock, newest / self.rate)
            self.schedule.pace.frame_comes(newest / self.rate)
            due = self.schedule.is_due(AUTO, has_tracks=True, beside=self.beside)
            seconds = self.seconds[due and not self.beside]
            self.clock += seconds
            self.schedule.pace.frame_done(seconds, due and not self.beside)
            self.schedule.frame_done(due and not self.beside, lost=False)
            if due:
                self.runs.append(newest)
                if self.beside:
                    self.schedule.run_begun()


@pytest.mark.parametrize(
    ("rate", "without", "with_detector", "least", "most"),
    [
        (10, 0.03, 0.08, 0.99, 1.0),  # time for every frame
        (10, 0.05, 0.14, 0.45, 0.67),  # 0.1 s a frame, of which the detector takes 0.09
        (30, 0.02, 0.06, 0.2, 0.4),
        (30, 0.02, 0.13, 0.02, 0.06),  # each run lets two frames be overtaken: seldom
        (30, 0.05, 0.2, 0.02, 0.07),  # does not keep up anyway: once a second
    ],
)
def test_auto_runs_the_detector_as_often_as_there_is_time(
    rate: float, without: float, with_detector: float, least: float, most: float
) -> None:
    camera = Camera(rate, without, with_detector)
    camera.play(600)
    assert least <= len(camera.runs) / 600 <= most
    if without < 1 / rate:
        assert camera.overtaken <= 0.1 * 600
    assert np.diff(camera.runs).max() / rate <= 1.0 + 2 / rate


def test_auto_beside_runs_whenever_the_tracking_keeps_up() -> None:
    fast, slow = Camera(30, 0.02, 0.2, beside=True), Camera(30, 0.04, 0.2, beside=True)
    fast.play(300)
    slow.play(300)
    assert len(fast.runs) == 300
    assert fast.overtaken == 0
    assert np.diff(slow.runs).max() <= 32


def test_auto_reckons_with_what_a_frame_takes_besides() -> None:
    counts = []
    for outside in (0.0, 0.03):
        camera = Camera(10, 0.05, 0.11)
        camera.schedule.pace.outside = outside
        camera.seconds = (0.05 + outside, 0.11 + outside)
        camera.schedule.pace.frame_done = lambda s, d, done=camera.schedule.pace.frame_done, o=outside: done(s - o, d)  # type: ignore[method-assign,misc]
        camera.play(300)
        counts.append(len(camera.runs))
        assert camera.overtaken <= 30
    assert counts[1] < counts[0]


def test_a_first_run_that_has_all_to_compile_does_not_count_for_long() -> None:
    camera = Camera(10, 0.03, 0.08)
    camera.seconds = (0.03, 5.0)
    camera.play(1)
    camera.seconds = (0.03, 0.08)
    camera.play(300)
    assert len(camera.runs) > 180


def test_a_run_that_cannot_begin_at_once_is_not_forgotten() -> None:
    schedule = DetectorSchedule()
    schedule.pace.frame_comes(0.0)
    schedule.frame_done(True, lost=False)
    schedule.frame_done(False, lost=True)
    for _ in range(3):  # the thread is busy
        assert schedule.is_hurried
        assert schedule.is_due(10, has_tracks=True)
        schedule.frame_done(False, lost=False)
    schedule.run_begun()
    assert not schedule.is_due(10, has_tracks=True)


def test_a_recording_is_as_fast_as_its_stamps_say() -> None:
    """Whoever hands over every frame, however long each takes, has no need to say how fast the camera is."""
    schedule, runs = DetectorSchedule(), 0
    for k in range(100):
        schedule.pace.frame_comes(k / 30)
        due = schedule.is_due(AUTO, has_tracks=True)
        schedule.pace.frame_done(0.06 if due else 0.02, due)
        schedule.frame_done(due, lost=False)
        runs += due
    assert 20 < runs < 40


def test_frames_that_come_faster_than_their_stamps_say_are_late_as_they_come() -> None:
    """A bag that is played at twice its rate: the caller knows when its frames come."""
    allowed = {}
    for told in (False, True):
        pace = DetectorPace()
        for k in range(30):
            pace.reckon_with(0.0, 0.03 if told else None, 0.03 * k if told else None)
            pace.frame_comes(0.06 * k)
            pace.frame_done(0.1 if k == 0 else 0.01, k == 0)
        pace.reckon_with(0.0, 0.03 if told else None, 0.9 if told else None)
        pace.frame_comes(1.8)
        assert pace._stamp is not None
        pace._ran = pace._stamp  # not because a second has gone by
        allowed[told] = pace.allows(5, beside=False)
    assert allowed == {False: True, True: False}
