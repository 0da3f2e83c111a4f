"""Tracks that no detection continued, looked for at their predicted poses."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection
from pose_tracking.pose.fitting.depth_tracking import GONE, MOVED, SCORE, DepthTracker

from .duplicates import is_taken

if TYPE_CHECKING:
    from pose_tracking.tracking.track import Track

TAKEN = "taken"


class RecoveryPass:
    """One frame's carrying: what `Tracker.update` calls, and what came of it.

    Args:
        depth_tracker: finds single objects.
        frame: the frame.
        obj_ids: the classes that are wanted; tracks of others are let go.
        min_confidence: pose confidence from which a carried pose is believed.

    Attributes:
        asked: whether there was anything to carry.
        carried: number of tracks found.
        lost: those not found, by reason.
        has_lost: whether one of them was confirmed, was seen in the frame before and is neither hidden nor out of the
            picture: the detector should look for it.
        seconds: wall time.
    """

    def __init__(
        self, depth_tracker: DepthTracker, frame: RGBDFrame, obj_ids: Iterable[int], min_confidence: float
    ) -> None:
        self._depth_tracker = depth_tracker
        self._frame = frame
        self._obj_ids = set(obj_ids)
        self._min_confidence = min_confidence
        self.asked = False
        self.carried = 0
        self.lost: Counter[str] = Counter()
        self.has_lost = False
        self.seconds = 0.0

    def __call__(self, tracks: list[Track], detections: list[Detection]) -> list[Detection | None]:
        """Look for `tracks`; no two things are put in one place.

        Args:
            tracks: at their predicted poses.
            detections: of this frame; they keep their places.

        Returns:
            for each track what was found, or None.
        """
        start = time.perf_counter()
        self.asked = True
        found = [self._carry(track) for track in tracks]
        ranks = {i: _support(tracks[i], each) for i, each in enumerate(found) if each is not None}
        placed = list(detections)
        for i in sorted(ranks, key=lambda i: -ranks[i]):
            each = found[i]
            assert each is not None
            if is_taken(each, placed, self._depth_tracker.objects):
                found[i] = None
                self.lost[TAKEN] += 1
            else:
                placed.append(each)
                self.carried += 1
        self.seconds += time.perf_counter() - start
        return found

    def _carry(self, track: Track) -> Detection | None:
        pose, covariance = track.pose, track.pose_covariance
        wanted = track.obj_id in self._obj_ids and self._depth_tracker.can_track(track.obj_id)
        if not wanted or pose is None or covariance is None:
            return None
        found = self._depth_tracker.track(self._frame, track.obj_id, pose, covariance, self._min_confidence)
        if isinstance(found, str):
            self.lost[found] += 1
            self.has_lost |= track.is_confirmed and track.frames_since_seen <= 1 and found in (GONE, MOVED, SCORE)
            return None
        return Detection(track.obj_id, track.score, found.box, None, found.estimate, found.mask)


def _support(track: Track, found: Detection) -> float:
    """How much speaks for a track's being where it was found: the frame, and the prediction.

    The logarithm of detector score and pose confidence and of the density that the predicted position has there; so of
    two copies that end in one place it is the one that was expected in it, and not the one unmatched for long.
    """
    assert found.pose is not None
    assert track.pose is not None
    assert track.pose_covariance is not None
    covariance = track.pose_covariance[:3, :3] + found.pose.covariance[:3, :3]
    moved = found.pose.pose[:3, 3] - track.pose[:3, 3]
    density = -0.5 * (moved @ np.linalg.solve(covariance, moved) + np.linalg.slogdet(covariance)[1])
    return float(np.log(max(found.score * found.pose.confidence, 1e-9)) + density)
