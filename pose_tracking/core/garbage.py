"""What a program need not keep, nor Python's garbage collector look through, while frames come."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress


def keep_loaded() -> None:
    """Leave out of all further collections what is loaded now, as it is to stay: libraries, networks, meshes.

    For programs, once their pipeline stands. Some 600,000 objects are alive then, and looking through them every few
    hundred frames takes 160 ms, longer than a frame. Called again, after another pipeline was loaded, it first
    collects what was left of the one before. The memory that loading took for a while goes back to the system.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    _give_back_freed()


def _give_back_freed() -> None:
    """Return freed memory to the system, which glibc keeps for itself wherever something in use lies above it."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
