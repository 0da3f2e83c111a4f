"""A camera that moves where its pose is not known: all that rests seems to move at once, and as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Float

from .config import EventConfig
from .story import Story

_FEWEST = 3  # objects that tell the motion of a camera from that of two things someone moves at once
_SHARE = 0.6  # of the objects at rest that must share it


def is_shift(stories: Sequence[Story], config: EventConfig) -> bool:
    """Whether the objects that have just left their places of rest did so by one rigid motion of them all.

    Args:
        stories: of all tracks, after the frame.
        config: the options.
    """
    resting = [s for s in stories if s.rest is not None and s.last is not None]
    leaving = [s for s in resting if s.is_leaving()]
    if len(leaving) < _FEWEST or len(leaving) < _SHARE * len(resting):
        return False
    before = np.array([s.rest.centre for s in leaving if s.rest is not None])
    after = np.array([s.last.centre for s in leaving if s.last is not None])
    return float(np.abs(_rigid(before, after) - after).max()) < config.move_distance


def _rigid(before: Float, after: Float) -> Float:
    """(N, 3) points moved by the rotation and translation that bring them nearest to others (Kabsch 1976)."""
    a, b = before - before.mean(0), after - after.mean(0)
    u, _, vt = np.linalg.svd(a.T @ b)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return np.asarray(a @ u @ sign @ vt + after.mean(0))
