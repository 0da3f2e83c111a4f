"""Pairs colour and depth images whose stamps nearly agree. Knows no ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# A looping bag or a reset clock goes on in the past for good; a late image does not. This many images older than the
# last pair, with no newer pair in between, are taken for the former.
JUMP_BACK_AFTER = 5
# A pair this much newer than the one before is told of: the stream paused, or a clock was set.
JUMP_FORWARD_NS = 10_000_000_000


@dataclass(frozen=True)
class _Waiting:
    """An image without a partner: its number on its stream, its stamp (ns), and the image."""

    number: int
    stamp_ns: int
    item: Any


class PairSynchronizer:
    """Approximate time synchroniser of two streams that never waits: the newest pair wins.

    An image is paired as soon as the other stream holds one within `slop_ns`, with the nearest such one. Whatever is
    older than a pair can no longer be part of a newer one and is dropped, and an image waits for no more than
    `queue_size` images of its own stream, whatever its stamp says: one stamped in the future is not kept for it. So
    every image ends up in exactly one pair, is dropped with a reason, or still waits.

    Args:
        slop_ns: largest difference of the two stamps of a pair, ns.
        queue_size: images of one stream that may wait for their partner.
        on_drop: called with the reason of each dropped image: ``"unmatched"`` (no partner within the slop),
            ``"stamp_backwards"`` (not newer than the last pair); and with how far its stamp is ahead of the newest
            image of the other stream, ns, or None where that stream is silent.
        on_jump: called with how far time went, ns: back (negative) when `JUMP_BACK_AFTER` images were older than the
            last pair (a bag that loops, a clock that was reset), after which time starts again from there; forward
            when a pair is more than `JUMP_FORWARD_NS` newer than the one before.
    """

    def __init__(
        self,
        slop_ns: int,
        queue_size: int,
        on_drop: Callable[[str, int | None], None],
        on_jump: Callable[[int], None],
    ) -> None:
        self.slop_ns = slop_ns
        self.queue_size = queue_size
        self._on_drop = on_drop
        self._on_jump = on_jump
        self._queues: tuple[deque[_Waiting], deque[_Waiting]] = (deque(), deque())
        self._counts = [0, 0]
        self._newest: list[int | None] = [None, None]  # stamp of the image of each stream that came last
        self._last: tuple[int, int] | None = None  # stamps of the last pair
        self._backwards = 0

    @property
    def waiting(self) -> tuple[int, int]:
        """Number of images of each stream that wait for a partner."""
        return len(self._queues[0]), len(self._queues[1])

    def add(self, stream: int, stamp_ns: int, item: Any) -> tuple[Any, Any] | None:
        """Take an image of `stream` (0 or 1); returns the pair (item of stream 0, item of stream 1) it completes."""
        self._newest[stream] = stamp_ns
        if self._last is not None and stamp_ns <= self._last[stream]:
            self._backwards += 1
            if self._backwards < JUMP_BACK_AFTER:
                self._drop("stamp_backwards", stream, stamp_ns)
                return None
            jump = stamp_ns - self._last[stream]
            self.clear()
            self._on_jump(jump)
        image = self._enqueue(stream, stamp_ns, item)
        other = self._queues[1 - stream]
        match = min(other, key=lambda waiting: abs(waiting.stamp_ns - stamp_ns), default=None)
        if match is None or abs(match.stamp_ns - stamp_ns) > self.slop_ns:
            return None
        self._queues[stream].remove(image)
        other.remove(match)
        first, second = (image, match) if stream == 0 else (match, image)
        self._paired(first.stamp_ns, second.stamp_ns)
        return first.item, second.item

    def clear(self) -> None:
        """Forget everything, counting the images that wait as dropped."""
        for stream, queue in enumerate(self._queues):
            for waiting in queue:
                self._drop("unmatched", stream, waiting.stamp_ns)
            queue.clear()
        self._last = None
        self._backwards = 0

    def _enqueue(self, stream: int, stamp_ns: int, item: Any) -> _Waiting:
        """Let an image wait; the one that has waited longest goes. Its age is counted in images, not read off stamps:
        one stamped in the future would stay for ever."""
        queue = self._queues[stream]
        self._counts[stream] += 1
        image = _Waiting(self._counts[stream], stamp_ns, item)
        queue.append(image)
        while queue[0].number <= image.number - self.queue_size:
            self._drop("unmatched", stream, queue.popleft().stamp_ns)
        return image

    def _paired(self, *stamps: int) -> None:
        if self._last is not None and (jump := stamps[0] - self._last[0]) > JUMP_FORWARD_NS:
            self._on_jump(jump)
        self._last = (stamps[0], stamps[1])
        self._backwards = 0
        for stream, queue in enumerate(self._queues):
            keep = [waiting for waiting in queue if waiting.stamp_ns > stamps[stream]]
            for waiting in queue:
                if waiting.stamp_ns <= stamps[stream]:
                    self._drop("unmatched", stream, waiting.stamp_ns)
            queue.clear()
            queue.extend(keep)

    def _drop(self, reason: str, stream: int, stamp_ns: int) -> None:
        other = self._newest[1 - stream]
        self._on_drop(reason, None if other is None else stamp_ns - other)
