"""Detections that tracks explain: found where they were expected, without the pose network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.boxes import box_iou
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.pose.attempts import is_near
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.fitting.depth_tracking import DepthTracker

if TYPE_CHECKING:
    from pose_tracking.tracking.track import Track

    from .network_turns import NetworkTurns

SAME_BOX = 0.4  # IoU of a detection's box with the expected one from which on it may be that object
# Share of an instance's depth that lies on the surface of another object from which on it is part of it.
EXPLAINED = 0.8


class Follower(Protocol):
    """A pose stage that can follow: see `PoseEstimator.follow`."""

    config: PoseConfig

    def follow(
        self, frame: RGBDFrame, instances: Instances, starts: Sequence[Float | None]
    ) -> list[PoseEstimate | None]: ...


@dataclass
class Followed:
    """What the tracks explain of a frame's instances.

    Attributes:
        estimates: poses by index of the instance.
        track_ids: of the tracks that these are of.
        parts: indices of the instances that are part of one of those.
    """

    estimates: dict[int, PoseEstimate] = field(default_factory=dict)
    track_ids: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)

    def rest(self, count: int) -> list[int]:
        """Indices of those of `count` instances that nothing explains."""
        return [i for i in range(count) if i not in self.estimates and i not in self.parts]


def follow_tracks(
    stage: Follower, depth_tracker: DepthTracker, frame: RGBDFrame, instances: Instances, tracks: Sequence[Track],
    turns: NetworkTurns,
) -> Followed:  # fmt: skip
    """Find the objects of tracks where these expect them, among the instances of a frame.

    Args:
        stage: the pose stage.
        depth_tracker: compares posed objects with the depth.
        frame: the frame.
        instances: N instances, the surest first.
        tracks: those that are `NetworkTurns.followable`, at their predicted poses.
        turns: says what convinces of each of them.
    """
    expected = expected_by(instances, [t for t in tracks if t.pose is not None and depth_tracker.can_track(t.obj_id)])
    if not expected:
        return Followed()
    indices = list(expected)
    outcomes = stage.follow(frame, instances.select(np.array(indices)), [expected[i].pose for i in indices])
    followed = Followed()
    for i, estimate in zip(indices, outcomes, strict=True):
        track = expected[i]
        if estimate is None or track.pose is None or estimate.confidence < turns.least_confidence(track):
            continue
        if is_near(estimate.pose, track.pose, depth_tracker.objects[track.obj_id], stage.config):
            followed.estimates[i] = estimate
            followed.track_ids.append(track.track_id)
    followed.parts = _parts(depth_tracker, frame, instances, followed)
    return followed


class Expecting(Protocol):
    """A track, or what is known of one."""

    @property
    def obj_id(self) -> int: ...

    @property
    def box(self) -> Float: ...


Expects = TypeVar("Expects", bound=Expecting)


def expected_by(instances: Instances, tracks: Sequence[Expects]) -> dict[int, Expects]:
    """Index of an instance to the track that expects it: of its class, with the most similar box; one each."""
    left, expected = list(tracks), dict[int, Expects]()
    for i in range(len(instances)):
        same = [t for t in left if t.obj_id == instances.obj_ids[i]]
        if not same:
            continue
        overlaps = box_iou(instances.boxes[i], np.array([t.box for t in same]))[0]
        if overlaps.max() >= SAME_BOX:
            expected[i] = same[int(overlaps.argmax())]
            left.remove(expected[i])
    return expected


def _parts(depth_tracker: DepthTracker, frame: RGBDFrame, instances: Instances, followed: Followed) -> list[int]:
    """Those of the other instances that are part of a followed object, or it under another name.

    Their depth is its surface, and it is surer than they could get with any pose: they would be dropped as the same
    thing detected twice.
    """
    parts = []
    surfaces: dict[int, tuple] = {}
    for i in followed.rest(len(instances)):
        for k, estimate in followed.estimates.items():
            if instances.scores[k] * estimate.confidence < instances.scores[i] or not _overlap(instances, i, k):
                continue
            if k not in surfaces:
                obj_id, rays = int(instances.obj_ids[k]), depth_tracker.config.rays
                compared = depth_tracker.verifier.compare(frame, obj_id, estimate.pose, rays)
                surfaces[k] = compared.rows[compared.agrees], compared.cols[compared.agrees], compared.step**2
            rows, cols, pixels = surfaces[k]
            view = depth_tracker.verifier.view(frame, instances.masks[i])
            if view.core_px and np.count_nonzero(view.core[rows, cols]) * pixels >= EXPLAINED * view.core_px:
                parts.append(i)
                break
    return parts


def _overlap(instances: Instances, i: int, k: int) -> bool:
    a, b = instances.boxes[i], instances.boxes[k]
    return bool((np.maximum(a[:2], b[:2]) < np.minimum(a[2:], b[2:])).all())
