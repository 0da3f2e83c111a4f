"""A layout of moving bodies, and what of it is seen: who leaves, who hides for too long, who crosses whom."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.simulation.placement.bodies import Motion, PlacedBody

from .trajectories import LOOP
from .visibility import View, Visibility, runs

RATE = 60.0  # Hz of the grid on which layouts are judged; frames of the usual rates fall on it
STEP = 5  # hiding is judged on every so manieth of it
HIDDEN = 0.16  # share in view under which a body may be altogether hidden (its hull is a little larger than itself)
LONGEST = 1.0  # longest time a body may be hidden (s)


@dataclass
class Layout:
    """Bodies on their trajectories, and what the camera sees of them.

    Attributes:
        views: the bodies, distractors first, as the camera sees each alone.
        absences: per body, times (start, end) in seconds of the loop when it is altogether out of the picture.
        shares: (T, B) share of each body in view, every `STEP` / `RATE` seconds.
        faults: by body, the seconds it is hidden beyond what is allowed.
        hidings: times a known body is nearly or altogether hidden within the picture.
        crossings: times two known bodies swap sides in the picture while their boxes meet.
    """

    views: list[View]
    absences: list[list[tuple[float, float]]]
    shares: Float
    faults: dict[int, float]
    hidings: int
    crossings: int

    @classmethod
    def judged(cls, views: list[View], fixed: int, visibility: Visibility) -> Layout:
        """The layout of `views`, of which the first `fixed` are distractors at rest."""
        shares = visibility.shares(views)
        # What is hidden at the end of the loop goes on being so at its beginning.
        tail = round(1.5 * RATE / STEP)
        looped = np.concatenate([shares, shares[:tail]])
        absences = [absent(view) for view in views]
        faults: dict[int, float] = {}
        hidings = 0
        for number in range(fixed, len(views)):
            for begin, end in runs(looped[:, number] < HIDDEN):
                start, stop = begin * STEP / RATE, end * STEP / RATE
                away = sum(max(0.0, min(b, stop) - max(a, start)) for a, b in absences[number])
                excess = stop - start + STEP / RATE - away - LONGEST
                if excess > 0:
                    faults[number] = faults.get(number, 0.0) + excess
                hidings += away == 0 and start < LOOP
        return cls(views, absences, shares, faults, hidings, _crossings(views[fixed:]))

    @property
    def bodies(self) -> list[PlacedBody[Motion]]:
        """The bodies alone."""
        return [view.body for view in self.views]

    @property
    def score(self) -> float:
        """0 where nothing is at fault and enough hides and crosses, else minus what is missing."""
        return -10.0 * len(self.faults) - max(0, 3 - self.hidings) - 0.5 * max(0, 8 - self.crossings)


def absent(view: View) -> list[tuple[float, float]]:
    """Times (start, end) when a body is out of the picture (s)."""
    return [(a / RATE, b / RATE) for a, b in runs(view.outside)]


def covered(view: View, by: View) -> bool:
    """Whether the box of a body in the picture is hidden by another's for too long."""
    low, high = np.maximum(view.boxes[:, :2], by.boxes[:, :2]), np.minimum(view.boxes[:, 2:], by.boxes[:, 2:])
    common = (high - low).clip(0).prod(1) / (view.boxes[:, 2:] - view.boxes[:, :2]).prod(1)
    hidden = runs(np.asarray((common > 1 - HIDDEN) & (by.distances < view.distances)))
    return any(end - begin > LONGEST * RATE for begin, end in hidden)


def _crossings(views: list[View]) -> int:
    """How often two bodies swap sides in the picture while their boxes meet."""
    count = 0
    for a, b in combinations([view.boxes for view in views], 2):
        meet = (np.minimum(a[:, 2:], b[:, 2:]) > np.maximum(a[:, :2], b[:, :2])).all(1)
        side = a[:, 0] + a[:, 2] > b[:, 0] + b[:, 2]
        count += sum(bool(side[begin] != side[end - 1]) for begin, end in runs(np.asarray(meet)))
    return count
