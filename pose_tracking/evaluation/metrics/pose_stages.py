"""The poses of an object by the step that made them."""

from __future__ import annotations

from pose_tracking.core.arrays import Float
from pose_tracking.core.results import Detection, TrackedObject

# In the order the pipeline makes them.
POSE_STAGES = ("network", "refined", "icp", "estimated", "published")
# Those of what the detector found: there are none where it did not run, nor of what was found in another way.
DETECTION_STAGES = ("network", "refined", "icp", "estimated")


def stage_poses(tracked: TrackedObject) -> dict[str, Float | None]:
    """The poses an object has, by the step that made them.

    ``scored`` is the pose the report is about: the estimate of this frame's detection, or, where only the published
    object is at hand (over DDS), the track's smoothed pose. ``estimated`` is the pose chosen and accepted by
    depth and colour; ``published`` is the smoothed pose of the track.
    """
    poses: dict[str, Float | None] = {"scored": tracked.pose, "published": tracked.pose}
    if tracked.detection is not None:
        estimate = tracked.detection.pose
        poses["scored"] = None if estimate is None else estimate.pose
        if estimate is not None:
            poses["estimated"] = estimate.pose
    return poses


def network_poses(detection: Detection) -> dict[str, Float | None]:
    """The poses on the way to the estimate, each step by itself, whether the estimate was accepted or not.

    ``network``, ``refined`` and ``icp`` are the most confident pose of the network, the same after the refiner, and
    that after ICP.
    """
    estimate = detection.pose
    if estimate is None:
        return {}
    return {"network": estimate.raw_pose, "refined": estimate.refined_pose, "icp": estimate.icp_pose}


def stage_covariances(tracked: TrackedObject) -> dict[str, tuple[Float, Float]]:
    """Pose and covariance of an object as ``estimated`` in this frame and as ``published``, where it has them."""
    found = {}
    estimate = None if tracked.detection is None else tracked.detection.pose
    if estimate is not None:
        found["estimated"] = (estimate.pose, estimate.covariance)
    if tracked.pose is not None and tracked.covariance is not None:
        found["published"] = (tracked.pose, tracked.covariance)
    return found
