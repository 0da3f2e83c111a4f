"""Poses that correct what a track believed, in place of showing how its object has moved.

A track that has settled in a slightly wrong pose follows it well. When a better one is found the two lie centimetres
apart, in one frame: taken for a motion, that carries the track off. Its object has not moved where the pose that the
track expected still fits the frame and stays where it was.
"""

from __future__ import annotations

import numpy as np

from pose_tracking.core.geometry import nearest_equivalent
from pose_tracking.objects import ObjectModel

from .attempts import Attempts, Checked, Origin
from .fitting.depth_tracking_kernels import mean_distance
from .fitting.surface_samples import ObjectSurface

BELIEVED = 0.5  # confidence of the expected pose from which the object may be in it
_NOISE = 0.03  # diameters between two poses up to which they are one, measured twice
_STAYS = 0.5  # part of the way to the better pose by which the expected one may be off
_COMPARED = 20  # each so many surface samples tell how far a surface is from another


def is_correction(one: Attempts, best: Checked, model: ObjectModel, surface: ObjectSurface) -> bool:
    """Whether the best pose of an instance corrects the one that its track expected.

    Args:
        one: what was tried.
        best: the pose that was chosen.
        model, surface: the object.
    """
    stayed = next((each for each in one.tried if each.origin is Origin.TRACK), None)
    if one.predicted is None or stayed is None or best.origin is Origin.TRACK or stayed.score < BELIEVED:
        return False
    start, end = np.ascontiguousarray(one.predicted, np.float64), np.ascontiguousarray(stayed.pose, np.float64)
    chosen = np.ascontiguousarray(nearest_equivalent(best.pose, end, model.symmetries), np.float64)
    apart = mean_distance(surface.points, _COMPARED, chosen, end)
    moved = mean_distance(surface.points, _COMPARED, end, start)
    return bool(apart > _NOISE * model.diameter and moved < _STAYS * apart)
