"""Spins a node of a tool until something has come about."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.executors import Executor, ExternalShutdownException


def spin_until(executor: Executor, until: Callable[[], bool], timeout: float, check: Callable[[], None]) -> bool:
    """Whether `until` came to hold within `timeout` seconds.

    Args:
        executor: has the node.
        until: what is waited for.
        timeout: seconds.
        check: called before each message; it raises where there is nothing to wait for any more.

    Raises:
        KeyboardInterrupt: a signal has ended the node.
    """
    deadline = time.monotonic() + timeout
    while not until():
        check()
        if time.monotonic() > deadline:
            return False
        try:
            executor.spin_once(timeout_sec=0.02)
        except ExternalShutdownException:
            raise KeyboardInterrupt from None
    return True
