"""What a frame tells of its tracks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.results import TrackedObject, TrackState

from .systematic_error import published_covariances
from .track import Track


def tracked_objects(tracks: Sequence[Track]) -> list[TrackedObject]:
    """The tracks after the current frame. A box seen in this frame is given as detected: the filter's lags."""
    objects = []
    for track, covariance in zip(tracks, published_covariances(tracks), strict=True):
        detection, pose = track.detection, track.filter
        state = TrackState.COASTING if detection is None else TrackState.CONFIRMED
        objects.append(
            TrackedObject(
                track_id=track.track_id,
                obj_id=track.obj_id,
                class_name=track.model.name,
                state=state if track.is_confirmed else TrackState.TENTATIVE,
                pose=None if pose is None else pose.pose,
                covariance=covariance,
                velocity=None if pose is None else pose.velocity,
                size=track.size,
                size_sigma=track.size_sigma,
                is_scaled=track.is_scaled,
                score=track.score,
                pose_confidence=track.pose_confidence,
                box=track.box if detection is None else np.asarray(detection.box, float),
                age_frames=track.age_frames,
                age_seconds=track.age_seconds,
                frames_since_seen=track.frames_since_seen,
                seconds_since_seen=track.seconds_since_seen,
                hits=track.hits,
                mask=None if detection is None else detection.mask,
                detection=detection,
            )
        )
    return objects
