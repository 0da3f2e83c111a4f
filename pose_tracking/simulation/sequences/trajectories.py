"""Trajectories of bodies: stops and starts, lifts, jumps outside the picture, again and again."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator

from pose_tracking.core.arrays import Float

LOOP = 20.0  # seconds after which everything begins again
LIMIT = 0.4  # fastest a body travels in the picture (m/s)
PEAK = 1.5  # peak over mean speed of one stretch between two stops, a cubic


@dataclass
class Trajectory:
    """Knots over time, played again after `LOOP`: monotone cubics between stops (Fritsch and Carlson 1980).

    Knots are added in the order of time with `wait`, `move` and `jump`.

    Attributes:
        start: (4,) state it begins with: x, y, z (m) in its own frame, heading (rad) in the table frame.
        axes: (2, 2) x and y axis of its own frame as columns, in the table frame.
    """

    start: Float
    axes: Float = field(default_factory=lambda: np.eye(2))
    _times: list[list[float]] = field(default_factory=lambda: [[0.0]])
    _states: list[list[Float]] = field(init=False)

    def __post_init__(self) -> None:
        self._states = [[np.array(self.start, float)]]

    @classmethod
    def resting(cls, start: Float, axes: Float) -> Trajectory:
        """One that stays where it begins."""
        trajectory = cls(start, axes)
        trajectory.wait(LOOP)
        return trajectory

    @property
    def now(self) -> float:
        """Time of the last knot (s)."""
        return self._times[-1][-1]

    @property
    def here(self) -> Float:
        """(4,) state of the last knot."""
        return self._states[-1][-1]

    def wait(self, seconds: float) -> None:
        """Stay."""
        self._add(self.now + seconds, self.here)

    def move(self, seconds: float, *, x: float | None = None, z: float | None = None, turn: float = 0.0) -> None:
        """Go to `x` and `z` (m) and turn by `turn` (rad) within some seconds."""
        state = self.here + [0, 0, 0, turn]
        state[0] = state[0] if x is None else x
        state[2] = state[2] if z is None else z
        self._add(self.now + seconds, state)

    def jump(self, x: float) -> None:
        """Be at another `x` (m) at once."""
        state = self.here.copy()
        state[0] = x
        self._times.append([self.now])
        self._states.append([state])

    @property
    def moves(self) -> bool:
        """Whether the body is ever anywhere else."""
        return any((state != self.here).any() for states in self._states for state in states)

    def at(self, times: Float) -> tuple[Float, Float]:
        """Positions (T, 3) in metres and headings (T,) in radians at times (T,) in seconds, table frame."""
        states = self.states(times)
        return np.concatenate([states[:, :2] @ self.axes.T, states[:, 2:3]], axis=1), states[:, 3]

    def states(self, seconds: ArrayLike) -> Float:
        """(..., 4) states at times (...), like `start`."""
        times = np.mod(np.asarray(seconds, float), LOOP)
        piece = np.searchsorted([piece[0] for piece in self._times], times, side="right") - 1
        out = np.empty((*times.shape, 4))
        for number, curve in enumerate(self._curves):
            chosen = piece == number
            out[chosen] = curve(times[chosen])
        return out

    @cached_property
    def _curves(self) -> list[PchipInterpolator]:
        return [
            PchipInterpolator(times, np.stack(states)) for times, states in zip(self._times, self._states, strict=True)
        ]

    def _add(self, time: float, state: Float) -> None:
        if time > self.now:
            self._times[-1].append(time)
            self._states[-1].append(state)
            self.__dict__.pop("_curves", None)  # made for the knots so far
