"""Spins a node of a tool until something has come about."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.executors import Executor, ExternalShutdownException

# Seconds for which nothing is looked at but messages, while something is waited for, and while time passes.
_LOOK, _LONGEST = 0.02, 0.1


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
            executor.spin_once(timeout_sec=_LOOK)
        except ExternalShutdownException:
            raise KeyboardInterrupt from None
    return True


def spin_until_moment(executor: Executor, moment: float, check: Callable[[], None]) -> None:
    """Serve an executor until a moment of the monotonic clock, to the millisecond; it hardly wakes but for messages.

    Args:
        executor: has the node.
        moment: seconds.
        check: called before each message; it raises where there is nothing to wait for any more.

    Raises:
        KeyboardInterrupt: a signal has ended the node.
    """
    while (left := moment - time.monotonic()) > 0:
        check()
        try:
            executor.spin_once(timeout_sec=min(left, _LONGEST))
        except ExternalShutdownException:
            raise KeyboardInterrupt from None
