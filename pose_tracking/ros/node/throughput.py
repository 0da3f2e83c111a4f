"""How often frames come, and whether a worker is as fast as that, on average. Knows no ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf
from statistics import fmean

# Items over which is averaged: a detector that runs on every tenth frame must be among them more than once.
_ITEMS = 30
_ENOUGH = 4  # fewer tell nothing
_SPEED_TOLD = 5  # frames that tell how fast a bag is played
# Share of the time between two items that one may take: at more, what has piled up is hardly ever worked off.
_WORKED_OFF = 0.9
# Room for one that comes during a slow one and for the next, where what piles up is not worked off.
_FOR_A_SLOW_ONE = 2


class Throughput:
    """Compares how often items come with what they take. As long as little is known it is taken to be enough."""

    def __init__(self) -> None:
        self._came: deque[float] = deque(maxlen=_ITEMS)
        self._took: deque[tuple[float, float]] = deque(maxlen=_ITEMS)
        self._is_first = True

    def came(self, now: float) -> None:
        """An item came, at a moment (s)."""
        self._came.append(now)

    def took(self, seconds: float, ahead: float = 0.0) -> None:
        """An item was worked on for so long (s), and before by another thread, ahead of its turn.

        The first, which has more to do than any other, does not count.
        """
        if self._is_first:
            self._is_first = False
        else:
            self._took.append((seconds, ahead))

    @property
    def load(self) -> float:
        """Share of the time until the next one that an item takes, on average; more than 1: more come than are done.

        Of the two threads, that which takes longer.
        """
        if len(self._came) < 2 or len(self._took) < _ENOUGH:
            return 0.0
        interval = (self._came[-1] - self._came[0]) / (len(self._came) - 1)
        typical = max(_typical(seconds) for seconds in zip(*self._took, strict=True))
        return typical / interval if interval > 0 else inf

    def room(self, most: int) -> int:
        """How many of `most` may wait, at least one."""
        load = self.load
        if load <= _WORKED_OFF:
            return most
        return min(most, _FOR_A_SLOW_ONE) if load <= 1.0 else 1


def _typical(seconds: Sequence[float]) -> float:
    """The mean; in the beginning, where all is new and takes longer, that of the fastest fourth."""
    return fmean(seconds if len(seconds) >= _ITEMS else sorted(seconds)[: max(len(seconds) // 4, 1)])


class CameraRate:
    """Tells the time between the frames of a camera, also where a bag is played at another speed than it was recorded.

    By their stamps, which do not jitter and leave no doubt about a frame that is missing, over the speed at which these
    come.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[float, float]] = deque(maxlen=_ITEMS)

    def interval(self, stamp: float, now: float) -> float | None:
        """Seconds from the frame before, whatever became of that, to one with a stamp (s) that came now (s).

        None for the first, and where the stamp is not later than the one before.
        """
        before = self._frames[-1] if self._frames else None
        if before is not None and stamp <= before[0]:
            self._frames.clear()
        self._frames.append((stamp, now))
        if before is None or len(self._frames) == 1:
            return None
        stamps, real = stamp - self._frames[0][0], now - self._frames[0][1]
        speed = stamps / real if len(self._frames) >= _SPEED_TOLD and real > 0 else 1.0
        return (stamp - before[0]) / speed
