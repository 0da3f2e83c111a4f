"""On which frames the detector runs."""

from __future__ import annotations

import math
from collections import deque
from statistics import median_low

from pose_tracking.bundles.pipeline_config import AUTO

# Frames without the detector for each that may be overtaken for it: a tenth of the frames at most is.
_FRAMES_FOR_ONE = 9
# Seconds after which it runs whatever it costs.
_LONGEST = 1.0
# Frames whose times are remembered: a first run, which has all to compile, must not count for long.
_INTERVALS, _RUNS = 20, 5


class DetectorSchedule:
    """Every n-th frame, and earlier where that is worth it: there is no track, or one has just begun or been lost.

    Attributes:
        pace: how often it may run where `segment_every` is auto.
    """

    def __init__(self) -> None:
        self.pace = DetectorPace()
        self._since: int | None = None
        self._hurry = False

    def is_due(self, every: int, has_tracks: bool, beside: bool = False) -> bool:
        """Whether the detector runs on the coming frame.

        Args:
            every: it runs on each `every`-th frame at least; `AUTO`: as often as there is time.
            has_tracks: whether anything is tracked; without a track there is nothing to follow on the depth.
            beside: whether it would run beside the frames that follow, which then do not wait for it.
        """
        if self._since is None or self._hurry or not has_tracks:
            return True
        return self.pace.allows(self._since, beside) if every == AUTO else self._since + 1 >= every

    def may_be_due_after(self, every: int, has_tracks: bool, ahead: int = 1) -> bool:
        """Whether the detector is likely to run on the frame `ahead` after the coming one, or after that in the works.

        A guess: neither what the frames before it bring nor, with `AUTO`, the time they take is known.
        """
        if every == 1:
            return True
        if self._since is None or not has_tracks:
            return False
        if every == AUTO:
            return self._first_allowed(ahead) == ahead
        # An early run is on the coming frame, and nothing is to be in its way; what its own turn needs has begun.
        is_early = self._hurry and self._since + 1 < every
        return not is_early and (self._since + 1 + ahead) % every == 0

    def _first_allowed(self, most: int) -> int | None:
        """How many frames after the coming one, `most` at most, `AUTO` allows its next run; None: no such frame."""
        since = 0 if self._hurry or self.pace.allows(self._since or 0, False) else (self._since or 0) + 1
        return next((ahead for ahead in range(1, most + 1) if self.pace.allows(since + ahead - 1, False)), None)

    def frame_done(self, detected: bool, lost: bool, new: bool = False) -> None:
        """A frame was processed.

        Args:
            detected: whether the detector ran.
            lost: whether a track that was seen in the frame before was not found.
            new: whether a track began: where one thing has just come to light, the next run may show others.
        """
        self._since = 0 if detected else (self._since or 0) + 1
        # What the detector itself has just missed it would miss again: so a loss alone has it run on every second
        # frame at most. A run that cannot begin at once is not forgotten.
        self._hurry = new if detected else lost or new or self._hurry

    @property
    def is_hurried(self) -> bool:
        """Whether it should run before its turn."""
        return self._hurry

    def run_begun(self) -> None:
        """The detector has begun to look at the frame that was done last, beside those that follow."""
        self._since, self._hurry = 0, False
        self.pace.run_begun()


class DetectorPace:
    """How often the detector may run if no frame of a camera is to be overtaken by the next, but for one in ten.

    A frame that comes while another is in the works waits, and is overtaken where a third one comes. So a frame may be
    done two intervals after it came. When it came is told by the caller or else by its stamp, what it takes by the
    clock; a recording that is processed faster or slower than it was taken is reckoned with as if it came from the
    camera.

    Attributes:
        outside: seconds that a frame takes besides, before and after the pipeline.
        camera_interval: seconds between the frames of the camera, where the caller knows: of those that were overtaken
            the pipeline hears nothing. None: between those that come.
        came: when the coming frame came (s), by a clock of the caller's; None: by its stamp.
    """

    def __init__(self) -> None:
        self.outside = 0.0
        self.camera_interval: float | None = None
        self.came: float | None = None
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._runs: deque[float] = deque(maxlen=_RUNS)
        self._stamp: float | None = None
        self._free = self._ran = -math.inf

    @property
    def interval(self) -> float:
        """Seconds between the frames of the camera; a pause between some is none of the usual ones."""
        ordered = sorted(self._intervals)
        return ordered[len(ordered) // 4] if ordered else math.inf

    def reckon_with(self, outside: float, interval: float | None, came: float | None) -> None:
        """Take over what the caller knows of the coming frame, see the attributes."""
        self.outside, self.camera_interval, self.came = outside, interval, came

    def frame_comes(self, stamp: float) -> None:
        """A frame of that stamp (s) is about to be processed."""
        stamp, self.came = stamp if self.came is None else self.came, None
        if self._stamp is not None:
            given = self.camera_interval
            self._intervals.append(stamp - self._stamp if given is None else given)
        self._stamp = stamp

    def frame_done(self, seconds: float, detected: bool) -> None:
        """The pipeline took so many seconds for it; `detected`: the detector was in them."""
        assert self._stamp is not None
        if detected:
            self._runs.append(seconds)
            self._ran = self._stamp
        self._free = self._stamp + self._late() + seconds + self.outside

    def run_begun(self) -> None:
        """The detector has begun to look at the last frame, beside those that follow."""
        assert self._stamp is not None
        self._ran = self._stamp

    def allows(self, since: int, beside: bool) -> bool:
        """Whether there is time for the detector in the frame that has come.

        Args:
            since: frames since its last run.
            beside: whether it would run beside the frames that follow: then what counts is whether they keep up.
        """
        assert self._stamp is not None
        if self._stamp - self._ran >= _LONGEST or not self._intervals:
            return True
        if beside:
            return self._late() < self.interval / 2
        if not self._runs:
            return True
        # The first that comes meanwhile waits, and all but the last of the others are overtaken.
        takes = self._late() + median_low(self._runs) + self.outside
        overtaken = max(0, math.ceil(takes / self.interval) - 2)
        return since >= _FRAMES_FOR_ONE * overtaken

    def _late(self) -> float:
        """Seconds between the coming of the frame and its turn; more than an interval, and another had its turn."""
        assert self._stamp is not None
        return min(max(self._free - self._stamp, 0.0), self.interval)
