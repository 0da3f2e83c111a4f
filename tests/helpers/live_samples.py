"""What a tracker might say of a camera, made of numbers."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.results import TrackedObject, TrackState

SECOND = 1_000_000_000


def thing(
    track: int = 1,
    name: str = "mug_red",
    x: float = 0.0,
    age: float = 1.0,
    state: TrackState = TrackState.CONFIRMED,
) -> TrackedObject:
    """A track at x (m) before the camera, seen in this frame."""
    pose = np.eye(4)
    pose[:3, 3] = x, 0, 1
    return TrackedObject(
        track, 2, name, state, pose, np.eye(6) * 1e-6, np.zeros(6), np.full(3, 0.1), 0.9, 0.8, np.array([0, 0, 9, 9]),
        int(age * 10) + 1, age, 0, 0.0, 5,
    )  # fmt: skip
