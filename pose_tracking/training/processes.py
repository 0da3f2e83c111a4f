"""Worker processes that do not get into each other's way."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

# By default threads of OpenMP spin while they wait for each other. With one other busy process on the machine that
# makes torch 12 times slower; sleeping costs next to nothing on an idle one.
WAIT_POLICY = ("OMP_WAIT_POLICY", "passive")


def environment() -> dict[str, str]:
    """This process's environment for a child, with `WAIT_POLICY` unless the user chose another."""
    name, value = WAIT_POLICY
    return {name: value, **os.environ}


def spawn_pool(processes: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> ProcessPoolExecutor:
    """A pool whose processes call ``start(*arguments)`` first.

    They are spawned, because Open3D and OpenCV do not survive a fork once their threads run.
    """
    os.environ.setdefault(*WAIT_POLICY)  # a pool's processes take the environment as it is when they start
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, initializer=start, initargs=arguments)
