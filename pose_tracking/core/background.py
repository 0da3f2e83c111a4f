"""One thread beside the others, for calls that must not come into each other's way."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, TypeVar

Result = TypeVar("Result")

STOP_SECONDS = 10.0  # within which the thread ends


class BackgroundThread:
    """Makes the calls it is given, one after the other, in a thread that begins with the first of them.

    One thread for all calls, because PyTorch's own threads belong to the one that calls them. It ends with its owner.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue | None = None

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """What `call` will give; one that is cancelled before its turn is not made."""
        if self._calls is None:
            self._calls = SimpleQueue()
            thread = Thread(target=_serve, args=(self._calls,), name=self._name, daemon=True)
            thread.start()
            weakref.finalize(self, _end, thread, self._calls)
        future: Future[Result] = Future()
        self._calls.put((call, future))
        return future


def _end(thread: Thread, calls: SimpleQueue) -> None:
    # A process that exits while a network computes aborts; one that hangs is not waited for.
    calls.put(None)
    if thread is not current_thread():
        thread.join(STOP_SECONDS)


def _serve(calls: SimpleQueue) -> None:
    item: tuple[Callable[[], Any], Future[Any]] | None
    while (item := calls.get()) is not None:
        call, future = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
        del item, call, future  # a frame is not kept until the next one comes
