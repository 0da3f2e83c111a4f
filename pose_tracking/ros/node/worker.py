"""A worker thread with a short mailbox: inference runs beside the executor and sees the newest frames."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from .throughput import Throughput

T = TypeVar("T")


class LatestWorker(Generic[T]):
    """Processes the newest items in a thread of its own; one not yet taken when the next arrives is replaced.

    With `most_waiting` more than one, as many wait as long as items are done, on average, clearly faster than they
    come: those that come during a slow one are then done one by one. Where they are done just as fast, two wait, and
    where they are not, only the newest.

    While an item is in the works, work may begin on the next that comes (`look_ahead`). That one then has its turn in
    any case; those after it are replaced as ever.

    Args:
        process: called with each item, in the thread. What it returns is how long the item would have taken had it
            waited since the one before had its turn (s); None: as long as it took.
        on_replaced: called with an item that was overtaken before its turn, in the thread that calls `put`.
        on_error: called with what `process` or an action raised; the thread goes on with the next one.
        look_ahead: called with an item that waits for its turn, in the thread that calls `put` or in the worker's own;
            whether work on it has begun. What it raises goes to `on_error`.
        name: of the thread.
        most_waiting: items that wait at most.
    """

    def __init__(
        self,
        process: Callable[[T], float | None],
        on_replaced: Callable[[T], None],
        on_error: Callable[[Exception], None],
        look_ahead: Callable[[T], bool] | None = None,
        name: str = "inference",
        most_waiting: int = 1,
    ) -> None:
        self._process = process
        self._on_replaced = on_replaced
        self._on_error = on_error
        self._look_ahead = look_ahead
        self._condition = threading.Condition()
        self._most_waiting = most_waiting
        self._throughput = Throughput()
        self._items: deque[T] = deque()
        self._begun: T | None = None
        self._busy = False
        self._actions: list[Callable[[], None]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over an item; never waits for the one in the works."""
        with self._condition:
            self._throughput.came(time.monotonic())
            self._items.append(item)
            replaced = self._overtaken()
            self._condition.notify()
        for each in replaced:
            self._on_replaced(each)
        self._begin_next()

    def call(self, action: Callable[[], None]) -> None:
        """Run `action` in the thread before the next item: what it touches needs no lock."""
        with self._condition:
            self._actions.append(action)
            self._condition.notify()

    def clear(self) -> list[T]:
        """Take back and return the waiting items."""
        with self._condition:
            items = [*([] if self._begun is None else [self._begun]), *self._items]
            self._begun = None
            self._items.clear()
            return items

    def stop(self, timeout: float) -> bool:
        """End the thread after the current item; False where it did not end within `timeout` seconds."""
        with self._condition:
            self._stopping = True
            self._begun = None
            self._items.clear()
            self._actions.clear()
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _begin_next(self) -> None:
        """Begin work on the item that waits, if one is in the works and work on no other has begun."""
        with self._condition:
            if self._look_ahead is None or not self._items or self._begun is not None or not self._busy:
                return
            # Nothing may overtake it meanwhile.
            item = self._begun = self._items.popleft()
        begun = False
        try:
            begun = self._look_ahead(item)
        except Exception as error:
            self._on_error(error)
        if begun:
            return
        with self._condition:
            replaced: list[T] = []
            if self._begun is item:  # it has not had its turn yet, and gives way to newer ones as ever
                self._begun = None
                self._items.appendleft(item)
                replaced = self._overtaken()
                self._condition.notify()
        for each in replaced:
            self._on_replaced(each)

    def _overtaken(self) -> list[T]:
        """Take out what may not wait any longer, the oldest first."""
        room = self._throughput.room(self._most_waiting)
        return [self._items.popleft() for _ in range(len(self._items) - room)]

    def _run(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                self._condition.wait_for(lambda: self._stopping or self._waiting or self._actions)
                if self._stopping:
                    return
                actions, self._actions = self._actions, []
                item = None if actions else self._taken()
                self._busy = item is not None
            for action in actions:
                self._guarded(action)
            if item is not None:
                self._begin_next()
                self._work_on(item)

    def _work_on(self, item: T) -> None:
        began, seconds = time.monotonic(), None
        try:
            seconds = self._process(item)
        except Exception as error:
            self._on_error(error)
        with self._condition:
            self._throughput.took(time.monotonic() - began if seconds is None else seconds)

    @property
    def _waiting(self) -> bool:
        return self._begun is not None or bool(self._items)

    def _taken(self) -> T | None:
        """The next item, which does not wait any more."""
        item, self._begun = self._begun, None
        if item is None and self._items:
            item = self._items.popleft()
        return item

    def _guarded(self, call: Callable[[], None]) -> None:
        """Whatever one action does to us, the next one gets its chance."""
        try:
            call()
        except Exception as error:
            self._on_error(error)
