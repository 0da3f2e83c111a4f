"""Tracked objects for the tests of messages."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import TrackedObject, TrackState


def a_track(track_id: int = 3, state: TrackState = TrackState.CONFIRMED, has_pose: bool = True) -> TrackedObject:
    """A track whose numbers follow from its ID."""
    rng = np.random.default_rng(track_id)
    root = rng.normal(size=(6, 6))
    return TrackedObject(
        track_id=track_id,
        obj_id=6,
        class_name="cat",
        state=state,
        pose=make_transform(Rotation.random(random_state=track_id).as_matrix(), rng.normal(size=3))
        if has_pose
        else None,
        covariance=root @ root.T if has_pose else None,
        velocity=rng.normal(size=6) if has_pose else None,
        size=np.array([0.1, 0.2, 0.3]),
        score=0.75,
        pose_confidence=0.5,
        box=np.array([1.0, 2.0, 30.0, 40.0]),
        age_frames=12,
        age_seconds=1.25,
        frames_since_seen=0 if state != TrackState.COASTING else 2,
        seconds_since_seen=0.0 if state != TrackState.COASTING else 0.2,
        hits=10,
    )
