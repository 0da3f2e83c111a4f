"""What frames share of the error of a measured pose: no number of them averages it out.

It goes with the object, as camera and object move: it is kept along the object's axes, and what is published of a track
is the filter's covariance and this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.results import Detection

from . import pose_filter
from .filter_kernels import add_turned
from .mahalanobis import as_contiguous

if TYPE_CHECKING:
    from .track import Track


def keep(tracks: Sequence[Track], detections: Sequence[Detection]) -> None:
    """Remember what the poses say of it that tracks were continued with; where they say nothing, all stays."""
    told: list[tuple[Track, Float, Float]] = []
    for track, detection in zip(tracks, detections, strict=True):
        if track.filter is not None and detection.pose is not None:
            shared = detection.pose.shared
            if shared is not None:
                told.append((track, track.filter.rotation, shared))
    if not told:
        return
    turned = np.zeros((len(told), 6, 6))
    rotations = np.array([rotation for _, rotation, _ in told])
    add_turned(as_contiguous(rotations.swapaxes(1, 2)), np.array([shared for *_, shared in told], float), turned)
    for (track, *_), systematic in zip(told, turned, strict=True):
        track.systematic = systematic


def published_covariances(tracks: Sequence[Track]) -> list[Float | None]:
    """(6, 6) covariance of each track's pose against the truth, with the doubt between lookalikes; None without a pose.

    In the convention of `TrackedObject.covariance`.
    """
    posed = [(track, track.filter) for track in tracks if track.filter is not None]
    if not posed:
        return [None] * len(tracks)
    filters = [one for _, one in posed]
    covariances = pose_filter.pose_covariances(filters)
    shared = np.array([t.systematic for t, _ in posed]) + np.array([t.model.ambiguity for t, _ in posed])
    add_turned(np.array([one.rotation for one in filters]), shared, covariances)
    each = iter(covariances)
    return [None if track.filter is None else next(each) for track in tracks]
