"""What waits for a worker, and what gives way."""

from __future__ import annotations

import pytest

from pose_tracking.ros.node.mailbox import Mailbox


def taken(box: Mailbox[int]) -> list[tuple[int, bool]]:
    return [box.take() for _ in range(len(box))]


def test_items_leave_in_the_order_in_which_they_came() -> None:
    box: Mailbox[int] = Mailbox()
    assert [box.add(k, 3) for k in range(3)] == [[], [], []]
    assert taken(box) == [(0, False), (1, False), (2, False)]
    assert not box
    with pytest.raises(IndexError):
        box.take()


def test_without_room_the_oldest_leave() -> None:
    box: Mailbox[int] = Mailbox()
    assert [box.add(k, 2) for k in range(4)] == [[], [], [0], [1]]
    assert box.make_room(0) == [2]  # the newest stays in any case
    assert box.clear() == [3]


def test_of_the_overtaken_the_newest_are_kept() -> None:
    box: Mailbox[int] = Mailbox(kept=2)
    assert [box.add(k, 1) for k in range(5)] == [[], [], [], [0], [1]]
    assert taken(box) == [(2, True), (3, True), (4, False)]


def test_what_is_begun_keeps_its_turn() -> None:
    box: Mailbox[int] = Mailbox()
    box.add(0, 1)
    assert box.begin(1) == (0, 1)
    assert box.begin(1) is None  # no more than one
    assert [box.add(k, 1) for k in range(1, 4)] == [[], [1], [2]]
    assert taken(box) == [(0, False), (3, False)]


def test_those_that_are_begun_take_the_room_of_others() -> None:
    box: Mailbox[int] = Mailbox()
    assert [box.add(k, 4) for k in range(3)] == [[], [], []]
    assert [box.begin(3) for _ in range(4)] == [(0, 1), (1, 2), (2, 3), None]
    assert [box.add(k, 4) for k in range(3, 6)] == [[], [], [3]]
    assert len(box) == 5


def test_the_place_of_one_that_is_begun_counts_the_overtaken_before_it() -> None:
    box: Mailbox[int] = Mailbox(kept=2)
    for k in range(3):
        box.add(k, 1)
    assert box.begin(1) == (2, 3)
    assert box.take() == (0, True)


def test_one_that_is_not_begun_after_all_gives_way() -> None:
    box: Mailbox[int] = Mailbox()
    box.add(0, 1)
    assert box.begin(1) == (0, 1)
    box.add(1, 1)
    assert box.not_begun(0, 1) == [0]
    assert box.not_begun(7, 1) == []  # had its turn meanwhile
    assert taken(box) == [(1, False)]


def test_no_more_overtaken_ones_have_their_turn_in_succession_than_are_kept() -> None:
    box: Mailbox[int] = Mailbox(kept=2)
    for k in range(2):
        box.add(k, 1)
    done = []
    for k in range(2, 9):  # each takes until the next has come
        done.append(box.take()[1])
        box.add(k, 1)
    assert done == [True, True, False, True, True, False, True]
