"""Random trajectories of one loop: stops and goes along a lane, and ways out of the picture and back."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float

from .trajectories import LIMIT, LOOP, PEAK, Trajectory

SPIN = 1.0  # fastest a body turns (rad/s)
SLOWEST = 5.0  # longest time a body takes from one stop to the next (s)


def random_trajectory(
    start: Float,
    axes: Float,
    span: tuple[float, float],
    exits: tuple[float, ...],
    rng: np.random.Generator,
    *,
    leaves: bool,
    turning: bool,
) -> Trajectory:
    """A trajectory over one loop that ends where it starts.

    Args:
        start: (4,) first state, see `Trajectory`.
        axes: (2, 2) of the lane's frame, see `Trajectory`.
        span: least and greatest x of the stops (m).
        exits: x (m) outside the picture to leave it to.
        rng: source of randomness.
        leaves: whether to leave the picture, once.
        turning: whether to turn at times.
    """
    trajectory = Trajectory(start, axes)
    leave_at = rng.uniform(1.0, 11.0) if leaves else np.inf
    heading = 0.0
    trajectory.wait(rng.uniform(0.1, 1.5))
    while True:
        here = float(trajectory.here[0])
        if trajectory.now >= leave_at:
            leave_at = np.inf
            _excursion(trajectory, span, exits, rng)
            trajectory.wait(rng.uniform(0.1, 1.0))
            continue
        goal = float(rng.uniform(*span))
        distance, home = abs(goal - here), abs(goal - start[0])
        if distance < 0.06:  # too short a way to be worth it: at most a longer stop
            goal, distance = here, 0.0
        turn = float(rng.normal(0, 0.5)) if turning and rng.random() < 0.5 else 0.0
        seconds = max(min(PEAK * distance / _speed(rng), SLOWEST), PEAK * abs(turn) / SPIN, 0.4)
        pause = float(rng.uniform(0.1, 1.6))
        # What is left must do for the way home.
        way_home = max(PEAK * home / (0.9 * LIMIT), PEAK * abs(heading + turn) / SPIN)
        if trajectory.now + seconds + pause + way_home + 0.2 > LOOP:
            break
        trajectory.move(seconds, x=goal, turn=turn)
        heading += turn
        trajectory.wait(pause)
    distance = abs(float(trajectory.here[0]) - start[0])
    seconds = max(PEAK * distance / (0.6 * LIMIT), PEAK * abs(heading) / SPIN, 0.4)
    trajectory.move(min(seconds, LOOP - trajectory.now - 0.1), x=float(start[0]), turn=-heading)
    trajectory.wait(LOOP - trajectory.now)
    return trajectory


def _excursion(
    trajectory: Trajectory, span: tuple[float, float], exits: tuple[float, ...], rng: np.random.Generator
) -> None:
    """Out of the picture and back, sliding or lifted, at times to come back at the other side."""
    leave = float(rng.choice(exits))
    back = float(rng.choice(exits))
    height = float(rng.uniform(0.05, 0.12)) if rng.random() < 0.4 else 0.0
    if height:
        trajectory.move(0.7, z=height)
    trajectory.move(PEAK * abs(leave - trajectory.here[0]) / rng.uniform(0.55 * LIMIT, LIMIT), x=leave)
    pause = float(rng.uniform(0.1, 2.0))
    if back != leave:
        trajectory.wait(pause / 2)
        trajectory.jump(back)
        trajectory.wait(pause / 2)
    else:
        trajectory.wait(pause)
    goal = float(rng.uniform(*span))
    trajectory.move(PEAK * abs(goal - back) / rng.uniform(0.55 * LIMIT, LIMIT), x=goal)
    if height:
        trajectory.move(0.7, z=0.0)


def _speed(rng: np.random.Generator) -> float:
    """A peak speed (m/s)."""
    return float(rng.uniform(0.07, LIMIT))
