"""A worker thread with a short mailbox: inference runs beside the executor and sees the newest frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from .mailbox import Mailbox
from .throughput import Throughput

T = TypeVar("T")

# Items on which work begins before their turn. With one, either thread would often wait for the other: what they take
# differs from item to item.
MOST_AHEAD = 3


class LatestWorker(Generic[T]):
    """Processes the newest items in a thread of its own; one not yet taken when the next arrives is overtaken.

    With `most_waiting` more than one, as many wait as long as items are done, on average, clearly faster than they
    come: those that come during a slow one are then done one by one. Where they are done just as fast, two wait, and
    where they are not, only the newest.

    While an item is in the works, work may begin on the next (`look_ahead`), and where several wait on up to
    `MOST_AHEAD`. These then have their turn in any case; those after them are overtaken as ever.

    Args:
        process: called with each item, in the thread. What it returns is for how long (s) the item kept this thread
            busy, and what had begun before its turn another; None: this one as long as it took.
        on_replaced: called with an item that was overtaken and will not have its turn, in the thread that calls `put`.
        on_error: called with what `process` or an action raised; the thread goes on with the next one.
        look_ahead: called with an item that waits for its turn and how many places after the one in the works that is,
            in the thread that calls `put` or in the worker's own; whether work on it has begun. What it raises goes to
            `on_error`.
        hurry: called with an item that was overtaken, in place of `process`, where this takes next to no time: of these
            up to `most_waiting`, too, have their turn.
        name: of the thread.
        most_waiting: items that wait at most.
    """

    def __init__(
        self,
        process: Callable[[T], tuple[float, float] | None],
        on_replaced: Callable[[T], None],
        on_error: Callable[[Exception], None],
        look_ahead: Callable[[T, int], bool] | None = None,
        hurry: Callable[[T], object] | None = None,
        name: str = "inference",
        most_waiting: int = 1,
    ) -> None:
        self._process = process
        self._on_replaced = on_replaced
        self._on_error = on_error
        self._look_ahead = look_ahead
        self._hurry = hurry
        self._condition = threading.Condition()
        self._most_waiting = most_waiting
        self._throughput = Throughput()
        self._mailbox: Mailbox[T] = Mailbox(0 if hurry is None else most_waiting)
        self._beginning = self._busy = False
        self._actions: list[Callable[[], None]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over an item; never waits for the one in the works."""
        with self._condition:
            self._throughput.came(time.monotonic())
            replaced = self._mailbox.add(item, self._room)
            self._condition.notify()
        self._tell(replaced)
        self._begin_next()

    def call(self, action: Callable[[], None]) -> None:
        """Run `action` in the thread before the next item: what it touches needs no lock."""
        with self._condition:
            self._actions.append(action)
            self._condition.notify()

    def clear(self) -> list[T]:
        """Take back and return the waiting items."""
        with self._condition:
            return self._mailbox.clear()

    def stop(self, timeout: float) -> bool:
        """End the thread after the current item; False where it did not end within `timeout` seconds."""
        with self._condition:
            self._stopping = True
            self._mailbox.clear()
            self._actions.clear()
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def _room(self) -> int:
        return self._throughput.room(self._most_waiting)

    def _tell(self, replaced: Iterable[T]) -> None:
        for each in replaced:
            self._on_replaced(each)

    def _begin_next(self) -> None:
        """Begin work on items that wait, as far ahead as may be, while one is in the works."""
        while (next_item := self._next_to_begin()) is not None:
            item, ahead = next_item
            begun = False
            try:
                begun = self._look_ahead is not None and self._look_ahead(item, ahead)
            except Exception as error:
                self._on_error(error)
            with self._condition:
                self._beginning = False
                replaced = [] if begun else self._mailbox.not_begun(item, self._room)
                self._condition.notify()
            self._tell(replaced)
            if not begun:
                return

    def _next_to_begin(self) -> tuple[T, int] | None:
        with self._condition:
            if self._look_ahead is None or not self._busy or self._beginning:
                return None
            chosen = self._mailbox.begin(min(MOST_AHEAD, self._room))
            self._beginning = chosen is not None
            return chosen

    def _run(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                self._condition.wait_for(lambda: self._stopping or self._mailbox or self._actions)
                if self._stopping:
                    return
                actions, self._actions = self._actions, []
                taken = None if actions else self._mailbox.take()
                self._busy = taken is not None
            for action in actions:
                self._guarded(action)
            if taken is not None:
                self._begin_next()
                self._work_on(*taken)

    def _work_on(self, item: T, is_overtaken: bool) -> None:
        if is_overtaken and self._hurry is not None:  # what it takes tells nothing of the others
            hurry = self._hurry
            self._guarded(lambda: hurry(item))
            return
        began, took = time.monotonic(), None
        try:
            took = self._process(item)
        except Exception as error:
            self._on_error(error)
        with self._condition:
            self._throughput.took(*(took or (time.monotonic() - began,)))

    def _guarded(self, call: Callable[[], object]) -> None:
        """Whatever one action or item does to us, the next one gets its chance."""
        try:
            call()
        except Exception as error:
            self._on_error(error)
