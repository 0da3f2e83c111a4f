"""Detections that come to nothing again and again: fragments, look-alikes, what is not there.

The pose stage spends most on what it cannot find a pose for. What it has refused looks the same in the next frame, so
it is looked at again in turn only, or once the detector is surer of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.boxes import box_iou
from pose_tracking.core.results import Instances

SAME_BOX = 0.6  # IoU of the boxes of one thing in two frames
SURER = 0.1  # by which the detector's score has risen where it is worth another look


@dataclass(frozen=True)
class _Refusal:
    """One of them, and for how many frames it was not looked at; what has waited from the first counts as due."""

    obj_id: int
    box: Float
    score: float
    frames: int


class RefusedDetections:
    """Remembers what the detector's last frame has refused.

    What waits is counted in frames of the stream: a detector that looks at few of them leaves nothing alone for longer.
    """

    def __init__(self) -> None:
        self._since = self._usual = 1  # frames since the detector's last one; before that, from the one before it
        self._last: list[_Refusal] = []
        self._passed_over: list[_Refusal] = []

    def recall(self, instances: Instances, every: int, likely: Bool, expected: Bool) -> Bool:
        """(N,) which of N instances need no look in this frame.

        Args:
            instances: of the frame, none that a track explains.
            every: what was refused is looked at again after so many frames. Of those that are not likely, no more are
                looked at in a frame than it takes for each to have its turn within as many.
            likely: (N,) whether the detector is sure enough of each to look at it at once when it is new.
            expected: (N,) whether a track expects each: those are looked at in any case.
        """
        wanted, waited = self._wanted(instances, every, likely, expected, self._since)
        self._usual = self._since
        self._passed_over = [
            waited[i] or _Refusal(int(instances.obj_ids[i]), instances.boxes[i], float(instances.scores[i]), every)
            for i in np.flatnonzero(~wanted)
        ]
        return ~wanted

    def would_recall(self, instances: Instances, every: int, likely: Bool, expected: Bool) -> Bool:
        """What `recall` is likely to say of a frame to come; from any thread."""
        return ~self._wanted(instances, every, likely, expected, self._usual)[0]

    def _wanted(
        self, instances: Instances, every: int, likely: Bool, expected: Bool, since: int
    ) -> tuple[Bool, list[_Refusal | None]]:
        """(N,) which instances need a look, see `recall`, and what was refused in their places."""
        waited = [self._waited(instances, i, since) for i in range(len(instances))]
        wanted = np.array([each is None or each.frames >= every for each in waited], bool)
        wanted |= expected
        unlikely = ~likely & ~expected
        turns = np.flatnonzero(wanted & unlikely)
        order = np.lexsort((-instances.scores[turns], np.array([-_frames(waited[i], every) for i in turns])))
        wanted[turns[order[-(-np.count_nonzero(unlikely) * since // every) :]]] = False
        return wanted, waited

    def _waited(self, instances: Instances, i: int, since: int) -> _Refusal | None:
        """What was refused in the place of instance `i`; None where nothing was, or the detector is surer of it now."""
        same = [each for each in self._last if each.obj_id == instances.obj_ids[i]]
        if not same:
            return None
        overlaps = box_iou(instances.boxes[i], np.array([each.box for each in same]))[0]
        before = same[int(overlaps.argmax())]
        if overlaps.max() < SAME_BOX or instances.scores[i] > before.score + SURER:
            return None
        return replace(before, box=instances.boxes[i], frames=before.frames + since)

    def frame_done(self, refused: Instances) -> None:
        """Take in what this frame has refused after a look; what was passed over in it is remembered, too."""
        found = zip(refused.obj_ids.tolist(), refused.boxes, refused.scores.tolist(), strict=True)
        self._last = [*self._passed_over, *(_Refusal(obj_id, box, score, 0) for obj_id, box, score in found)]
        self._passed_over, self._since = [], 0

    def frame_passed(self) -> None:
        """A frame of the stream is done, whether or not the detector has looked at it."""
        self._since += 1


def _frames(refusal: _Refusal | None, every: int) -> int:
    return every if refusal is None else refusal.frames
