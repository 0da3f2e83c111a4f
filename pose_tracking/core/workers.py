"""The same work on several things at once, in the threads that a process computes with (`core.threads.use_threads`)."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from .threads import MOST_THREADS, free_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

# The threads of the pool are helpers to whoever calls: where all are busy, or the other cores are, the caller does the
# work itself, so that it never waits for a thread that has not begun.


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="worker")


def compute_threads() -> int:
    """How many threads this process computes with: PyTorch's, and where nothing has needed that yet, as many."""
    if "torch" not in sys.modules:
        # It takes seconds to import, and a pipeline with stages of its own may never need it.
        given = os.environ.get("OMP_NUM_THREADS", "")
        return int(given) if given.isdecimal() and int(given) else free_cores()
    import torch

    return int(torch.get_num_threads())


def map_at_once(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``[function(item) for item in items]``, several items at a time where there is more than one thread.

    It gains where `function` computes outside of Python's global lock (kernels, PyTorch, OpenCV, larger arrays), and
    costs little elsewhere. The calls must not depend on each other. The calling thread takes its share of them, and
    with one thread all.

    Raises:
        Exception: of the first item, in their order, that `function` fails for; those after it may have been begun.
    """
    todo = list(items)
    helpers = min(compute_threads(), len(todo)) - 1 if len(todo) > 1 else 0
    if helpers < 1:
        return [function(item) for item in todo]
    results: list[Result | None] = [None] * len(todo)
    failures: dict[int, BaseException] = {}
    numbers, lock = iter(range(len(todo))), threading.Lock()

    def work() -> None:
        while not failures:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                results[number] = function(todo[number])
            except BaseException as error:  # raised again by the caller
                failures[number] = error

    futures = [_helpers().submit(work) for _ in range(helpers)]
    work()
    for future in futures:
        if not future.cancel():
            future.result()
    if failures:
        raise failures[min(failures)]
    return results  # type: ignore[return-value]
