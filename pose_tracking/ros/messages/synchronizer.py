"""Pairs colour and depth images whose stamps nearly agree. Knows no ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

# A looping bag or a reset clock goes on in the past for good; a late image does not. This many images in a row older
# than the last pair are taken for the former.
JUMP_BACK_AFTER = 5


class PairSynchronizer:
    """Approximate time synchroniser of two streams that never waits: the newest pair wins.

    An image is paired as soon as the other stream holds one within `slop_ns`, with the nearest such one. Whatever is
    older than a pair can no longer be part of a newer one and is dropped, so every image ends up in exactly one
    pair, is dropped with a reason, or still waits.

    Args:
        slop_ns: largest difference of the two stamps of a pair, ns.
        queue_size: images of one stream that may wait for their partner.
        on_drop: called with the reason of each dropped image: ``"unmatched"`` (no partner within the slop),
            ``"stamp_backwards"`` (not newer than the last pair).
        on_jump_back: called when `JUMP_BACK_AFTER` images in a row were older than the last pair (a bag that loops,
            a clock that was reset); time starts again from there.
    """

    def __init__(
        self,
        slop_ns: int,
        queue_size: int,
        on_drop: Callable[[str], None],
        on_jump_back: Callable[[], None],
    ) -> None:
        self.slop_ns = slop_ns
        self.queue_size = queue_size
        self._on_drop = on_drop
        self._on_jump_back = on_jump_back
        self._queues: tuple[deque[tuple[int, Any]], deque[tuple[int, Any]]] = (deque(), deque())
        self._last: list[int | None] = [None, None]
        self._backwards = 0

    @property
    def waiting(self) -> tuple[int, int]:
        """Number of images of each stream that wait for a partner."""
        return len(self._queues[0]), len(self._queues[1])

    def add(self, stream: int, stamp_ns: int, item: Any) -> tuple[Any, Any] | None:
        """Take an image of `stream` (0 or 1); returns the pair (item of stream 0, item of stream 1) it completes."""
        last = self._last[stream]
        if last is not None and stamp_ns <= last:
            self._backwards += 1
            if self._backwards < JUMP_BACK_AFTER:
                self._on_drop("stamp_backwards")
                return None
            self.clear()
            self._on_jump_back()
        self._backwards = 0
        own, other = self._queues[stream], self._queues[1 - stream]
        match = min(other, key=lambda entry: abs(entry[0] - stamp_ns), default=None)
        if match is None or abs(match[0] - stamp_ns) > self.slop_ns:
            own.append((stamp_ns, item))
            if len(own) > self.queue_size:
                own.remove(min(own, key=lambda entry: entry[0]))
                self._on_drop("unmatched")
            return None
        other.remove(match)
        self._last[stream], self._last[1 - stream] = stamp_ns, match[0]
        self._discard_until(own, stamp_ns)
        self._discard_until(other, match[0])
        return (item, match[1]) if stream == 0 else (match[1], item)

    def clear(self) -> None:
        """Forget everything, counting the images that wait as dropped."""
        for queue in self._queues:
            for _ in queue:
                self._on_drop("unmatched")
            queue.clear()
        self._last = [None, None]
        self._backwards = 0

    def _discard_until(self, queue: deque[tuple[int, Any]], stamp_ns: int) -> None:
        keep = [entry for entry in queue if entry[0] > stamp_ns]
        for _ in range(len(queue) - len(keep)):
            self._on_drop("unmatched")
        queue.clear()
        queue.extend(keep)
