"""Searches that have come to nothing: what is detected in the same place again and again need not be searched for.

The search over rotations is the dearest thing the pose stage does, and what it finds nothing for (clutter taken for an
object, an object of which hardly anything is seen) looks the same in the next frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pose_tracking.core.arrays import Float
from pose_tracking.objects import ObjectModel

from .attempts import Attempts, InVain, centre_of, recalled
from .config import SearchConfig

SURER = 0.1  # by which the detector's score has risen where a search may find more


class SearchMemory:
    """Remembers the searches of the last frames that were in vain."""

    def __init__(self) -> None:
        self._known: list[InVain] = []

    def in_vain(self, obj_id: int, points: Float, score: float, diameter: float, every: int) -> bool:
        """Whether object `obj_id` (its `diameter` in metres), detected at `points` (P, 3), was just searched in vain.

        Less than `every` frames ago, that is, and not where the detector's `score` has risen by `SURER` since.
        """
        known = recalled(self._known, obj_id, points, diameter)
        return known is not None and known.frames + 1 < every and score <= known.score + SURER

    def frame_done(
        self, attempts: Sequence[Attempts], objects: Mapping[int, ObjectModel], config: SearchConfig
    ) -> None:
        """Take in what was tried in a frame, before it is chosen from."""
        before = [replace(each, frames=each.frames + 1) for each in self._known]
        seen: list[InVain] = []
        for one in attempts:
            centre = centre_of(one.points)
            old = recalled(before, one.obj_id, one.points, objects[one.obj_id].diameter)
            if one.was_searched:
                if one.best.score < config.below:
                    seen.append(InVain(one.obj_id, centre, one.score))
            elif old is not None:
                seen.append(replace(old, centre=centre))  # it may wander off slowly, as the camera does
            before = [each for each in before if each is not old]
        self._known = [each for each in (*seen, *before) if each.frames + 1 < config.every]
