"""On which frames the detector runs."""

from __future__ import annotations


class DetectorSchedule:
    """Every n-th frame, and earlier where that is worth it: there is no track, or one has just begun or been lost."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._hurry = False

    def is_due(self, every: int, has_tracks: bool) -> bool:
        """Whether the detector runs on the coming frame.

        Args:
            every: it runs on each `every`-th frame at least.
            has_tracks: whether anything is tracked; without a track there is nothing to follow on the depth.
        """
        return self._since is None or self._hurry or not has_tracks or self._since + 1 >= every

    def frame_done(self, detected: bool, lost: bool, new: bool = False) -> None:
        """A frame was processed.

        Args:
            detected: whether the detector ran.
            lost: whether a track that was seen in the frame before was not found.
            new: whether a track began: where one thing has just come to light, the next run may show others.
        """
        self._since = 0 if detected else (self._since or 0) + 1
        # What the detector itself has just missed it would miss again: so a loss alone has it run on every second
        # frame at most.
        self._hurry = new if detected else lost
