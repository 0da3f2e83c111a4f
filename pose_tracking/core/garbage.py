"""What Python's garbage collector need not look through while frames come."""

from __future__ import annotations

import gc


def keep_loaded() -> None:
    """Leave out of all further collections what is loaded now, as it is to stay: libraries, networks, meshes.

    For programs, once their pipeline stands. Some 600,000 objects are alive then, and looking through them every few
    hundred frames takes 160 ms, longer than a frame. Called again, after another pipeline was loaded, it first
    collects what was left of the one before.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
