"""What waits for a worker, and what gives way when too much does. Knows no ROS and no threads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

T = TypeVar("T")


class _State(Enum):
    WAITING = auto()
    BEGUN = auto()  # work on it has begun before its turn: it keeps it
    OVERTAKEN = auto()  # there is no room for it any more


@dataclass(eq=False)
class _Letter(Generic[T]):
    item: T
    state: _State = _State.WAITING


class Mailbox(Generic[T]):
    """Items in the order in which they came, of which the newest have room.

    Those that are overtaken leave it, but for the newest `kept` of them, which have their turn as overtaken ones: so
    many in succession at most, or no other would ever have its turn where each takes longer than the next to come.

    Args:
        kept: overtaken items that stay.
    """

    def __init__(self, kept: int = 0) -> None:
        self._kept = kept
        self._letters: list[_Letter[T]] = []
        self._in_succession = 0  # overtaken items taken since the last that was not

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, item: T, room: int) -> list[T]:
        """Take an item; returns those that leave for it, the oldest first. See `make_room`."""
        self._letters.append(_Letter(item))
        return self.make_room(room)

    def make_room(self, room: int) -> list[T]:
        """Let the newest `room` items wait, at least one; of those that were begun all but one count among them.

        Returns:
            The items that leave, the oldest first.
        """
        waiting, begun = self._of(_State.WAITING), self._of(_State.BEGUN)
        for letter in waiting[: -max(room - max(len(begun) - 1, 0), 1)]:
            letter.state = _State.OVERTAKEN
        overtaken = self._of(_State.OVERTAKEN)
        leaving = overtaken[: max(len(overtaken) - self._kept, 0)]
        for letter in leaving:
            self._letters.remove(letter)
        return [letter.item for letter in leaving]

    def begin(self, most: int) -> tuple[T, int] | None:
        """The next item that waits, which counts as begun from now on, and its place among all, from 1.

        None where there is none, or `most` are begun already.
        """
        if len(self._of(_State.BEGUN)) >= most:
            return None
        for place, letter in enumerate(self._letters, 1):
            if letter.state == _State.WAITING:
                letter.state = _State.BEGUN
                return letter.item, place
        return None

    def not_begun(self, item: T, room: int) -> list[T]:
        """The item was not begun after all: it waits as ever, if it is still there. Returns what leaves for it."""
        for letter in self._letters:
            if letter.item is item:
                letter.state = _State.WAITING
        return self.make_room(room)

    def take(self) -> tuple[T, bool]:
        """The oldest item, which leaves, and whether it is to be done as one that was overtaken.

        Raises:
            IndexError: there is none.
        """
        letter = self._letters.pop(0)
        is_overtaken = letter.state == _State.OVERTAKEN and self._in_succession < self._kept
        self._in_succession = self._in_succession + 1 if is_overtaken else 0
        return letter.item, is_overtaken

    def clear(self) -> list[T]:
        """Let all items leave; returns them."""
        letters, self._letters = self._letters, []
        return [letter.item for letter in letters]

    def _of(self, state: _State) -> list[_Letter[T]]:
        return [letter for letter in self._letters if letter.state == state]
