"""Waiting while a node's messages are served."""

from __future__ import annotations

import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.executors import ExternalShutdownException  # noqa: E402

from pose_tracking.ros.tools.spinning import spin_until_moment  # noqa: E402


class Executor:
    """Serves a message after each of `pauses` seconds, or none while it may wait."""

    def __init__(self, pauses: list[float]) -> None:
        self.pauses = pauses
        self.waits: list[float] = []

    def spin_once(self, timeout_sec: float) -> None:
        self.waits.append(timeout_sec)
        time.sleep(min(self.pauses.pop(0) if self.pauses else timeout_sec, timeout_sec))


def test_it_wakes_for_messages_alone_and_ends_at_the_moment() -> None:
    executor, looked = Executor([0.03, 0.03]), []
    moment = time.monotonic() + 0.4
    spin_until_moment(executor, moment, lambda: looked.append(1))  # type: ignore[arg-type]
    assert time.monotonic() >= moment
    assert 3 <= len(executor.waits) <= 7  # two messages, and the rest in few pieces
    assert executor.waits[-1] < 0.1  # the last as long as there is left
    assert len(looked) == len(executor.waits)


def test_a_moment_that_has_passed_is_not_waited_for() -> None:
    executor = Executor([])
    spin_until_moment(executor, time.monotonic() - 1.0, lambda: None)  # type: ignore[arg-type]
    assert not executor.waits


def test_a_signal_ends_it() -> None:
    class Ended:
        def spin_once(self, timeout_sec: float) -> None:
            raise ExternalShutdownException

    with pytest.raises(KeyboardInterrupt):
        spin_until_moment(Ended(), time.monotonic() + 60.0, lambda: None)  # type: ignore[arg-type]
