"""Recorded detections with known answers."""

from __future__ import annotations

import numpy as np
from evaluation_cases import CAMERA, box_at, pose_at

from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox
from pose_tracking.evaluation.trackers.record import TrackingFrame


def detection(obj_id: int, u: float, feature: int | None = 0, pose: bool = True) -> Detection:
    """A detection at column `u`, with the pose that fits, and a unit feature along axis `feature`."""
    x = (u + 10 - CAMERA.cx) * 0.6 / CAMERA.fx
    estimate = PoseEstimate(pose_at(x), 0.9, np.diag([0.005**2] * 3 + [0.05**2] * 3)) if pose else None
    appearance = None if feature is None else np.eye(4, dtype=np.float32)[feature]
    return Detection(obj_id, 0.9, box_at(u), appearance, estimate)


def frames(count: int = 20, scene: int = 1, absent: tuple[int, ...] = (), rate: float = 10.0) -> list[TrackingFrame]:
    """A brick (object 1) and two plates (object 2) that slide slowly; the brick is not detected in frames `absent`."""
    found = []
    for i in range(count):
        places = [(1, 1, 10 + 0.3 * i, 0), (2, 1, 60 - 0.3 * i, 1), (2, 2, 100.0, 2)]
        found.append(
            TrackingFrame(
                scene,
                1.0 + i / rate,
                np.eye(4),
                CAMERA,
                [detection(o, u, k) for o, _, u, k in places if not (o == 1 and i in absent)],
                [IdentifiedBox((scene, o, n), o, box_at(u)) for o, n, u, _ in places],
            )
        )
    return found
