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
        self.gaps: list[int | None] = []
        self.jumped: list[int] = []
        super().__init__(slop_ns, queue_size, self._dropped, self.jumped.append)

    @property
    def jumps(self) -> int:
        """Number of jumps of time."""
        return len(self.jumped)

    def _dropped(self, reason: str, gap: int | None) -> None:
        self.drops.update([reason])
        self.gaps.append(gap)


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
    assert sync.jumped == [-700 * MS]  # noticed at 0.2 s; the last pair was of 0.9 s
    assert sync.drops["stamp_backwards"] == JUMP_BACK_AFTER - 1
    # The frames of the jump are lost: half of the images that were needed to be sure, and one left without partner.
    assert pairs >= 20 - (JUMP_BACK_AFTER + 1) // 2


HOUR = 3600 * 1000 * MS


def healthy(sync: Watched, frames: int, start: int, order: tuple[int, int] = (0, 1)) -> int:
    """Number of pairs that `frames` frames of a healthy camera, 33 ms apart from `start` on, make."""
    pairs = 0
    for frame in range(frames):
        stamp = start + 33 * MS * frame
        pairs += sum(sync.add(stream, stamp, stamp) == (stamp, stamp) for stream in order)
    return pairs


@pytest.mark.parametrize("queue_size", [1, 2, 5, 10])
@pytest.mark.parametrize("count", [1, 3, 10, 40])
@pytest.mark.parametrize("jump", [HOUR, -HOUR, 5000 * MS, -5000 * MS])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("glitching", [(0,), (1,), (0, 1)])
def test_images_with_a_wrong_stamp_cost_no_frame_after_the_tenth(queue_size, count, jump, order, glitching):
    sync = Watched(queue_size=queue_size)
    start = 10 * HOUR
    assert healthy(sync, 5, start, order) == 5
    for frame in range(count):
        for stream in glitching:
            sync.add(stream, start + jump + 33 * MS * frame, None)
    start += 33 * MS * (5 + count)
    before = healthy(sync, 10, start, order)
    assert before >= 7
    assert healthy(sync, 50, start + 330 * MS, order) == 50
    assert sync.waiting[0] <= queue_size
    assert sync.waiting[1] <= queue_size


def test_an_image_from_the_future_does_not_wait_for_it():
    sync = Watched(queue_size=5)
    sync.add(0, HOUR, "from the future")
    assert healthy(sync, 5, 0) == 5
    assert sync.waiting == (0, 0)
    assert sync.drops == {"unmatched": 1}
    assert sync.add(1, HOUR, "an hour later") is None


def test_one_topic_in_the_past_for_good_does_not_reset_again_and_again():
    sync = Watched(queue_size=5)
    assert healthy(sync, 5, 2 * HOUR) == 5
    for frame in range(5, 60):
        sync.add(0, 33 * MS * frame, None)
        sync.add(1, 2 * HOUR + 33 * MS * frame, None)
    assert sync.jumps == 1
    assert healthy(sync, 10, 2 * HOUR + 33 * MS * 60) == 10


def test_a_drop_tells_how_far_the_streams_are_apart():
    sync = Watched(queue_size=1)
    for frame in range(2):
        sync.add(0, HOUR + frame * MS, None)
    sync.add(1, 0, None)
    sync.add(0, HOUR + 2 * MS, None)
    assert sync.gaps == [None, HOUR + 1 * MS]


def test_a_jump_forward_is_told_and_loses_nothing():
    sync = Watched()
    assert healthy(sync, 3, 0) == 3
    assert healthy(sync, 3, HOUR) == 3
    assert sync.jumped == [HOUR - 66 * MS]
    assert not sync.drops


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
