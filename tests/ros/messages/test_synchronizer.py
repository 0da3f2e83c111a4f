"""Pairing of two image streams."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.ros.messages.synchronizer import JUMP_BACK_AFTER, PairSynchronizer

MS = 1_000_000


class Watched(PairSynchronizer):
    """A synchroniser that keeps what it reports."""

    def __init__(self, slop_ns: int = 10 * MS, queue_size: int = 5) -> None:
        self.drops: Counter[str] = Counter()
        self.jumps = 0
        super().__init__(slop_ns, queue_size, lambda reason: self.drops.update([reason]), self._jumped)

    def _jumped(self) -> None:
        self.jumps += 1


def test_pairs_equal_stamps_in_either_order():
    sync = Watched()
    assert sync.add(0, 100, "c") is None
    assert sync.add(1, 100, "d") == ("c", "d")
    assert sync.add(1, 200, "d2") is None
    assert sync.add(0, 200, "c2") == ("c2", "d2")
    assert not sync.drops


def test_pairs_within_the_slop_only():
    sync = Watched(slop_ns=10 * MS)
    sync.add(0, 0, "c")
    assert sync.add(1, 11 * MS, "d") is None
    assert sync.add(0, 21 * MS, "c2") == ("c2", "d")
    assert sync.drops == {"unmatched": 1}  # c: older than the pair


def test_takes_the_nearest_partner():
    sync = Watched(slop_ns=10 * MS)
    for stamp in (0, 6 * MS, 12 * MS):
        sync.add(1, stamp, stamp)
    assert sync.add(0, 7 * MS, "c") == ("c", 6 * MS)
    assert sync.drops == {"unmatched": 1}  # depth at 0; the one at 12 ms may still find a partner
    assert sync.add(0, 13 * MS, "c2") == ("c2", 12 * MS)


def test_the_queue_is_bounded_and_keeps_the_newest():
    sync = Watched(queue_size=3)
    for stamp in range(5):
        sync.add(0, stamp * 100 * MS, stamp)
    assert sync.waiting == (3, 0)
    assert sync.drops == {"unmatched": 2}
    assert sync.add(1, 200 * MS, "d") == (2, "d")


def test_a_late_or_repeated_image_is_dropped():
    sync = Watched()
    sync.add(0, 100 * MS, "c")
    sync.add(1, 100 * MS, "d")
    assert sync.add(0, 100 * MS, "again") is None
    assert sync.add(1, 50 * MS, "late") is None
    assert sync.drops == {"stamp_backwards": 2}
    assert sync.jumps == 0


def test_a_bag_that_loops_starts_time_anew():
    sync = Watched()
    pairs = 0
    for _ in range(2):
        for stamp in range(0, 1000, 100):
            sync.add(0, stamp * MS, stamp)
            pairs += sync.add(1, stamp * MS, stamp) is not None
    assert sync.jumps == 1
    assert sync.drops["stamp_backwards"] == JUMP_BACK_AFTER - 1
    # The frames of the jump are lost: half of the images that were needed to be sure, and one left without partner.
    assert pairs >= 20 - (JUMP_BACK_AFTER + 1) // 2


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 400)), max_size=80),
    st.integers(0, 30),
    st.integers(1, 5),
)
def test_every_image_is_paired_once_dropped_or_waiting(images, slop, queue_size):
    sync = Watched(slop, queue_size)
    seen: set[int] = set()
    last: tuple[int, int] | None = None
    for number, (stream, stamp) in enumerate(images):
        jumps = sync.jumps
        pair = sync.add(stream, stamp, (number, stream, stamp))
        if sync.jumps > jumps:
            last = None
        if pair is None:
            continue
        (a, stream_a, stamp_a), (b, stream_b, stamp_b) = pair
        assert (stream_a, stream_b) == (0, 1)
        assert abs(stamp_a - stamp_b) <= slop
        assert not {a, b} & seen
        seen |= {a, b}
        if last is not None:
            assert stamp_a > last[0]
            assert stamp_b > last[1]
        last = (stamp_a, stamp_b)
    assert len(seen) + sum(sync.drops.values()) + sum(sync.waiting) == len(images)
    assert max(sync.waiting) <= queue_size


@pytest.mark.parametrize("stream", [0, 1])
def test_clear_counts_what_waits(stream):
    sync = Watched()
    sync.add(stream, 5, "x")
    sync.clear()
    assert sync.drops == {"unmatched": 1}
    assert sync.waiting == (0, 0)
