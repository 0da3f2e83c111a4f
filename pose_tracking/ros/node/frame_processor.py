"""One frame through the node: messages in, results published. Runs in the worker's thread."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pose_tracking.core.errors import FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject
from pose_tracking.core.transform_tree import TransformUnavailable
from pose_tracking.ros.messages.frames import FrameDecoder
from pose_tracking.ros.messages.tf import TransformLookup, wait_for_transform
from pose_tracking.ros.messages.transforms import in_frame

from .inputs import FrameMessages
from .monitor import Monitor
from .outputs import Outputs

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker


OVERTAKEN = "newer frames came before inference was free"  # said of frames that are dropped for it
# Seconds after its stamp beyond which a frame is not late, but stamped by another clock than the node's: a bag that is
# played without `use_sim_time`.
OTHER_CLOCK = 60.0


@dataclass(eq=False)
class Job:
    """A frame on its way through the node.

    Attributes:
        messages: its messages.
        taken: the monotonic time when its last image came.
        interval: seconds from the frame before, whatever became of that; None where there was none.
        decoded: the frame, once it was decoded ahead of its turn.
    """

    messages: FrameMessages
    taken: float
    interval: float | None = None
    decoded: RGBDFrame | None = None


class FrameProcessor:
    """Decodes, tracks and publishes frames.

    Args:
        tracker: the pipeline.
        outputs: publishes the results.
        transforms: TF, or None where neither `output_frame` nor `fixed_frame` is set.
        values: parameter values (see `parameters`).
        monitor: told of each processed frame.
        is_active: whether results are still wanted.
        on_drop: called with reason and detail of each frame that could not be used.
        on_time_set_back: called when a frame is older than the tracks, before they are reset.
        now_ns: the node's clock, nanoseconds.
    """

    def __init__(
        self,
        tracker: PoseTracker,
        outputs: Outputs,
        transforms: TransformLookup | None,
        values: dict[str, Any],
        monitor: Monitor,
        is_active: Callable[[], bool],
        on_drop: Callable[[str, str], None],
        on_time_set_back: Callable[[], None],
        now_ns: Callable[[], int],
    ) -> None:
        self._tracker = tracker
        self._outputs = outputs
        self._transforms = transforms
        self._fixed_frame: str = values["fixed_frame"]
        self._output_frame: str = values["output_frame"]
        self._tf_timeout = float(values["tf_timeout"])
        self._decoder = FrameDecoder(values["rectified"], values["depth_unit"])
        self._monitor = monitor
        self._is_active = is_active
        self._on_drop = on_drop
        self._on_time_set_back = on_time_set_back
        self._now_ns = now_ns
        self._outside = 0.0  # seconds of the last frame that were not the pipeline's

    def look_ahead(self, job: Job, ahead: int = 1) -> bool:
        """Decode a frame before its turn and have the detector look at it; from any thread. Whether it does.

        Args:
            job: the frame.
            ahead: how many frames after the one in the works.
        """
        if not self._tracker.would_look_ahead(ahead):
            return False
        try:
            frame = self._decode(job)
        except Exception:  # whatever it is: the frame is dropped for it, and counted, when it has its turn
            return False
        job.decoded = frame
        return self._tracker.look_ahead(frame, ahead)

    def hurry(self, job: Job) -> None:
        """Track a frame without the detector, on the depth, for newer ones wait; drop it where that finds nothing."""
        if _can_follow(self._tracker):
            self.process(job, detect=False)
        else:
            self._monitor.dropped("overtaken", OVERTAKEN)

    def process(self, job: Job, detect: bool = True) -> tuple[float, float] | None:
        """Track a frame and publish what came of it; a frame that cannot be used is dropped with its reason.

        Args:
            job: the frame.
            detect: whether the detector may look at it.

        Returns:
            Seconds for which it kept this thread busy, and that of the detector before. What was waited for that is in
            neither: with frames that come one by one the detector begins with each when it comes, so that this tells
            nothing of how fast they could come. None where the detector had not looked at it before.
        """
        started = time.monotonic()
        try:
            frame = self._with_camera_pose(self._frame_of(job))
            decoded = time.monotonic()
            self._tracker.reckon_with(self._outside, job.interval, job.taken)
            tracked = self._track(frame, detect)
            updated = time.monotonic()
            frame_id, placed = self._placed(frame, tracked)
        except FrameError as error:
            self._on_drop(error.reason, str(error))
            return None
        except TransformUnavailable as error:
            self._on_drop("no_transform", str(error))
            return None
        if not self._is_active():
            self._monitor.dropped("deactivated")
            return None
        self._outputs.publish(frame, tracked, placed, frame_id, time.monotonic() - job.taken, self._tracker.report)
        done = time.monotonic()
        report = self._tracker.report
        self._outside = done - started - (updated - decoded)
        stages = dict(report.seconds)
        stages.update(
            waiting=started - job.taken, decoding=decoded - started, publishing=done - updated, frame=done - job.taken
        )
        if report.detector_frames:
            stages["detector"] = sum(report.detector_seconds.values())
        age = (self._now_ns() - frame.stamp_ns) * 1e-9
        if 0 <= age < OTHER_CLOCK:
            stages["since_stamp"] = age
        self._count(stages, detect)
        return (done - started - report.waited, report.ahead_seconds) if report.looked_ahead else None

    def reset(self, now_ns: int) -> None:
        """Forget all tracks and take them out of the display, at `now_ns` of the node's clock."""
        self._tracker.reset()
        if self._is_active():
            self._outputs.clear(now_ns, self._output_frame)

    def _track(self, frame: RGBDFrame, detect: bool) -> list[TrackedObject]:
        try:
            return self._tracker.update(frame) if detect else self._tracker.update_with(frame, None)
        except FrameError as error:
            # Within one run of the camera the synchroniser sees to the order; after a pause with its subscriptions
            # taken down (a bag played again, a clock set back meanwhile) only the tracks know of the time before.
            if error.reason != "stamp_order":
                raise
        self._on_time_set_back()
        self.reset(frame.stamp_ns)
        return self._tracker.update(frame)

    def _frame_of(self, job: Job) -> RGBDFrame:
        return job.decoded or self._decode(job)

    def _decode(self, job: Job) -> RGBDFrame:
        return self._decoder.decode(job.messages.color, job.messages.depth, job.messages.camera_info)

    def _with_camera_pose(self, frame: RGBDFrame) -> RGBDFrame:
        # Velocities are those against the fixed frame. Whoever asks for results in another frame than the camera's
        # wants velocities that fit the poses in it: a thing at rest there must not get the camera's, reversed.
        fixed = self._fixed_frame or self._output_frame
        if not fixed or (fixed == frame.frame_id and not self._fixed_frame):
            return frame
        return replace(frame, camera_pose=self._transform(fixed, frame))

    def _placed(self, frame: RGBDFrame, tracked: list[TrackedObject]) -> tuple[str, list[TrackedObject]]:
        target = self._output_frame
        if not target or target == frame.frame_id:
            return frame.frame_id, tracked
        transform = self._transform(target, frame)
        return target, [in_frame(thing, transform) for thing in tracked]

    def _transform(self, target: str, frame: RGBDFrame) -> Any:
        assert self._transforms is not None
        return wait_for_transform(self._transforms, target, frame.frame_id, frame.stamp_ns, self._tf_timeout)

    def _count(self, stages: dict[str, float], detect: bool) -> None:
        report = self._tracker.report
        counts = {"frames_segmented": int(report.segmented), "frames_looked_ahead": int(report.looked_ahead)}
        counts["frames_hurried"] = int(not detect)
        counts["tracks_recovered"] = report.recovered
        counts |= {"poses_from_tracks": report.started_at_tracks, "poses_followed": report.followed}
        counts["poses_cut_short"] = report.cut_short
        counts |= {f"detections_not_found_again.{reason}": count for reason, count in report.not_found_again.items()}
        counts |= Counter(f"events.{event.kind.value}" for event in report.events)
        counts |= {f"tracks_not_found.{reason}": count for reason, count in report.not_recovered.items()}
        self._monitor.processed(stages, report.rejected, counts, report.camera_warning)


def _can_follow(tracker: PoseTracker) -> bool:
    """Whether the depth alone tells where all is that is tracked, and anything is."""
    confirmed = [track for track in tracker.tracker.tracks if track.is_confirmed]
    if not confirmed or tracker.config.detector_thread or not tracker.estimator.config.icp.enabled:
        return False
    return all(track.pose is not None and track.obj_id in tracker.objects.with_mesh for track in confirmed)
