"""Cameras whose clocks seem to disagree: the same map, the same things at the same places, never at the same time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from pose_tracking.gallery.sighting import StoredSighting

_NEAR = 0.05  # m
_AWAY = 600.0  # s: nearer in time, linking finds what was left at rest


def clock_notes(sightings: Sequence[StoredSighting]) -> list[str]:
    """One line for each two cameras whose clocks should be looked at."""
    cameras: dict[str, list[StoredSighting]] = defaultdict(list)
    for sighting in sightings:
        cameras[sighting.camera].append(sighting)
    notes = []
    for (first, a), (second, b) in combinations(sorted(cameras.items()), 2):
        start_a, end_a, start_b, end_b = _start(a), _end(a), _start(b), _end(b)
        apart = max(start_b - end_a, start_a - end_b) * 1e-9
        if apart <= 0 or not (apart > _AWAY and _see_the_same(a, b)):
            continue
        notes.append(
            f"cameras {first!r} and {second!r} saw the same things at the same places of the map, {apart:.0f} s apart: "
            "if that was at one time, their clocks disagree: `gallery forget` the recordings of one, and take them in "
            "with --clock-offset"
        )
    return notes


def _see_the_same(a: Sequence[StoredSighting], b: Sequence[StoredSighting]) -> bool:
    """Whether most of what one of the two saw stands where the other saw a thing of that class."""
    found = [
        any(
            y.class_name == x.class_name and y.map_frame == x.map_frame and len(y.path)
            and np.linalg.norm(y.path.positions[0] - x.path.positions[0]) < _NEAR
            for y in b
        )
        for x in a
        if x.map_frame is not None and len(x.path)
    ]  # fmt: skip
    return len(found) >= 2 and sum(found) > len(found) / 2


def _start(sightings: Sequence[StoredSighting]) -> int:
    return min(s.start_ns for s in sightings)


def _end(sightings: Sequence[StoredSighting]) -> int:
    return max(s.end_ns for s in sightings)
