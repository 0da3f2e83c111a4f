"""Pose estimates that a type allows to be missing and a test expects to be there."""

from __future__ import annotations

from presence import present

from pose_tracking.core.results import Detection, PoseEstimate, TrackedObject


def estimate_of(thing: Detection | TrackedObject) -> PoseEstimate:
    """The estimate of a detection, or of this frame's detection of a tracked object; fails the test without one."""
    detection = present(thing.detection) if isinstance(thing, TrackedObject) else thing
    return present(detection.pose)
