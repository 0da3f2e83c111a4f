"""The detector and the pose stage in a thread of their own, beside the frames that follow the one they look at."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.arrays import Float
from pose_tracking.core.background import BackgroundThread
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, TrackedObject
from pose_tracking.pose.fitting.depth_tracking import DepthTracker

from .delayed import Earlier, find_again, known_motion
from .detecting import Detecting
from .frame_report import FrameReport
from .recovery import is_clear

if TYPE_CHECKING:
    from pose_tracking.tracking import Tracker
    from pose_tracking.tracking.track import Track

LOGGER = logging.getLogger(__name__)

STALE = "stale"  # why the detections of a run are of no use


@dataclass
class DetectorRun:
    """One frame that the detector looks at, and what has happened since.

    Attributes:
        frame: it.
        tracks: as they were after it.
        in_clear_view: IDs of those that the detector should find.
        report: what the stages say of the frame; theirs until they are done.
        detections: what they give.
        frames: how many frames have come since.
        camera: (4, 4) ``T_now_then``, the motion of the camera that the tracks were told of since.
        missed: by track ID, why a track's own detection did not lead to it when it was joined in.
    """

    frame: RGBDFrame
    tracks: Sequence[Track]
    in_clear_view: set[int]
    report: FrameReport
    detections: Future[list[Detection]]
    frames: int = 0
    camera: Float = field(default_factory=lambda: np.eye(4))
    missed: dict[int, str] = field(default_factory=dict)


class DetectorThread:
    """Runs the detector beside the frames that follow, one run at a time.

    Args:
        detecting: the stages; nobody else may use them during a run.
        depth_tracker: finds what they found in a later frame.
    """

    def __init__(self, detecting: Detecting, depth_tracker: DepthTracker) -> None:
        self._detecting, self._depth_tracker = detecting, depth_tracker
        self._run: DetectorRun | None = None
        self._thread = BackgroundThread("detector")

    @property
    def is_running(self) -> bool:
        """Whether there is a run whose detections were not taken yet."""
        return self._run is not None

    def can_run(self, frame: RGBDFrame, tracks: Sequence[Track], config: PipelineConfig) -> bool:
        """Whether a frame may be left to the thread.

        Only where something is tracked meanwhile, and where all that may be found can be found again on the depth.
        """
        if not config.detector_thread or not frame.has_depth or not any(t.is_confirmed for t in tracks):
            return False
        return all(self._depth_tracker.can_track(obj_id) for obj_id in self._depth_tracker.objects)

    def start(
        self,
        frame: RGBDFrame,
        tracker: Tracker,
        tracked: Sequence[TrackedObject],
        obj_ids: Sequence[int],
        config: PipelineConfig,
    ) -> None:
        """Begin a run on a frame.

        Args:
            frame: the frame.
            tracker: its tracks are those of the frame, which was tracked.
            tracked: what came of that.
            obj_ids, config: see `Detecting.run`.

        Raises:
            RuntimeError: there is a run already.
        """
        if self._run is not None:
            raise RuntimeError("the detector looks at one frame at a time: take its detections first")
        tracks, report, wanted = tracker.copies(), FrameReport(), tuple(obj_ids)
        seen = {t.track_id: t.detection for t in tracked if t.detection is not None}
        clear = {track_id for track_id, found in seen.items() if is_clear(found, frame, config.clear_view)}
        detections = self._thread.submit(partial(self._detecting.run, frame, tracks, wanted, config, report))
        self._run = DetectorRun(frame, tracks, clear, report, detections)

    def take(self, tracks: Sequence[Track], config: PipelineConfig) -> DetectorRun | None:
        """A new frame has come: the run whose detections are to be joined in with it, or None.

        Args:
            tracks: what is tracked; where that is nothing, as after a jump of the clock, no frame is worth having
                before the run is over, and it is waited for.
            config: options.

        Raises:
            Exception: what the stages have raised; the run is over.
        """
        run = self._run
        if run is None:
            return None
        run.frames += 1
        # One begun before the thread was switched off is waited for, too.
        delay = config.detector_delay if config.detector_thread else 1
        if tracks and (run.frames < delay or (not delay and not run.detections.done())):
            return None
        self.settle()
        self._run = None
        run.detections.result()
        return run

    def join(
        self,
        run: DetectorRun,
        frame: RGBDFrame,
        tracker: Tracker,
        obj_ids: Sequence[int],
        config: PipelineConfig,
        report: FrameReport,
    ) -> list[Detection]:
        """The detections of a run that is done, found again in a frame.

        Args:
            run: from `take`.
            frame: the frame.
            tracker: its tracks are predicted for the frame.
            obj_ids: those that are wanted now.
            config: options.
            report: gets what the run has to say, and what is not found.
        """
        detections = [d for d in run.detections.result() if d.obj_id in obj_ids]
        report.detector_frames, report.detector_seconds = run.frames, run.report.seconds
        report.rejected.update(run.report.rejected)
        report.followed, report.cut_short = run.report.followed, run.report.cut_short
        earlier = self.earlier(run, frame)
        if earlier.seconds > tracker.config.max_age_seconds:
            report.not_found_again[STALE] += len(detections)
            return []
        with report.timed("pose"):
            again = find_again(
                self._depth_tracker,
                frame,
                detections,
                earlier,
                tracker.tracks,
                config.recovery_confidence,
                tracker.config,
            )
        run.missed = again.missed
        report.not_found_again.update(again.not_found)
        return again.detections

    @staticmethod
    def earlier(run: DetectorRun, frame: RGBDFrame) -> Earlier:
        """What there is to know of a run's frame when its detections are wanted in another one."""
        seconds = (frame.stamp_ns - run.frame.stamp_ns) * 1e-9
        return Earlier(run.tracks, known_motion(run.frame, frame, run.camera), seconds)

    def camera_moved(self, motion: Float) -> None:
        """The tracks were told a (4, 4) motion of the camera."""
        if self._run is not None:
            self._run.camera = motion @ self._run.camera

    def settle(self) -> None:
        """Wait until the thread is at rest, so that what it works with may be changed; its detections are kept."""
        if self._run is not None:
            wait([self._run.detections])

    def drop(self) -> int:
        """Wait for the run, if there is one, and forget it; the number of its detections."""
        self.settle()
        run, self._run = self._run, None
        if run is None:
            return 0
        if (error := run.detections.exception()) is not None:
            LOGGER.warning("the detector failed in a frame that is no longer wanted: %r", error)
            return 0
        return len(run.detections.result())
