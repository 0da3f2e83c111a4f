"""What is loaded is left out of the garbage collector's rounds, and is still freed when nothing needs it any more."""

from __future__ import annotations

import ctypes
import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from pose_tracking.core.garbage import keep_loaded


class Ring:
    """Holds itself, so that only the garbage collector can free it."""

    def __init__(self) -> None:
        self.ring = self


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_is_loaded_is_not_looked_through_again() -> None:
    ring = Ring()
    assert any(each is ring for each in gc.get_objects())
    keep_loaded()
    assert not any(each is ring for each in gc.get_objects())
    assert gc.get_freeze_count() > 1000


def test_what_comes_later_is_collected_as_ever() -> None:
    keep_loaded()
    later = weakref.ref(Ring())
    gc.collect()
    assert later() is None


def test_another_call_frees_what_was_loaded_before() -> None:
    ring = Ring()
    loaded = weakref.ref(ring)
    keep_loaded()
    del ring
    gc.collect()
    assert loaded() is not None
    keep_loaded()
    assert loaded() is None


def resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError("no VmRSS")


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library"
)
def test_memory_that_was_freed_below_what_is_in_use_goes_back_to_the_system() -> None:
    blocks = [bytes(60_000) for _ in range(4000)]  # below the size that glibc maps by itself
    before = resident_mb()
    del blocks[:-1]
    keep_loaded()
    assert resident_mb() < before - 150
    assert len(blocks) == 1
