"""What frames share of the error of a measured pose: no number of them averages it out.

It goes with the object, as camera and object move: it is kept along the object's axes, and what is published of a track
(`output`) is the filter's covariance and this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.core.results import Detection

from . import pose_filter
from .filter_kernels import add_turned
from .mahalanobis import as_contiguous
from .rows import put

if TYPE_CHECKING:
    from .track import Track


def keep(tracks: Sequence[Track], detections: Sequence[Detection]) -> None:
    """Remember what the poses say of it that tracks were continued with; where they say nothing, all stays."""
    filters, shared = [], []
    for track, detection in zip(tracks, detections, strict=True):
        told = None if detection.pose is None or track.filter is None else detection.pose.shared
        if track.filter is not None and told is not None:
            filters.append(track.filter)
            shared.append(told)
    if not filters:
        return
    turned = np.zeros((len(filters), 6, 6))
    add_turned(as_contiguous(pose_filter.rotations(filters).swapaxes(1, 2)), np.array(shared, float), turned)
    put(filters, {pose_filter.SYSTEMATIC: turned})
