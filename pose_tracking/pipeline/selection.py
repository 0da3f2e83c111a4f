"""Which instances and detections of a frame go on to the next stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, Instances, PoseEstimate, TrackedObject
from pose_tracking.core.workers import map_at_once
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.fitting.depth_tracking import DepthTracker
from pose_tracking.pose.scale.normalising import normalised, unscaled

from .duplicates import explained_share, without_duplicates
from .frame_report import FrameReport


def wanted_instances(
    instances: Instances,
    obj_ids: Sequence[int],
    objects: ObjectSet,
    config: PipelineConfig,
    report: FrameReport,
    has_depth: bool = True,
) -> Instances:
    """The instances of the classes `obj_ids`, and of a sure score where the frame cannot check their pose in full.

    The check takes meshes with their colours, and a depth image. Those dropped for their score are counted in `report`.
    """
    instances = instances.select(np.isin(instances.obj_ids, obj_ids))
    checked = np.isin(instances.obj_ids, list(objects.with_mesh)) & has_depth
    unchecked = ~checked & (instances.scores < config.min_unchecked_score)
    colorless = checked & np.isin(instances.obj_ids, list(objects.colorless_ids))
    colorless &= instances.scores < config.min_colorless_score
    if unchecked.any():
        report.rejected["unchecked_score"] += int(np.count_nonzero(unchecked))
    if colorless.any():
        report.rejected["colorless_score"] += int(np.count_nonzero(colorless))
    unsure = unchecked | colorless
    return instances.select(~unsure) if unsure.any() else instances


def credible_detections(
    instances: Instances,
    estimates: Sequence[PoseEstimate | None],
    features: NDArray[np.float32],
    objects: ObjectSet,
    config: PipelineConfig,
    report: FrameReport,
    has_depth: bool = True,
) -> list[Detection]:
    """The detections worth tracking, with a pose that is believed. The others are counted in `report`.

    Args:
        instances: N instances.
        estimates: their poses.
        features: (N, D) their appearance descriptors.
        objects: the object set.
        config: what is believed.
        report: gets the detections dropped for their pose confidence, and the counts of all that are dropped.
        has_depth: whether the frame has depth; in one without, having no pose is no reason to drop anything.
    """
    detections = []
    for i, estimate in enumerate(estimates):
        if estimate is None and has_depth and not config.keep_without_pose:
            report.rejected["no_pose"] += 1
            continue
        detection = Detection(
            obj_id=int(instances.obj_ids[i]),
            score=float(instances.scores[i]),
            box=instances.boxes[i].astype(np.float64),
            feature=features[i],
            pose=estimate,
            mask=instances.masks[i],
        )
        # Without a mesh nothing has checked the pose, so its confidence cannot be a reason to drop the object.
        floor = config.min_pose_confidence if detection.obj_id in objects.with_mesh else 0.0
        if estimate is not None and estimate.confidence < floor:
            report.rejected["pose_confidence"] += 1
            report.rejected_detections.append(detection)
        else:
            detections.append(detection)
    return detections


def distinct_detections(
    detections: Sequence[Detection], frame: RGBDFrame, depth_tracker: DepthTracker, report: FrameReport
) -> tuple[list[Detection], list[Detection]]:
    """The detections that are no other's duplicates: as they were detected, and with box and mask of what is seen.

    Those that are dropped are counted in `report`.
    """
    seen = map_at_once(partial(with_visible_part, frame=frame, depth_tracker=depth_tracker), detections)
    keep = without_duplicates(seen, depth_tracker.objects, partial(explained_share, frame, depth_tracker))
    if not keep.all():
        report.rejected["duplicate"] += int(np.count_nonzero(~keep))
    chosen = np.flatnonzero(keep).tolist()
    return [detections[i] for i in chosen], [seen[i] for i in chosen]


def drop_unsure(unsure: Sequence[Detection], tracked: Sequence[TrackedObject], report: FrameReport) -> None:
    """Count those detections of `unsure` that have continued no track, and leave them out of the report's."""
    # A track that knows its object's size keeps a detection with another pose, but with its box.
    used = [thing.detection.box for thing in tracked if thing.detection is not None]
    dropped = [d for d in unsure if not any(d.box is box for box in used)]
    if not dropped:
        return
    report.rejected["begin_confidence"] += len(dropped)
    report.rejected_detections += dropped
    report.detections = [d for d in report.detections if not any(d is each for each in dropped)]


def with_visible_part(detection: Detection, frame: RGBDFrame, depth_tracker: DepthTracker) -> Detection:
    """A detection with box and mask of what is seen of the posed model.

    The detector's are rough where much is hidden, and cover a part only of what something before it cuts in two. Where
    the depth was not read the detector's mask has the word.
    """
    if detection.pose is None or not depth_tracker.can_track(detection.obj_id):
        return detection
    pose = detection.pose.pose
    if (scale := detection.pose.scale) is not None:
        frame, pose = normalised(frame, scale), unscaled(pose, scale)
    seen = depth_tracker.visible_part(frame, detection.obj_id, pose)
    if seen is None:
        return detection
    box, mask, unread = seen
    if detection.mask is not None:
        mask |= unread & detection.mask
    return replace(detection, box=box, mask=mask)


def check_given(detections: Sequence[Detection], objects: ObjectSet) -> None:
    """Check detections that come from elsewhere.

    Raises:
        ConfigError: one is of an object that is not in the set, or its box, pose or covariance is not finite.
    """
    unknown = sorted({d.obj_id for d in detections} - set(objects))
    if unknown:
        raise ConfigError(f"detection of object {unknown[0]}; the bundle has {list(objects)}")
    for i, detection in enumerate(detections):
        estimate = detection.pose
        parts = (detection.box,) if estimate is None else (detection.box, estimate.pose, estimate.covariance)
        if not all(np.isfinite(part).all() for part in parts):
            raise ConfigError(f"detection {i} (object {detection.obj_id}): box, pose or covariance not finite")
