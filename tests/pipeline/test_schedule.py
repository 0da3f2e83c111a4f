"""When the detector runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.pipeline.schedule import DetectorSchedule


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
