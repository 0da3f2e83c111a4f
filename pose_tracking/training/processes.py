"""Worker processes that do not get into each other's way."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from pose_tracking.core.threads import wait_passively, wait_variables


def environment() -> dict[str, str]:
    """This process's environment for a child, with `threads.WAIT_POLICY` unless the user chose another."""
    return {**os.environ, **wait_variables()}


def spawn_pool(processes: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> ProcessPoolExecutor:
    """A pool whose processes call ``start(*arguments)`` first.

    They are spawned, because Open3D and OpenCV do not survive a fork once their threads run.
    """
    wait_passively()  # a pool's processes take the environment as it is when they start
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, initializer=start, initargs=arguments)
