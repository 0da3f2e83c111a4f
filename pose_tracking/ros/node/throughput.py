"""How often frames come, and whether a worker is as fast as that, on average. Knows no ROS."""

from __future__ import annotations

from collections import deque

# Items over which is averaged: a detector that runs on every tenth frame must be among them more than once.
_ITEMS = 30
# Share of the time between two items that one may take: at more, what has piled up is hardly ever worked off.
_KEEPS_UP = 0.9
_ENOUGH = 5  # of the first ones all take longer, and fewer do not tell how fast a bag is played


class Throughput:
    """Compares how often items come with what they take. As long as little is known it is taken to be enough."""

    def __init__(self) -> None:
        self._came: deque[float] = deque(maxlen=_ITEMS)
        self._took: deque[float] = deque(maxlen=_ITEMS)
        self._is_first = True

    def came(self, now: float) -> None:
        """An item came, at a moment (s)."""
        self._came.append(now)

    def took(self, seconds: float) -> None:
        """An item was worked on for so long. The first, which has more to do than any other, does not count."""
        if self._is_first:
            self._is_first = False
        else:
            self._took.append(seconds)

    @property
    def keeps_up(self) -> bool:
        """Whether items take less time than there is, on average, until the next one."""
        if len(self._came) < 2 or len(self._took) < _ENOUGH:
            return True
        interval = (self._came[-1] - self._came[0]) / (len(self._came) - 1)
        return sum(self._took) / len(self._took) <= _KEEPS_UP * interval


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
        speed = stamps / real if len(self._frames) >= _ENOUGH and real > 0 else 1.0
        return (stamp - before[0]) / speed
