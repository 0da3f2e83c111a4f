"""One frame through all stages: segmentation, gating, pose, verification, tracking."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pose_tracking.core.config import validate
from pose_tracking.core.device import choose_device
from pose_tracking.core.errors import ConfigError, FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, Instances, TrackedObject
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.fitting.depth_tracking import DepthTracker
from pose_tracking.pose.fitting.icp import IcpRefiner
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.segmentation.appearance import descriptors
from pose_tracking.segmentation.gating import gate
from pose_tracking.tracking import Tracker

from .duplicates import without_duplicates
from .recovery import RecoveryPass
from .schedule import DetectorSchedule

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.segmentation.segmenter import Segmenter

STAGES = ("segmentation", "pose", "tracking", "total")


@dataclass
class FrameReport:
    """What happened to the last frame.

    Attributes:
        seconds: wall time by stage (`STAGES`); that of a stage which did not run is left out. Carrying tracks counts as
            part of the pose stage.
        rejected: detections dropped before tracking, by reason.
        detections: the detections that were tracked.
        rejected_detections: those dropped for their pose confidence.
        segmented: whether objects were detected in this frame.
        carried: number of tracks that no detection continued and that were found at their predicted pose.
        lost: tracks looked for there in vain, by reason (see `pose.carrying`; ``taken``: another is in that place).
    """

    seconds: dict[str, float] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    detections: list[Detection] = field(default_factory=list)
    rejected_detections: list[Detection] = field(default_factory=list)
    segmented: bool = False
    carried: int = 0
    lost: Counter[str] = field(default_factory=Counter)


class PoseTracker:
    """Finds the known objects in a stream of RGB-D frames and follows them.

    Args:
        bundle: objects, options and weights.
        device: torch device of the networks, e.g. "cpu" or "cuda:0"; "auto" takes a GPU where there is one.
        segmenter, estimator: stages to use instead of the bundle's own. With another segmenter the bundle's identity
            embedding is not used, because it is made for the features of the bundle's own.

    Example:
        >>> tracker = PoseTracker(ModelBundle.load("demo"))  # doctest: +SKIP
        >>> for thing in tracker.update(frame):  # doctest: +SKIP
        ...     print(thing.class_name, thing.track_id, thing.pose)
    """

    # Run-time options: public name -> (stage, field of its config).
    RUNTIME_OPTIONS = {
        "motion": ("tracking", "motion"),
        "motion_weight": ("tracking", "motion_weight"),
        "score_threshold": ("segmentation", "score_threshold"),
        "min_pose_confidence": ("pipeline", "min_pose_confidence"),
        "keep_without_pose": ("pipeline", "keep_without_pose"),
        "segment_every": ("pipeline", "segment_every"),
        "recover_missed": ("pipeline", "recover_missed"),
        "refine_iterations": ("pose", "refine_iterations"),
    }

    def __init__(
        self,
        bundle: ModelBundle,
        device: str = "cpu",
        *,
        segmenter: Segmenter | None = None,
        estimator: PoseEstimator | None = None,
    ) -> None:
        self.bundle = bundle
        self.objects = bundle.objects
        device = str(choose_device(device))
        self.segmenter = segmenter or bundle.build_segmenter(device)
        self.estimator = estimator or bundle.build_pose_estimator(device)
        self.embedding = bundle.build_appearance(device) if segmenter is None else None
        tracking = bundle.config.tracking
        if self.embedding is not None:
            tracking = replace(tracking, appearance_gate=tracking.embedding_gate, copies_differ=True)
        self.tracker = Tracker(tracking, bundle.objects)
        self.config = bundle.config.pipeline
        self.report = FrameReport()
        self._obj_ids = np.array(list(bundle.objects))
        self._last_stamp_ns: int | None = None
        self._schedule = DetectorSchedule()
        pose = bundle.config.pose
        shared = self.estimator if isinstance(self.estimator, PoseEstimator) else None
        self._depth_tracker = DepthTracker(
            self.config.depth_tracking,
            pose.covariance,
            shared.icp if shared else IcpRefiner(pose.icp, bundle.objects),
            shared.verifier if shared else Verifier(pose.verification, bundle.objects),
        )

    def update(self, frame: RGBDFrame) -> list[TrackedObject]:
        """Process one frame; frames come in the order of time.

        Returns:
            All live tracks by rising track ID: observed ones (tentative or confirmed) and coasting ones.

        Raises:
            FrameError: the frame cannot be used (see `RGBDFrame.check`), or its stamp is not later than that of the
                frame before (reason ``stamp_order``). The tracks are left as they were.
        """
        self._check(frame)
        report = FrameReport()
        with _timed(report, "total"):
            detections = None
            if self._schedule.is_due(self.config.segment_every, bool(self.tracker.tracks)):
                with _timed(report, "segmentation"):
                    instances = self._segment(frame, report)
                with _timed(report, "pose"):
                    detections = self._estimate(frame, instances, report)
            tracked = self._track(frame, detections, report)
        return self._done(frame, report, tracked)

    def update_with(self, frame: RGBDFrame, detections: list[Detection] | None) -> list[TrackedObject]:
        """Process one frame whose detections come from elsewhere: neither detector nor pose estimator run.

        Args:
            frame: the frame; tracks are carried on its depth as in `update`.
            detections: of this frame, taken as they are; None where nothing was looked for.

        Returns:
            As `update`.

        Raises:
            FrameError: as `update`.
            ConfigError: a detection is of an object that the bundle does not have, or its box, pose or covariance is
                not finite.
        """
        self._check(frame)
        report = FrameReport()
        with _timed(report, "total"):
            if detections is not None:
                unknown = sorted({d.obj_id for d in detections} - set(self.objects))
                if unknown:
                    raise ConfigError(f"detection of object {unknown[0]}; the bundle has {list(self.objects)}")
                for i, detection in enumerate(detections):
                    estimate = detection.pose
                    parts = (
                        (detection.box,) if estimate is None else (detection.box, estimate.pose, estimate.covariance)
                    )
                    if not all(np.isfinite(part).all() for part in parts):
                        raise ConfigError(
                            f"detection {i} (object {detection.obj_id}): box, pose or covariance not finite"
                        )
                detections = [d for d in detections if d.obj_id in self._obj_ids]
            tracked = self._track(frame, detections, report)
        return self._done(frame, report, tracked)

    def reset(self) -> None:
        """Forget all tracks and the last stamp; track IDs start from 1 again."""
        self.tracker.reset()
        self._schedule = DetectorSchedule()
        self._last_stamp_ns = None

    def set_classes(self, names: Iterable[str]) -> None:
        """Track only these classes; none means all.

        Raises:
            ConfigError: the bundle has no object of that name.
        """
        self._obj_ids = np.array(self.objects.ids_of(names) or list(self.objects))

    def configure(self, **options: Any) -> None:
        """Change options of `RUNTIME_OPTIONS` between two frames; all or none of them.

        Raises:
            ConfigError: unknown option, or a value out of range.
        """
        changed: dict[str, Any] = {}
        for name, value in options.items():
            if name not in self.RUNTIME_OPTIONS:
                raise ConfigError(f"{name!r} cannot change at run time; {', '.join(self.RUNTIME_OPTIONS)} can")
            stage, option = self.RUNTIME_OPTIONS[name]
            owner = self._stage(stage)
            changed[stage] = replace(changed.get(stage, owner.config), **{option: value})
            validate(changed[stage], stage)
        for stage, config in changed.items():
            self._stage(stage).config = config

    def option(self, name: str) -> Any:
        """Value of a run-time option now."""
        stage, option = self.RUNTIME_OPTIONS[name]
        return getattr(self._stage(stage).config, option)

    def _stage(self, name: str) -> Any:
        return {
            "segmentation": self.segmenter,
            "pose": self.estimator,
            "tracking": self.tracker,
            "pipeline": self,
        }[name]

    def _check(self, frame: RGBDFrame) -> None:
        frame.check()
        if self._last_stamp_ns is not None and frame.stamp_ns <= self._last_stamp_ns:
            raise FrameError(
                f"stamp {frame.stamp:.6f} s is not later than the one before ({self._last_stamp_ns * 1e-9:.6f} s); "
                "reset the tracks if time was set back (a bag that loops, a simulation that restarts)",
                reason="stamp_order",
            )

    def _track(self, frame: RGBDFrame, detections: list[Detection] | None, report: FrameReport) -> list[TrackedObject]:
        """Track the detections of a frame, None where nothing was looked for, and carry what they leave."""
        report.segmented = detections is not None
        report.detections = detections or []
        # Without meshes nothing could tell a carried object from an absent one.
        carries = self.objects.has_meshes and (detections is None or self.config.recover_missed)
        carrying = RecoveryPass(self._depth_tracker, frame, self._obj_ids.tolist(), self.config.recovery_confidence)
        with _timed(report, "tracking"):
            tracked = self.tracker.update(
                detections,
                frame.stamp,
                frame.camera_pose,
                intrinsics=frame.intrinsics,
                carry=carrying if carries else None,
            )
        if carrying.asked:
            report.seconds["tracking"] -= carrying.seconds
            report.seconds["pose"] = report.seconds.get("pose", 0.0) + carrying.seconds
        report.carried, report.lost = carrying.carried, carrying.lost
        is_new = any(thing.hits == 1 for thing in tracked)
        self._schedule.frame_done(report.segmented, lost=carrying.has_lost, new=is_new)
        return tracked

    def _done(self, frame: RGBDFrame, report: FrameReport, tracked: list[TrackedObject]) -> list[TrackedObject]:
        self._last_stamp_ns = frame.stamp_ns
        self.report = report
        return tracked

    def _segment(self, frame: RGBDFrame, report: FrameReport) -> Instances:
        instances = self.segmenter.segment(frame)
        instances = instances.select(np.isin(instances.obj_ids, self._obj_ids))
        if not self.objects.has_meshes:
            sure = instances.scores >= self.config.min_unchecked_score
            if not sure.all():
                report.rejected["unchecked_score"] += int(np.count_nonzero(~sure))
                instances = instances.select(sure)
        instances, rejected = gate(instances, frame, self.objects, self.segmenter.config)
        report.rejected.update(rejected)
        return instances

    def _estimate(self, frame: RGBDFrame, instances: Instances, report: FrameReport) -> list[Detection]:
        estimates = self.estimator.estimate(frame, instances)
        features = descriptors(instances, self.embedding)
        # Without meshes nothing has checked the pose, so its confidence cannot be a reason to drop the object.
        floor = self.config.min_pose_confidence if self.objects.has_meshes else 0.0
        detections = []
        for i, estimate in enumerate(estimates):
            if estimate is None and not self.config.keep_without_pose:
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
            if estimate is not None and estimate.confidence < floor:
                report.rejected["pose_confidence"] += 1
                report.rejected_detections.append(detection)
            else:
                detections.append(detection)
        keep = without_duplicates(detections, self.objects)
        if not keep.all():
            report.rejected["duplicate"] += int(np.count_nonzero(~keep))
        return [self._with_seen_box(frame, detection) for detection, kept in zip(detections, keep, strict=True) if kept]

    def _with_seen_box(self, frame: RGBDFrame, detection: Detection) -> Detection:
        """A detection with the box of what is seen of the posed model: the detector's is rough where much is hidden."""
        if detection.pose is None or not self._depth_tracker.can_track(detection.obj_id):
            return detection
        box = self._depth_tracker.visible_box(frame, detection.obj_id, detection.pose.pose)
        return detection if box is None else replace(detection, box=box)


@contextmanager
def _timed(report: FrameReport, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    report.seconds[stage] = time.perf_counter() - start
