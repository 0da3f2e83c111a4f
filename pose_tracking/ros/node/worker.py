"""A worker thread with a one-slot mailbox: inference runs beside the executor and sees only the newest frame."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestWorker(Generic[T]):
    """Processes the newest item in a thread of its own; an item not yet taken when the next arrives is replaced.

    Args:
        process: called with each item, in the thread.
        on_replaced: called with an item that was overtaken before its turn, in the thread that calls `put`.
        on_error: called with what `process` or an action raised; the thread goes on with the next one.
    """

    def __init__(
        self,
        process: Callable[[T], None],
        on_replaced: Callable[[T], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._process = process
        self._on_replaced = on_replaced
        self._on_error = on_error
        self._condition = threading.Condition()
        self._item: T | None = None
        self._actions: list[Callable[[], None]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over an item; never blocks."""
        with self._condition:
            replaced, self._item = self._item, item
            self._condition.notify()
        if replaced is not None:
            self._on_replaced(replaced)

    def call(self, action: Callable[[], None]) -> None:
        """Run `action` in the thread before the next item: what it touches needs no lock."""
        with self._condition:
            self._actions.append(action)
            self._condition.notify()

    def clear(self) -> T | None:
        """Take back and return the waiting item, if any."""
        with self._condition:
            item, self._item = self._item, None
            return item

    def stop(self, timeout: float) -> bool:
        """End the thread after the current item; False where it did not end within `timeout` seconds."""
        with self._condition:
            self._stopping = True
            self._item = None
            self._actions.clear()
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._item is not None or self._actions)
                if self._stopping:
                    return
                actions, self._actions = self._actions, []
                item, self._item = (None, self._item) if actions else (self._item, None)
            for action in actions:
                self._guarded(action)
            if item is not None:
                self._guarded(lambda item=item: self._process(item))  # type: ignore[misc]

    def _guarded(self, call: Callable[[], None]) -> None:
        """Whatever one action or frame does to us, the next one gets its chance."""
        try:
            call()
        except Exception as error:
            self._on_error(error)
