"""Bodies that follow a script: pushed, carried, fallen, tipped over; and what is true of it.

Motions of a hand are minimum-jerk paths (Flash and Hogan 1985); what falls does so by gravity alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.events import EventKind
from pose_tracking.core.geometry import make_transform
from pose_tracking.simulation.placement.shapes import Shape

G = 9.81  # m/s^2
CARRY_DOWN = 0.4  # share of the time of carrying in which a thing is lifted, and the same in which it is put down

_ALIKE = np.radians(45.0)  # angle to which a side that points up is the same one

# Kind, onset and end in seconds since the motion began.
Told = tuple[EventKind, float, float]


class ScriptedMotion(Protocol):
    """A motion from one pose of rest to another; poses are (4, 4) in the table frame."""

    @property
    def seconds(self) -> float: ...

    def pose(self, seconds: float) -> Float:
        """The pose some seconds after its beginning."""
        ...

    @property
    def events(self) -> list[Told]: ...


@dataclass(frozen=True, eq=False)
class Push:
    """A slide on the support, turning about the vertical."""

    before: Float
    after: Float
    seconds: float

    def pose(self, seconds: float) -> Float:
        return _between(self.before, self.after, _minimum_jerk(seconds / self.seconds))

    @property
    def events(self) -> list[Told]:
        return [(EventKind.MOVED, 0.0, self.seconds)]


@dataclass(frozen=True, eq=False)
class Carry:
    """Lifted by `height` (m) over the higher of its places, brought across, put down."""

    before: Float
    after: Float
    seconds: float
    height: float

    def pose(self, seconds: float) -> Float:
        share = seconds / self.seconds
        across = _minimum_jerk((share - 0.2) / 0.6)
        pose = _between(self.before, self.after, across)
        low, high, top = self.before[2, 3], self.after[2, 3], max(self.before[2, 3], self.after[2, 3]) + self.height
        up, down = _minimum_jerk(share / CARRY_DOWN), _minimum_jerk((share - 1 + CARRY_DOWN) / CARRY_DOWN)
        pose[2, 3] = low + (top - low) * up + (high - top) * down
        return pose

    @property
    def events(self) -> list[Told]:
        lifted = _held_up(self)
        return [
            (EventKind.MOVED, 0.0, self.seconds),
            (EventKind.CARRIED, *lifted),
            (EventKind.PLACED, self.seconds, self.seconds),
        ]


@dataclass(frozen=True, eq=False)
class PushedOff:
    """Pushed over the edge of what it stands on, and falls; `over` (4, 4) is the pose at which it begins to."""

    before: Float
    over: Float
    after: Float
    push_seconds: float

    @property
    def seconds(self) -> float:
        return self.push_seconds + self._fall_seconds

    @property
    def _fall_seconds(self) -> float:
        return float(np.sqrt(2 * (self.over[2, 3] - self.after[2, 3]) / G))

    def pose(self, seconds: float) -> Float:
        if seconds < self.push_seconds:
            return _between(self.before, self.over, (seconds / self.push_seconds) ** 2)
        falling = min(seconds - self.push_seconds, self._fall_seconds)
        pose = _between(self.over, self.after, falling / self._fall_seconds)
        pose[2, 3] = self.over[2, 3] - 0.5 * G * falling**2
        return pose

    @property
    def events(self) -> list[Told]:
        return [(EventKind.MOVED, 0.0, self.seconds), (EventKind.FELL, self.push_seconds, self.seconds)]


@dataclass(frozen=True, eq=False)
class Tip:
    """Tipped over onto another side, ever faster, touching the support all the while."""

    before: Float
    after: Float
    seconds: float
    shape: Shape

    def pose(self, seconds: float) -> Float:
        pose = _between(self.before, self.after, min(1.0, seconds / self.seconds) ** 2)
        support = self.shape.lowest(self.before[2, :3]) + self.before[2, 3]
        pose[2, 3] = support - self.shape.lowest(pose[2, :3])
        return pose

    @property
    def events(self) -> list[Told]:
        return [(EventKind.MOVED, 0.0, self.seconds), (EventKind.KNOCKED_OVER, 0.0, self.seconds)]


@dataclass(eq=False)
class ScriptedBody:
    """A body that rests but for the motions of its script.

    Attributes:
        shape: what it is.
        obj_id: its class, 0 for a distractor.
        start: (4, 4) pose before the first motion, table frame.
        script: motions with the times (s) at which they begin, in order and apart.
    """

    shape: Shape
    obj_id: int
    start: Float
    script: list[tuple[float, ScriptedMotion]] = field(default_factory=list)

    @property
    def end(self) -> Float:
        """(4, 4) pose after the last motion."""
        return self.start if not self.script else self.script[-1][1].pose(self.script[-1][1].seconds)

    def pose(self, seconds: float) -> Float:
        """(4, 4) pose in the table frame."""
        pose = self.start
        for begin, motion in self.script:
            if seconds < begin:
                break
            pose = motion.pose(min(seconds - begin, motion.seconds))
        return np.array(pose)

    def events(self, symmetries: Float | None = None) -> list[Told]:
        """What happens to it, in seconds of the sequence.

        Args:
            symmetries: (S, 4, 4) of the object; nothing is knocked over onto a side that is the same by them.
        """
        return [
            (kind, begin + onset, begin + end)
            for begin, motion in self.script
            for kind, onset, end in motion.events
            if kind != EventKind.KNOCKED_OVER or symmetries is None or not _rests_alike(motion, symmetries)
        ]


def _rests_alike(motion: ScriptedMotion, symmetries: Float) -> bool:
    """Whether what points up before a motion does so after it, too, by one of (S, 4, 4) symmetries."""
    before, after = motion.pose(0.0)[2, :3], motion.pose(motion.seconds)[2, :3]
    return bool((symmetries[:, :3, :3] @ before @ after).max() > np.cos(_ALIKE))


def _held_up(carry: Carry, lift: float = 0.025) -> tuple[float, float]:
    """First and last time (s) at which a carried thing is `lift` (m) over both of its places."""
    times = np.linspace(0, carry.seconds, 200)
    heights = np.array([carry.pose(float(t))[2, 3] for t in times])
    high = times[heights > max(carry.before[2, 3], carry.after[2, 3]) + lift]
    return float(high[0]), float(high[-1])


def _minimum_jerk(share: float) -> float:
    s = float(np.clip(share, 0, 1))
    return s**3 * (10 - 15 * s + 6 * s**2)


def _between(before: Float, after: Float, share: float) -> Float:
    """The pose at a share of the way, turned about one axis."""
    turn = Rotation.from_matrix(after[:3, :3] @ before[:3, :3].T).as_rotvec() * share
    place = before[:3, 3] + (after[:3, 3] - before[:3, 3]) * share
    return make_transform(Rotation.from_rotvec(turn).as_matrix() @ before[:3, :3], place)
