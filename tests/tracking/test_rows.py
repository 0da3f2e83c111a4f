"""States of many filters side by side behave as if each filter had its own."""

from __future__ import annotations

from copy import copy

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking_scenario import one_object

from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.tracking import Tracker, TrackingConfig
from pose_tracking.tracking.rows import Row, gather, put

# What is done to some of six: both parts put at once, one of them, one replaced, made to stand alone, a copy changed.
ACTIONS = st.tuples(
    st.sampled_from(["put", "put one part", "replace", "stand alone", "change a copy"]),
    st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True),
)


@settings(deadline=None)
@given(actions=st.lists(ACTIONS, max_size=12), seed=st.integers(0, 1000))
def test_whatever_is_done_to_some_the_others_stay_as_they_are(actions: list[tuple[str, list[int]]], seed: int) -> None:
    """Against states in a list; what was read or copied before stays as it was."""
    rng = np.random.default_rng(seed)
    expected = [(rng.normal(size=3), rng.normal(size=(2, 2))) for _ in range(6)]
    rows = [Row(*(part.copy() for part in state)) for state in expected]
    for what, chosen in actions:
        before, read = [copy(row) for row in rows], [row.part(0) for row in rows]
        old = list(expected)
        some = [rows[i] for i in chosen]
        values = rng.normal(size=(len(chosen), 3)), rng.normal(size=(len(chosen), 2, 2))
        if what == "put":
            put(some, {0: values[0].copy(), 1: values[1].copy()})
            for k, i in enumerate(chosen):
                expected[i] = (values[0][k], values[1][k])
        elif what == "put one part":
            put(some, {1: values[1].copy()})
            for k, i in enumerate(chosen):
                expected[i] = (expected[i][0], values[1][k])
        elif what == "replace":
            some[0].replace(0, values[0][0])
            expected[chosen[0]] = (values[0][0], expected[chosen[0]][1])
        elif what == "stand alone":
            some[0].stand_alone()
        else:
            put([copy(row) for row in some], {0: values[0]})
            copy(some[0]).replace(1, values[1][0])
        for state, row in zip(expected, rows, strict=True):
            np.testing.assert_array_equal(row.part(0), state[0])
            np.testing.assert_array_equal(row.part(1), state[1])
        first, second = gather(some, 0, 1)
        np.testing.assert_array_equal(first, [expected[i][0] for i in chosen])
        np.testing.assert_array_equal(second, [expected[i][1] for i in chosen])
        first[:], second[:] = 0, 0  # they are copies
        for state, row, was, seen in zip(old, before, rows, read, strict=True):
            np.testing.assert_array_equal(row.part(0), state[0])
            np.testing.assert_array_equal(seen, state[0])
            assert row is not was


def test_a_lost_track_keeps_no_others_alive() -> None:
    """It may be remembered for a minute, in which hundreds come and go."""
    tracker = Tracker(TrackingConfig(max_age=1), one_object())

    def seen(x: float) -> Detection:
        pose = PoseEstimate(make_transform(np.eye(3), [x, 0, 1]), 0.9, np.diag([1e-5] * 3 + [1e-3] * 3))
        return Detection(1, 0.9, np.array([100 + 600 * x, 50, 140 + 600 * x, 90]), None, pose)

    for k in range(4):
        tracker.update([seen(0.0), seen(0.5)], k / 30)
    lost = next(t for t in tracker.tracks if t.pose is not None and t.pose[0, 3] > 0.25)
    for k in range(4, 10):
        tracker.update([seen(0.0)], k / 30)
    assert lost not in tracker.tracks
    assert len(tracker.reid) == 1
    assert lost.filter is not None
    for row in (lost, lost.filter):
        assert row.rows.owners == []
        assert all(len(array) == 1 and array.base is None for array in row.rows.arrays)
