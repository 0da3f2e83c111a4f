"""How far apart the frames of a stream are, and what is a pause of it."""

from __future__ import annotations

from collections import deque
from statistics import median_low

# So many times the usual interval is a pause: two frames lost in a row, with stamps that jitter, are none.
_PAUSE = 3.5
# The same where a single interval tells the usual one: it may have been a pause itself.
_PAUSE_AFTER_ONE = 1.5
# Intervals that tell the usual one; of five, two pauses do not move the median.
_REMEMBERED = 5
# Seconds taken for the usual interval before the second frame: streams slower than that are rare.
_UNKNOWN = 1.0
# Seconds that are a pause whatever is usual: who takes single frames minutes apart has no stream.
_LONGEST = 60.0


class FrameInterval:
    """The usual time between frames, and whether a frame came after a pause.

    A stream of one frame in ten seconds is slow, one of thirty a second that is silent for ten seconds has paused.
    """

    def __init__(self) -> None:
        self._intervals: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, dt: float) -> None:
        """Take note of `dt` seconds between two frames."""
        self._intervals.append(dt)

    def is_pause(self, dt: float) -> bool:
        """Whether `dt` seconds after the frame before are much more than usual."""
        usual = median_low(self._intervals) if self._intervals else _UNKNOWN
        most = (_PAUSE_AFTER_ONE if len(self._intervals) == 1 else _PAUSE) * usual
        return dt > min(most, _LONGEST)
