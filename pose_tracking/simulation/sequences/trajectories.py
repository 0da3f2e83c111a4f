"""Bodies that travel: stops and starts, lifts, jumps out of sight, again and again; and a camera held by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from pose_tracking.core.geometry import make_transform
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.scenery.rooms import looking_at

Array = NDArray[np.float64]
LOOP = 20.0  # seconds after which everything begins again
LIMIT = 0.4  # fastest a body travels in the picture (m/s)
PEAK = 1.5  # peak over mean speed of one stretch between two stops, a cubic


@dataclass
class Route:
    """A way as knots, played again after `LOOP`: monotone cubics between stops (Fritsch and Carlson 1980).

    Knots are added in the order of time with `wait`, `move` and `jump`.

    Attributes:
        state: (4,) where the way begins: x, y, z (m) in the lane frame, heading (rad).
    """

    state: Array
    _times: list[list[float]] = field(default_factory=lambda: [[0.0]])
    _states: list[list[Array]] = field(init=False)

    def __post_init__(self) -> None:
        self._states = [[np.array(self.state, float)]]

    @property
    def now(self) -> float:
        """Time of the last knot (s)."""
        return self._times[-1][-1]

    @property
    def here(self) -> Array:
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
        """Be somewhere else at once."""
        state = self.here.copy()
        state[0] = x
        self._times.append([self.now])
        self._states.append([state])

    def at(self, seconds: ArrayLike) -> Array:
        """(..., 4) states at times (...)."""
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

    def _add(self, time: float, state: Array) -> None:
        if time > self.now:
            self._times[-1].append(time)
            self._states[-1].append(state)
            self.__dict__.pop("_curves", None)  # made for the knots so far


@dataclass(eq=False)
class Traveller:
    """A body on a route; `rest` (4, 4) stands it on z = 0 with its footprint around the z axis.

    Attributes:
        shape: what it is.
        obj_id: its class, 0 for a distractor.
        rest: (4, 4) see above.
        footprint: (K, 2) convex outline at heading 0 (m).
        frame: (2, 2) axes of the lane frame as columns, in the table frame.
        route: its way.
    """

    shape: Shape
    obj_id: int
    rest: Array
    footprint: Array
    frame: Array
    route: Route

    @property
    def radius(self) -> float:
        """Radius of the footprint (m)."""
        return float(np.linalg.norm(self.footprint, axis=1).max())

    def pose(self, seconds: float) -> Array:
        """(4, 4) pose in the table frame."""
        return self.poses(np.array([seconds]))[0]

    def poses(self, times: Array) -> Array:
        """(T, 4, 4) poses in the table frame at times (T,)."""
        states = self.route.at(times)
        turn, zero = _turns(states[:, 3]), np.zeros(len(times))
        rotation = np.stack(
            [
                np.stack([turn[:, 0, 0], turn[:, 0, 1], zero], 1),
                np.stack([turn[:, 1, 0], turn[:, 1, 1], zero], 1),
                np.stack([zero, zero, zero + 1], 1),
            ],
            axis=1,
        )
        position = np.concatenate([states[:, :2] @ self.frame.T, states[:, 2:3]], axis=1)
        return make_transform(rotation, position) @ self.rest

    def places(self, times: Array) -> Array:
        """(T, 2) middles of the footprint (m), table frame."""
        return np.asarray(self.route.at(times)[:, :2] @ self.frame.T)

    def outlines(self, times: Array) -> Array:
        """(T, K, 2) footprints at times (T,), table frame."""
        states = self.route.at(times)
        return self.footprint @ np.swapaxes(_turns(states[:, 3]), 1, 2) + (states[:, :2] @ self.frame.T)[:, None]


def _turns(angles: Array) -> Array:
    """(T, 2, 2) rotations."""
    c, s = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([c, -s], 1), np.stack([s, c], 1)], axis=1)


@dataclass(frozen=True, eq=False)
class HandheldPath:
    """A camera that sways around a table, looks about and trembles as a wrist does, every `LOOP` the same way.

    Each of nine channels is a sum of sinusoids: azimuth, elevation (rad), distance (as a factor), the point looked at
    (x, y; m), pan, tilt and roll (rad).

    Attributes:
        azimuth, elevation, distance: mean view (rad, m).
        size: length that the motion of the point looked at is measured in (m).
        amplitudes, cycles, phases: (8, J) of the sinusoids; cycles a loop are whole numbers.
    """

    azimuth: float
    elevation: float
    distance: float
    size: float
    amplitudes: Array
    cycles: Array
    phases: Array

    @classmethod
    def random(cls, rng: np.random.Generator, size: float, strength: float) -> HandheldPath:
        """A random one for a scene of `size` (1: a table top seen from 1 m), `strength` times as lively as usual."""
        degree = np.pi / 180
        # Sway: slow, wide. (channel: amplitude, fewest and most cycles a loop)
        slow = [
            (9 * degree, 4, 5),
            (3.5 * degree, 4, 6),
            (0.04, 3, 6),
            (0.02, 3, 6),
            (0.02, 3, 6),
            (4 * degree, 6, 9),
            (1.5 * degree, 5, 8),
            (2 * degree, 4, 6),
        ]
        # Tremor: 0.7 to 3 Hz, the faster the smaller.
        tremor = np.array([0.12, 0.12, 0.001 / degree, 0.001 / degree, 0.001 / degree, 0.4, 0.4, 0.4]) * degree
        shake = np.array([14, 20, 27, 37, 46, 60])
        amplitudes, cycles = np.zeros((8, 7)), np.zeros((8, 7))
        for channel, (amplitude, low, high) in enumerate(slow):
            amplitudes[channel, 0], cycles[channel, 0] = amplitude, rng.integers(low, high + 1)
            amplitudes[channel, 1:] = tremor[channel] * 14 / shake * rng.uniform(0.3, 1.0, 6)
            cycles[channel, 1:] = shake + rng.integers(-3, 4, 6)
        phases = rng.uniform(0, 2 * np.pi, (8, 7))
        return cls(
            rng.uniform(0, 2 * np.pi),
            np.radians(rng.uniform(34, 41)),
            size * rng.uniform(0.93, 1.02),
            size,
            strength * amplitudes,
            cycles,
            phases,
        )

    @property
    def towards(self) -> Array:
        """(2, 2) lane frame as columns: across the mean view to the right, and away from the camera."""
        c, s = np.cos(self.azimuth), np.sin(self.azimuth)
        return np.array([[-s, -c], [c, -s]])

    def pose(self, seconds: float) -> Array:
        """(4, 4) ``T_table_camera`` at a time."""
        waves = (self.amplitudes * np.sin(2 * np.pi * self.cycles * seconds / LOOP + self.phases)).sum(1)
        pose = looking_at(
            self.size * np.array([waves[3], waves[4], 0.03]),
            self.azimuth + waves[0],
            self.elevation + waves[1],
            self.distance * (1 + waves[2]),
        )
        pose[:3, :3] = pose[:3, :3] @ _camera_turn(*waves[5:])
        return pose


def _camera_turn(pan: float, tilt: float, roll: float) -> Array:
    """(3, 3) rotation of an optical frame: about y, then x, then z."""
    c, s = np.cos([pan, tilt, roll]), np.sin([pan, tilt, roll])
    about_y = np.array([[c[0], 0, s[0]], [0, 1, 0], [-s[0], 0, c[0]]])
    about_x = np.array([[1, 0, 0], [0, c[1], -s[1]], [0, s[1], c[1]]])
    about_z = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    return about_y @ about_x @ about_z
