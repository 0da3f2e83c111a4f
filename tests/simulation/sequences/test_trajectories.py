"""Trajectories of stops and goes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.simulation.sequences.trajectories import LOOP, PEAK, Trajectory


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
def test_a_trajectory_stops_where_it_is_told_and_never_overshoots(legs):
    trajectory = Trajectory(np.array([0.0, 0.3, 0.0, 1.0]))
    trajectory.wait(0.5)
    moves = []
    for seconds, x, turn, pause in legs:
        moves.append((trajectory.now, trajectory.here))
        trajectory.move(seconds, x=x, turn=turn)
        moves.append((trajectory.now, trajectory.here))
        trajectory.wait(pause)
    for (start, before), (end, after) in zip(moves[::2], moves[1::2], strict=True):
        way = trajectory.states(np.linspace(start, end, 60))
        assert (way >= np.minimum(before, after) - 1e-9).all()
        assert (way <= np.maximum(before, after) + 1e-9).all()
        fastest = np.abs(np.diff(way, axis=0)).max(0) * 59 / (end - start)
        assert (fastest <= 1.001 * PEAK * np.abs(after - before) / (end - start) + 1e-9).all()
        np.testing.assert_allclose(trajectory.states([start, end, end + 0.05]), [before, after, after], atol=1e-9)


def test_knots_may_be_added_after_it_was_asked():
    trajectory = Trajectory(np.zeros(4))
    trajectory.wait(1.0)
    np.testing.assert_allclose(trajectory.states(1.0), np.zeros(4))
    trajectory.move(1.0, x=1.0)
    trajectory.wait(1.0)
    np.testing.assert_allclose(trajectory.states(2.5), [1, 0, 0, 0], atol=1e-9)


def test_a_jump_takes_no_time_and_the_loop_closes():
    trajectory = Trajectory(np.zeros(4))
    trajectory.wait(1.0)
    trajectory.move(1.0, x=1.0)
    trajectory.wait(1.0)
    trajectory.jump(-1.0)
    trajectory.wait(1.0)
    trajectory.move(2.0, x=0.0)
    trajectory.wait(LOOP - trajectory.now)
    np.testing.assert_allclose(trajectory.states(np.array([2.999, 3.0, 3.001]))[:, 0], [1, -1, -1], atol=1e-9)
    times = np.linspace(0, LOOP, 77, endpoint=False)
    np.testing.assert_allclose(trajectory.states(times + 3 * LOOP), trajectory.states(times), atol=1e-9)


def test_positions_are_in_the_table_frame_and_rest_is_no_motion():
    axes = np.array([[0.0, -1.0], [1.0, 0.0]])  # x of its own frame is y of the table's
    trajectory = Trajectory.resting(np.array([0.2, 0.3, 0.1, 0.5]), axes)
    assert not trajectory.moves
    assert trajectory.now == LOOP
    positions, headings = trajectory.at(np.array([0.0, 7.0]))
    np.testing.assert_allclose(positions, [[-0.3, 0.2, 0.1]] * 2, atol=1e-12)
    np.testing.assert_allclose(headings, 0.5)
    for change in ({"x": 0.5}, {"z": 0.2}, {"turn": 0.1}):
        moving = Trajectory(np.array([0.2, 0.3, 0.1, 0.5]), axes)
        moving.wait(1.0)
        moving.move(1.0, **change)
        assert moving.moves
