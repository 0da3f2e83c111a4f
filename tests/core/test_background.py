"""One thread beside the others."""

from __future__ import annotations

import gc
import threading
import time
from functools import partial

import pytest

from pose_tracking.core.background import BackgroundThread


def test_calls_are_made_one_after_the_other_in_one_thread() -> None:
    background, made = BackgroundThread("calls"), []

    def call(number: int) -> None:
        made.append((number, threading.current_thread().name))

    for future in [background.submit(partial(call, i)) for i in range(20)]:
        future.result(60)
    assert made == [(i, "calls") for i in range(20)]


def test_what_a_call_raises_is_its_own_and_the_next_is_made() -> None:
    background = BackgroundThread("calls")
    failed, done = background.submit(lambda: 1 // 0), background.submit(lambda: 7)
    with pytest.raises(ZeroDivisionError):
        failed.result(60)
    assert done.result(60) == 7


def test_one_that_is_cancelled_before_its_turn_is_not_made() -> None:
    background, gate, made = BackgroundThread("calls"), threading.Event(), []
    first = background.submit(lambda: gate.wait(60))
    second = background.submit(lambda: made.append(2))
    assert second.cancel()
    gate.set()
    assert first.result(60)
    assert background.submit(lambda: 3).result(60) == 3
    assert not made


def test_the_thread_ends_with_its_owner() -> None:
    background = BackgroundThread("short-lived")
    background.submit(lambda: None).result(60)
    assert any(thread.name == "short-lived" for thread in threading.enumerate())
    del background
    gc.collect()
    end = time.monotonic() + 60
    while any(thread.name == "short-lived" for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(thread.name == "short-lived" for thread in threading.enumerate())
