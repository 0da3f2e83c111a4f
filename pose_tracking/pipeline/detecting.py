"""From a frame to its detections: the detector, then a pose for each instance, by its track or by the pose stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import TYPE_CHECKING, cast

import numpy as np

from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.arrays import Bool, Int
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, Instances, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.fitting.depth_tracking import DepthTracker
from pose_tracking.segmentation.appearance import descriptors
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.tracking.tracker import expected_poses

from .camera_check import CameraCheck
from .following import Followed, Follower, expected_by, follow_tracks
from .frame_report import FrameReport
from .look_ahead import LookAhead, Looked
from .network_turns import SURE, SURE_WATCHED, NetworkTurns
from .outlook import Outlook
from .refused import RefusedDetections
from .selection import credible_detections, distinct_detections, wanted_instances

if TYPE_CHECKING:
    from pose_tracking.pose.hypotheses.foretold import Foretold
    from pose_tracking.pose.stage import Foreteller, PoseStage
    from pose_tracking.segmentation.embedding import AppearanceEmbedding
    from pose_tracking.segmentation.segmenter import Segmenter
    from pose_tracking.tracking.track import Track

# Instances of a frame -> those that may be what they claim to be, and how many are rejected by reason.
Gate = Callable[[Instances, RGBDFrame, ObjectSet, SegmentationConfig], tuple[Instances, dict[str, int]]]


class Detecting:
    """Runs segmentation and pose stage, and keeps what they need to know of the frames before.

    Args:
        segmenter, estimator: the stages.
        embedding: the identity embedding, or None.
        gate: decides which instances get a pose.
        depth_tracker: compares posed objects with the depth.

    Attributes:
        ahead: has the detector look at coming frames.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        estimator: PoseStage,
        embedding: AppearanceEmbedding | None,
        gate: Gate,
        depth_tracker: DepthTracker,
    ) -> None:
        self.segmenter, self.estimator, self.embedding = segmenter, estimator, embedding
        self.objects = depth_tracker.objects
        self.ahead = LookAhead(lambda frame: self.segmenter.segment(frame), self._foretell)
        self._gate = gate
        self._depth_tracker = depth_tracker
        self._camera_check = CameraCheck()
        # One made for an earlier version is told nothing of the tracks.
        self._takes_predictions = "predicted" in signature(estimator.estimate).parameters
        # Nor can it follow them: it looks at every instance of every frame.
        self._follower = cast("Follower", estimator) if hasattr(estimator, "follow") else None
        self._foreteller = cast("Foreteller", estimator) if hasattr(estimator, "foretell") else None
        self.reset()

    def reset(self) -> None:
        """Forget the tracks, what was refused, and what the pose stage remembers of the frames before."""
        if hasattr(self.estimator, "reset"):
            self.estimator.reset()
        self._turns = NetworkTurns()
        self._refused = RefusedDetections()
        self._outlook: Outlook | None = None

    @property
    def camera_warning(self) -> str:
        """What the detections of late say is wrong with the camera; empty: nothing."""
        return self._camera_check.warning

    def run(
        self,
        frame: RGBDFrame,
        tracks: Sequence[Track],
        obj_ids: Sequence[int],
        config: PipelineConfig,
        report: FrameReport,
    ) -> list[Detection]:
        """`segment` and `detect`, timed."""
        with report.timed("segmentation"):
            instances = self.segment(frame, obj_ids, config, report)
        with report.timed("pose"):
            return self.detect(frame, instances, tracks, config, report)

    def segment(
        self, frame: RGBDFrame, obj_ids: Sequence[int], config: PipelineConfig, report: FrameReport
    ) -> Instances:
        """The instances of a frame that may be what they claim to be, of the classes `obj_ids`."""
        instances, seconds = self.ahead.segment(frame)
        report.looked_ahead, report.ahead_seconds = seconds is not None, seconds or 0.0
        instances = wanted_instances(instances, obj_ids, self.objects, config, report, frame.has_depth)
        if self.segmenter.config.backend != "depth_segments":  # which are of anything: their sizes blame no camera
            self._camera_check.add_instances(frame, instances, self.objects)
        instances, rejected = self._gate(instances, frame, self.objects, self.segmenter.config)
        report.rejected.update(rejected)
        return instances

    def detect(
        self,
        frame: RGBDFrame,
        instances: Instances,
        tracks: Sequence[Track],
        config: PipelineConfig,
        report: FrameReport,
    ) -> list[Detection]:
        """The detections worth tracking that a frame's instances are, with poses where it has depth.

        Args:
            frame: the frame.
            instances: of it, from `segment`.
            tracks: as they are expected in the frame.
            config: options.
            report: gets what is dropped, and what was done.
        """
        if frame.has_depth:
            instances, estimates, looked_at = self._poses(frame, instances, tracks, config, report)
        else:
            estimates, looked_at = [None] * len(instances), np.zeros(len(instances), bool)
        report.cut_short = sum(each is not None and each.cut_short for each in estimates)
        features = descriptors(instances, self.embedding)
        detections = credible_detections(instances, estimates, features, self.objects, config, report, frame.has_depth)
        found, detections = distinct_detections(detections, frame, self._depth_tracker, report)
        # What was cut short goes on in the next frame.
        spared = {id(d.pose) for d in detections} | {id(each) for each in estimates if each and each.cut_short}
        refused = looked_at & np.array([id(each) not in spared for each in estimates], bool)
        self._refused.frame_done(instances.select(refused))
        tried = [*found, *report.rejected_detections]
        self._camera_check.add_poses(frame, tried, self._depth_tracker.verifier)
        return detections

    def tracked(self, matches: Sequence[tuple[Track, Detection]]) -> None:
        """The detector's frame was tracked: which tracks its detections continue."""
        self._turns.frame_done(matches)

    def frame_done(self, tracks: Sequence[Track], obj_ids: Sequence[int], config: PipelineConfig) -> None:
        """A frame was tracked, whether or not the detector has looked at it: `tracks` are as they are after it."""
        self._refused.frame_passed()
        self._outlook = Outlook.of(tracks, self._turns, obj_ids, config, self._network_every(config))

    def _network_every(self, config: PipelineConfig) -> int:
        """In how many frames the network looks at each tracked object."""
        return config.network_every if self._follower is not None and self.objects.has_meshes else 1

    def _foretell(self, looked: Looked) -> Foretold | None:
        """What the pose network says of a frame to come."""
        outlook, frame = self._outlook, looked.frame
        if outlook is None or self._foreteller is None or not frame.has_depth:
            return None
        instances = wanted_instances(looked.instances, outlook.obj_ids, self.objects, outlook.config, FrameReport())
        instances, _ = self._gate(instances, frame, self.objects, self.segmenter.config)
        wanted = outlook.for_network(instances, self._refused, self.estimator.config.search.min_score)
        return self._foreteller.foretell(frame, wanted)

    def _poses(
        self,
        frame: RGBDFrame,
        instances: Instances,
        tracks: Sequence[Track],
        config: PipelineConfig,
        report: FrameReport,
    ) -> tuple[Instances, list[PoseEstimate | None], Bool]:
        """The instances that were looked at, their poses, and which of them the whole pose stage has looked at."""
        count, followed = len(instances), Followed()
        every = self._network_every(config)
        self._turns.sure = SURE if config.segment_every == 1 else SURE_WATCHED
        if self._follower is not None and every > 1:
            followable = self._turns.followable(tracks, every)
            followed = follow_tracks(self._follower, self._depth_tracker, frame, instances, followable, self._turns)
        if self._outlook is not None:  # with the detector on each frame the next is thought of before this one is done
            turns = self._turns.after(followed.track_ids)
            self._outlook = Outlook.of(tracks, turns, self._outlook.obj_ids, config, every)
        rest = np.array(followed.rest(count), int)
        # While nothing is tracked there is nothing to keep up with.
        likely = instances.scores[rest] >= (self.estimator.config.search.min_score if tracks else 0.0)
        passed_over = self._refused.recall(instances.select(rest), every, likely, self._lost(instances, rest, tracks))
        report.followed = len(followed.estimates)
        if followed.parts:
            report.rejected["duplicate"] += len(followed.parts)
        if passed_over.any():
            report.rejected["refused_before"] += int(np.count_nonzero(passed_over))
        rest = rest[~passed_over]
        estimates: dict[int, PoseEstimate | None] = {**followed.estimates}
        estimates.update(zip(rest.tolist(), self._estimate(frame, instances.select(rest), tracks), strict=True))
        looked_at = np.array(sorted(estimates), int)
        return instances.select(looked_at), [estimates[i] for i in looked_at.tolist()], np.isin(looked_at, rest)

    @staticmethod
    def _lost(instances: Instances, rest: Int, tracks: Sequence[Track]) -> Bool:
        """(R,) which of the instances `rest` may be those of tracks that could not be followed.

        A track that is not confirmed yet is never followed; unless it is looked at it ends with the next frame.
        """
        return np.isin(rest, list(expected_by(instances, tracks)))

    def _estimate(
        self, frame: RGBDFrame, instances: Instances, tracks: Sequence[Track]
    ) -> Sequence[PoseEstimate | None]:
        """Poses of instances by the whole pose stage, begun where their tracks expect them."""
        if not self._takes_predictions:
            return self.estimator.estimate(frame, instances)
        expected, foretold = expected_poses(tracks), self.ahead.foretold() if len(instances) else None
        if self._foreteller is not None and foretold is not None:
            return self._foreteller.estimate(frame, instances, expected, foretold)
        return self.estimator.estimate(frame, instances, expected)
