"""One frame through all stages: segmentation, gating, pose, selection, tracking."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pose_tracking.bundles.event_networks import build_watchers
from pose_tracking.bundles.runtime_options import RUNTIME_OPTIONS, changed, find_option
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, TrackedObject
from pose_tracking.events import EventDetector
from pose_tracking.pose.fitting.depth_tracking import DepthTracker
from pose_tracking.segmentation import gating
from pose_tracking.tracking import Association, Tracker

from .beginnings import Beginnings
from .depth_alignment import compile_kernels
from .detecting import Detecting, Gate
from .detector_thread import DetectorRun, DetectorThread
from .frame_report import FrameReport
from .hand_held import HandHeldCamera
from .recovery import Recovery, recover, recoverable
from .schedule import DetectorSchedule
from .selection import check_given, drop_unsure
from .stages import build_stages
from .telling import tell_events

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.pose.stage import PoseStage
    from pose_tracking.segmentation.segmenter import Segmenter


class PoseTracker:
    """Finds the known objects in a stream of RGB-D frames and follows them.

    In frames without depth (`RGBDFrame.of_color`) detector, appearance and tracker do what they do with it; nothing
    gets a pose, and tracks that have none are matched by their boxes whatever `tracking.motion` is.

    Args:
        bundle: objects, options and weights.
        device: torch device of the networks, e.g. "cpu" or "cuda:0"; "auto" takes a GPU where there is one.
        engine, precision: what runs the networks and how exactly (`InferenceConfig`), in place of what the bundle says.
        segmenter, estimator: stages to use instead of the bundle's own. With another segmenter the bundle's identity
            embedding is not used, because it is made for the features of the bundle's own.
        gate: decides which instances get a pose, instead of `segmentation.gating.gate`.

    Attributes:
        bundle, objects: what was given.
        segmenter, estimator, tracker: the stages; each has the options of its section of ``bundle.yaml`` as `config`.
        config: the options of the pipeline itself.
        embedding: the identity embedding, or None.
        report: what happened to the last frame; a new one for each frame.

    Example:
        >>> tracker = PoseTracker(ModelBundle.load("demo"))  # doctest: +SKIP
        >>> for thing in tracker.update(frame):  # doctest: +SKIP
        ...     print(thing.class_name, thing.track_id, thing.pose)
    """

    RUNTIME_OPTIONS = RUNTIME_OPTIONS  # options that `configure` changes, by name

    def __init__(
        self,
        bundle: ModelBundle,
        device: str = "cpu",
        *,
        engine: str | None = None,
        precision: str | None = None,
        segmenter: Segmenter | None = None,
        estimator: PoseStage | None = None,
        gate: Gate = gating.gate,
    ) -> None:
        self.bundle = bundle
        self.objects = bundle.objects
        stages = build_stages(bundle, device, engine, precision, segmenter, estimator)
        self.segmenter, self.estimator, self.embedding = stages.segmenter, stages.estimator, stages.embedding
        self.tracker = Tracker(stages.tracking, bundle.objects)
        self.config = bundle.config.pipeline
        self.report = FrameReport()
        covariance = self.estimator.config.covariance
        self._depth_tracker = DepthTracker(self.config.depth_tracking, covariance, stages.icp, stages.verifier)
        self._detecting = Detecting(self.segmenter, self.estimator, self.embedding, gate, self._depth_tracker)
        self._thread = DetectorThread(self._detecting, self._depth_tracker)
        self._last_stamp_ns: int | None = None
        self._camera_warning = ""
        self._schedule, self._camera, self._beginnings = DetectorSchedule(), HandHeldCamera(), Beginnings()
        self._obj_ids, self._events = list(bundle.objects), EventDetector(bundle.objects)
        self._watchers = build_watchers(bundle, stages.device, bundle.config.inference.with_given(engine, precision))
        if self.config.camera_odometry:
            compile_kernels()

    @property
    def engines(self) -> dict[str, str]:
        """What runs the networks of the stages, e.g. ``{"segmentation": "openvino bf16", "pose": "openvino bf16"}``.

        Of a stage that was handed over, the text is "its own".
        """
        owners = {"segmentation": self.segmenter, "pose": getattr(self.estimator, "predictor", None)}
        return {stage: str(getattr(owner, "engine", "its own")) for stage, owner in owners.items()}

    def update(self, frame: RGBDFrame) -> list[TrackedObject]:
        """Process one frame; frames come in the order of time.

        Returns:
            All live tracks by rising track ID: observed ones (tentative or confirmed) and coasting ones.

        Raises:
            FrameError: the frame cannot be used (see `RGBDFrame.check`), or its stamp is not later than that of the
                frame before (reason ``stamp_order``). The tracks are left as they were.
        """
        frame = self._begin(frame)
        report = FrameReport()
        with report.timed("total"):
            run = self._thread.take(self.tracker.tracks, self.config)
            is_beside = self._thread.can_run(frame, self.tracker.tracks, self.config)
            is_due = self._schedule.is_due(self.config.segment_every, bool(self.tracker.tracks), is_beside)
            self._predict(frame, report)
            detections: list[Detection] | None = None
            if run is not None:
                detections = self._thread.join(run, frame, self.tracker, self._obj_ids, self.config, report)
            elif is_due and not is_beside and not self._thread.is_running:
                detections = self._detecting.run(frame, self.tracker.tracks, self._obj_ids, self.config, report)
            tracked = self._track(frame, detections, report, self.config.begin_confidence, run)
            if is_beside and (is_due or self._schedule.is_hurried) and not self._thread.is_running:
                self._thread.start(frame, self.tracker, tracked, self._obj_ids, self.config)
                self._schedule.run_begun()
        return self._done(frame, report, tracked)

    def look_ahead(self, frame: RGBDFrame, ahead: int = 1) -> bool:
        """Have the detector look at a frame to come, in a thread beside what is done with the present one.

        May be called from any thread, before or during `update` of the present frame. What comes out is the same.

        Args:
            frame: as it will be given to `update`, but for the pose of its camera.
            ahead: how many frames after the present one; 1: the next.

        Returns:
            Whether it does; not where it is not expected to run on that frame, nor with a single core.
        """
        return self.would_look_ahead(ahead) and self._detecting.ahead.begin(frame, self.config.fill_holes_from, ahead)

    def would_look_ahead(self, ahead: int = 1) -> bool:
        """Whether the detector is expected to run on a frame to come (see `look_ahead`), and may look at it already."""
        is_due = self._schedule.may_be_due_after(self.config.segment_every, bool(self.tracker.tracks), ahead)
        return is_due and not self.config.detector_thread

    def update_with(self, frame: RGBDFrame, detections: list[Detection] | None) -> list[TrackedObject]:
        """Process one frame whose detections come from elsewhere: neither detector nor pose estimator run.

        Args:
            frame: the frame; tracks that no detection continues are looked for on its depth as in `update`.
            detections: of this frame, taken as they are; None where nothing was looked for. Those of classes that
                `set_classes` has left out are dropped.

        Returns:
            As `update`.

        Raises:
            FrameError: as `update`.
            ConfigError: a detection is of an object that the bundle does not have, or its box, pose or covariance is
                not finite. The tracks are left as they were.
        """
        frame = self._begin(frame)
        report = FrameReport()
        with report.timed("total"):
            if detections is not None:
                check_given(detections, self.objects)
                detections = [d for d in detections if d.obj_id in self._obj_ids]
                report.not_found_again["given"] += self._thread.drop()
            self._predict(frame, report)
            tracked = self._track(frame, detections, report)
        return self._done(frame, report, tracked)

    def _predict(self, frame: RGBDFrame, report: FrameReport) -> None:
        """Move the tracks to the time of the frame, so that the pose stage knows where they expect their objects."""
        with report.timed("tracking"):
            motion = self._camera.motion(frame, self.tracker.tracks if self.config.camera_odometry else ())
            self.tracker.predict(frame.stamp, frame.camera_pose, frame.intrinsics, motion)
            if motion is not None:
                self._thread.camera_moved(motion.motion)

    def _track(
        self, frame: RGBDFrame, detections: list[Detection] | None, report: FrameReport, begin_confidence: float = 0.0,
        run: DetectorRun | None = None,
    ) -> list[TrackedObject]:  # fmt: skip
        """Track the detections of a frame, None where nothing was looked for, and find what they leave on the depth.

        With `run` the detector has looked at the frame of that.
        """
        report.segmented = detections is not None
        report.detections = detections or []
        report.started_at_tracks = sum(d.pose is not None and d.pose.origin == "track" for d in report.detections)
        with report.timed("tracking"):
            association = self.tracker.associate(detections)
            repeated = self.config.begin_repeated
            association = self._beginnings.credible(association, self.objects, begin_confidence, repeated)
        if report.segmented:
            self._detecting.tracked(association.matches)
        recovery = self._recover(frame, association, report, run)
        # What has come into view since the detector looked, it has not missed.
        clear = recovery.in_clear_view if run is None else recovery.in_clear_view & run.in_clear_view
        with report.timed("tracking"):
            tracked = self.tracker.commit(association, recovery.found, clear)
            drop_unsure(association.unsure, tracked, report)
            tell_events(self._events, self._watchers, self.config.events, frame, tracked, report, self._camera)
        is_new = any(thing.age_frames == 0 for thing in tracked) or self._beginnings.needs_look
        self._schedule.frame_done(report.segmented and run is None, lost=recovery.needs_detector, new=is_new)
        return tracked

    def _recover(
        self, frame: RGBDFrame, association: Association, report: FrameReport, run: DetectorRun | None
    ) -> Recovery:
        # Without depth nothing could tell an object that is there from an absent one.
        is_wanted = frame.has_depth and (self.config.recover_missed or not association.searched)
        left = association.unmatched_tracks if is_wanted else []
        if not (tracks := recoverable(left, self._depth_tracker, self._obj_ids)):
            return Recovery()
        with report.timed("pose"):
            recovery = recover(
                self._depth_tracker, frame, tracks, association.detections, self.config.recovery_confidence,
                motion=None if association.searched and run is None else self.tracker.config,
                clear_view=self.config.clear_view, hold=self.config.segment_every != 1 or not association.searched,
                missed={} if run is None else run.missed,
            )  # fmt: skip
        report.recovered, report.not_recovered = len(recovery.found), recovery.not_found
        return recovery

    def reckon_with(self, outside: float, interval: float | None, came: float | None = None) -> None:
        """For `segment_every: auto`, before `update`: seconds that a frame takes its caller besides, those between it
        and the frame of the camera before it, and when it came, by a clock of the caller's; None: by its stamp."""
        self._schedule.pace.reckon_with(outside, interval, came)

    def reset(self) -> None:
        """Forget all tracks and the last stamp; track IDs start from 1 again."""
        self._thread.drop()
        for each in (self.tracker, self._detecting, self._events, self._watchers):
            each.reset()
        self._schedule, self._camera, self._beginnings = DetectorSchedule(), HandHeldCamera(), Beginnings()
        self._last_stamp_ns = None

    def set_classes(self, names: Iterable[str]) -> None:
        """Track only these classes; none means all. Tracks of other classes end at once and are not remembered.

        Raises:
            ConfigError: the bundle has no object of that name. The tracks are left as they were.
        """
        self._obj_ids = self.objects.ids_of(names) or list(self.objects)
        self.tracker.drop(set(self.objects) - set(self._obj_ids))

    def configure(self, **options: Any) -> None:
        """Change options of `RUNTIME_OPTIONS` between two frames; all or none of them.

        An option inside a group is given by its path: ``configure(**{"pose.search.below": 0.5})``.

        Raises:
            ConfigError: unknown option, wrong type or a value out of range.
        """
        self._thread.settle()
        self._detecting.ahead.drop()
        stages = self._stages()
        for stage, config in changed({name: owner.config for name, owner in stages.items()}, options).items():
            stages[stage].config = config

    def option(self, name: str) -> Any:
        """Value of a run-time option now.

        Raises:
            ConfigError: unknown option.
        """
        return (option := find_option(name)).of(self._stages()[option.stage].config)

    def _stages(self) -> dict[str, Any]:
        """What has the options of each section of ``bundle.yaml``."""
        return {"segmentation": self.segmenter, "pose": self.estimator, "tracking": self.tracker, "pipeline": self}

    def _begin(self, frame: RGBDFrame) -> RGBDFrame:
        """The frame as the stages are to see it."""
        self._detecting.ahead.comes(frame)
        frame.check()
        frame.check_after(self._last_stamp_ns)
        self._schedule.pace.frame_comes(frame.stamp)
        # The depth tracker has no options of its own: whoever has replaced those of a stage has replaced its own, too.
        pose, depth_tracker = self.estimator.config, self._depth_tracker
        depth_tracker.config, depth_tracker.covariance = self.config.depth_tracking, pose.covariance
        depth_tracker.icp.config, depth_tracker.verifier.config = pose.icp, pose.verification
        depth_tracker.verifier.depth_noise = pose.depth_noise
        return self._detecting.ahead.filled(frame, self.config.fill_holes_from)

    def _done(self, frame: RGBDFrame, report: FrameReport, tracked: list[TrackedObject]) -> list[TrackedObject]:
        self._last_stamp_ns = frame.stamp_ns
        self._detecting.frame_done(self.tracker.tracks, self._obj_ids, self.config)
        if not self._thread.is_running:  # what it says meanwhile belongs to no frame yet
            self._camera_warning = self._detecting.camera_warning
        report.camera_warning = self._camera_warning
        self._schedule.pace.frame_done(report.seconds["total"], "segmentation" in report.seconds)
        self.report = report
        return tracked
