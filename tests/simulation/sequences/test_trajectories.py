"""Routes of stops and goes, and the hand that holds the camera."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.simulation.sequences.trajectories import LOOP, PEAK, HandheldPath, Route


@given(
    st.lists(
        st.tuples(
            st.floats(0.2, 3),
            st.integers(-100, 100).map(lambda x: x / 100),
            st.sampled_from([-0.7, 0.0, 0.4]),
            st.floats(0.1, 1),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_route_stops_where_it_is_told_and_never_overshoots(legs):
    route = Route(np.array([0.0, 0.3, 0.0, 1.0]))
    route.wait(0.5)
    moves = []
    for seconds, x, turn, pause in legs:
        moves.append((route.now, route.here))
        route.move(seconds, x=x, turn=turn)
        moves.append((route.now, route.here))
        route.wait(pause)
    for (start, before), (end, after) in zip(moves[::2], moves[1::2], strict=True):
        way = route.at(np.linspace(start, end, 60))
        assert (way >= np.minimum(before, after) - 1e-9).all()
        assert (way <= np.maximum(before, after) + 1e-9).all()
        fastest = np.abs(np.diff(way, axis=0)).max(0) * 59 / (end - start)
        assert (fastest <= 1.001 * PEAK * np.abs(after - before) / (end - start) + 1e-9).all()
        np.testing.assert_allclose(route.at([start, end, end + 0.05]), [before, after, after], atol=1e-9)


def test_knots_may_be_added_after_a_look():
    route = Route(np.zeros(4))
    route.wait(1.0)
    np.testing.assert_allclose(route.at(1.0), np.zeros(4))
    route.move(1.0, x=1.0)
    route.wait(1.0)
    np.testing.assert_allclose(route.at(2.5), [1, 0, 0, 0], atol=1e-9)


def test_a_jump_takes_no_time_and_the_loop_closes():
    route = Route(np.zeros(4))
    route.wait(1.0)
    route.move(1.0, x=1.0)
    route.wait(1.0)
    route.jump(-1.0)
    route.wait(1.0)
    route.move(2.0, x=0.0)
    route.wait(LOOP - route.now)
    np.testing.assert_allclose(route.at(np.array([2.999, 3.0, 3.001]))[:, 0], [1, -1, -1], atol=1e-9)
    times = np.linspace(0, LOOP, 77, endpoint=False)
    np.testing.assert_allclose(route.at(times + 3 * LOOP), route.at(times), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_camera_looks_at_the_table_all_the_time(seed):
    path = HandheldPath.random(np.random.default_rng(seed), 1.0, 1.0)
    for t in np.arange(0, LOOP, 0.7):
        pose = path.pose(t)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        np.testing.assert_allclose(pose, path.pose(t + LOOP), atol=1e-9)
        hit = pose[:3, 3] - pose[:3, 2] * pose[2, 3] / pose[2, 2]
        assert np.linalg.norm(hit) < 0.25
        # The lane frame is that of the picture: its first axis points to the right, its second away.
        right, away = path.towards.T
        assert pose[:2, 0] @ right > 0.9
        assert pose[:2, 2] @ away > 0.5
