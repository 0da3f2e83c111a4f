"""Scores what the pipeline said against the ground truth, wherever the two came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.arrays import Float
from pose_tracking.core.regions import Region
from pose_tracking.core.results import TrackedObject
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.objects import ObjectSet

from .metrics.bop import BopRecall, ScoredPose, Target
from .metrics.confidence import judge_pose
from .metrics.identities import MIN_VISIBILITY, track_boxes, truth_box, truth_boxes, visibility_of
from .metrics.matching import MIN_IOU, FrameMatches, match_frame
from .metrics.object_counts import ObjectCounts
from .metrics.pose import PoseScorer, rotation_error, translation_error
from .metrics.pose_stages import DETECTION_STAGES, network_poses, stage_covariances, stage_poses
from .report.content import Gathered, report_data
from .report.results import FrameFaults, FrameResult, FrameScore, PoseRow, Report, TrackRow

# Called with each sample, its result, and what went wrong in it; None where it is not annotated.
OnFrame = Callable[[Sample, FrameResult, FrameScore | None], None]
MIN_POSE_CONFIDENCE = PipelineConfig().min_pose_confidence


class Scorer:
    """Collects frames and turns them into a `Report`.

    Detections (observed objects, confirmed or not) are scored as poses and masks, confirmed tracks as identities. A
    confirmed track counts where it was observed: a coasting box is a prediction, and Deep SORT hands none out.

    Args:
        objects: the object set of the model; annotations of other objects are left out.
        min_visib: ground truth less visible than this is ignored throughout; unknown visibility counts as 1.
        min_iou: smallest mask (or box) IoU of a detection with its instance.
        threshold: pose confidence from which a pose was accepted.
    """

    def __init__(
        self,
        objects: ObjectSet,
        min_visib: float = MIN_VISIBILITY,
        min_iou: float = MIN_IOU,
        threshold: float = MIN_POSE_CONFIDENCE,
    ) -> None:
        self.objects = objects
        self.min_visib = min_visib
        self.min_iou = min_iou
        self.threshold = threshold
        self._pose_scorers = {obj_id: PoseScorer(model) for obj_id, model in objects.items()}
        self._counts = {
            obj_id: ObjectCounts(model.name, model.diameter, self._pose_scorers[obj_id].points is not None)
            for obj_id, model in objects.items()
        }
        self._gathered = Gathered(objects, self._counts, BopRecall(objects))
        self._scene: int | None = None
        self._next_image = 0

    def add(self, sample: Sample, result: FrameResult) -> FrameScore | None:
        """Score one processed frame; returns what went wrong in it, None where it is not annotated."""
        image = self._image_number(sample)
        gathered = self._gathered
        gathered.frames.append((sample.scene_id, image))
        for stage, seconds in result.stage_times.items():
            gathered.stage_times.setdefault(stage, []).append(float(seconds))
        for reason, count in result.rejected.items():
            gathered.rejected[reason] = gathered.rejected.get(reason, 0) + count
        detected = [o for o in result.objects if o.is_observed and o.obj_id in self.objects]
        self._record(sample, result, image, detected)
        if sample.objects is None:
            return None
        gathered.annotated_frames += 1
        if sample.complete:
            for counts in self._counts.values():
                counts.annotated = True
        gathered.foreign |= {truth.obj_id for truth in sample.objects} - set(self.objects)
        truths = [truth for truth in sample.objects if truth.obj_id in self.objects]
        truth_regions = [self._truth_region(truth, sample) for truth in truths]
        regions = [_region(o) for o in detected]
        matches = match_frame(regions, truth_regions, self.min_iou)
        gathered.masks.add(regions, truth_regions)
        wrong, largest = self._count(result, detected, truths, truth_regions, matches)
        self._count_candidates(result, detected, truths, truth_regions)
        self._add_bop(sample, detected, truths, truth_regions)
        tracks = [replace(t, identity=(sample.scene_id, t.identity)) for t in track_boxes(detected)]
        gathered.boxes.append((sample.scene_id, tracks, truth_boxes(sample, self.objects, self.min_visib)))
        faults = FrameFaults([truths[t] for t in matches.misses], wrong, self._false(detected, matches))
        score = FrameScore(
            sample.scene_id,
            image,
            len(gathered.frames) - 1,
            len(faults.missed),
            len(faults.wrong_poses),
            len(faults.false_positives),
            largest,
            faults,
        )
        if score.rank > ((0, 0.0) if gathered.worst is None else gathered.worst.rank):
            gathered.worst = score
        return score

    def report(self, source: str, model: str, frames_dropped: int = 0) -> Report:
        """The report on all frames so far."""
        gathered = self._gathered
        data = report_data(gathered, source, model, frames_dropped, self.min_visib, self.threshold)
        return Report(data, gathered.frames, gathered.poses, gathered.tracks, self._counts, gathered.stage_times)

    def _image_number(self, sample: Sample) -> int:
        """Number of a frame in its scene: its own, or the next one."""
        if sample.scene_id != self._scene:
            self._scene, self._next_image = sample.scene_id, 0
        image = self._next_image if sample.image_id is None else sample.image_id
        self._next_image = image + 1
        return image

    def _record(self, sample: Sample, result: FrameResult, image: int, detected: list[TrackedObject]) -> None:
        """Keep the rows of the CSV files."""
        total = float(result.stage_times.get("total", -1.0))
        for o in detected:
            self._counts[o.obj_id].detections += 1
            pose = stage_poses(o)["scored"]
            if pose is not None:
                self._gathered.poses.append(PoseRow(sample.scene_id, image, o.obj_id, o.score, pose, total))
            if o.is_confirmed:
                row = TrackRow(
                    sample.scene_id, image, result.stamp_ns, o.track_id, o.obj_id, o.class_name,
                    np.asarray(o.box, float), o.score, o.pose_confidence, o.pose, o.activity,
                )  # fmt: skip
                self._gathered.tracks.append(row)

    def _count(
        self,
        result: FrameResult,
        detected: list[TrackedObject],
        truths: list[GroundTruthObject],
        regions: list[Region],
        matches: FrameMatches,
    ) -> tuple[list[TrackedObject], float]:
        """Count instances, hits and misses; returns those of a wrong pose and the largest error in diameters."""
        for region in regions:
            counts = self._counts[region.obj_id]
            counts.instances += not region.ignored
            counts.segmented_instances += result.segmented and not region.ignored
            counts.annotated = True
        for e in matches.false_positives:
            self._counts[detected[e].obj_id].false_positives += 1
            self._gathered.confidences["false_positives"].append(detected[e].pose_confidence)
        for e in matches.ignored:
            self._counts[detected[e].obj_id].ignored += 1
        wrong: list[TrackedObject] = []
        largest = 0.0
        for e, t in matches.hits:
            counts = self._counts[detected[e].obj_id]
            counts.detected += 1
            self._gathered.confidences["hits"].append(detected[e].pose_confidence)
            poses = stage_poses(detected[e])
            if not result.is_detected(detected[e]):
                poses = {stage: pose for stage, pose in poses.items() if stage not in DETECTION_STAGES}
            error = self._add_errors(poses, truths[t]).get("scored")
            if error is not None:
                wrong += [] if counts.is_right(error) else [detected[e]]
                largest = max(largest, error / counts.diameter if np.isfinite(error) else 0.0)
            if poses["scored"] is not None and self.objects[detected[e].obj_id].has_shape:
                symmetries = self.objects[detected[e].obj_id].symmetries
                counts.translation_errors.append(translation_error(poses["scored"], truths[t].pose))
                counts.rotation_errors.append(rotation_error(poses["scored"], truths[t].pose, symmetries))
                # A wrong pose is no error of its covariance: the report has it among the wrong ones.
                if error is not None and counts.is_right(error):
                    counts.add_normalised(stage_covariances(detected[e]), truths[t].pose, symmetries)
        return wrong, largest

    def _false(self, detected: list[TrackedObject], matches: FrameMatches) -> list[TrackedObject]:
        """The detections in a frame that are known to be false."""
        return [detected[e] for e in matches.false_positives if self._counts[detected[e].obj_id].annotated]

    def _count_candidates(
        self,
        result: FrameResult,
        detected: list[TrackedObject],
        truths: list[GroundTruthObject],
        regions: list[Region],
    ) -> None:
        """What the detections were worth before the pose confidence was asked."""
        candidates = result.candidates
        if candidates is None:
            candidates = [o.detection for o in detected if o.detection is not None]
            self._gathered.candidates_known &= len(candidates) == len(detected)
        candidates = [c for c in candidates if c.obj_id in self.objects]
        found = [Region(c.obj_id, np.asarray(c.box, float), c.mask, float(c.score)) for c in candidates]
        if result.segmented:
            self._gathered.candidate_masks.add(found, regions)
        matches = match_frame(found, regions, self.min_iou)
        for e, t in matches.hits:
            poses = network_poses(candidates[e])
            self._add_errors(poses, truths[t])
            # Where a track's prediction convinces, ICP has nothing to do on the network's.
            left_out = self._counts[truths[t].obj_id].left_out
            for stage in (stage for stage, pose in poses.items() if pose is None):
                left_out[stage] = left_out.get(stage, 0) + 1
        on_instance = {e for e, _ in matches.hits}
        for e, candidate in enumerate(candidates):
            counts = self._counts[candidate.obj_id]
            if candidate.pose is None or e in matches.ignored or not counts.annotated:
                continue
            kind = judge_pose(
                candidate.pose.pose,
                e in on_instance,
                [truth for truth in truths if truth.obj_id == candidate.obj_id],
                self._pose_scorers[candidate.obj_id],
            )
            if kind is not None:
                counts.confidences.add(kind, candidate.pose.confidence)

    def _add_errors(self, poses: Mapping[str, Float | None], truth: GroundTruthObject) -> dict[str, float]:
        """Count the ADD(-S) of one found instance in each stage of `poses`, and return it, in metres."""
        counts = self._counts[truth.obj_id]
        known: dict[int, float | None] = {}  # several stages often share one pose
        found = {}
        for stage, pose in poses.items():
            if pose is None and stage != "scored":
                continue
            if pose is None:
                error: float | None = np.inf if counts.has_mesh else None
            elif id(pose) in known:
                error = known[id(pose)]
            else:
                error = known[id(pose)] = self._pose_scorers[truth.obj_id](pose, truth.pose, truth.scale)
            if error is not None:
                counts.errors.setdefault(stage, []).append(error)
                found[stage] = error
        return found

    def _add_bop(
        self, sample: Sample, detected: list[TrackedObject], truths: list[GroundTruthObject], regions: list[Region]
    ) -> None:
        scored = [(o, stage_poses(o)["scored"]) for o in detected]
        self._gathered.bop.add(
            sample.frame.intrinsics,
            [ScoredPose(o.obj_id, o.score, pose) for o, pose in scored if pose is not None],
            [Target(t.obj_id, t.pose, not r.ignored) for t, r in zip(truths, regions, strict=True)],
        )

    def _truth_region(self, truth: GroundTruthObject, sample: Sample) -> Region:
        ignored = visibility_of(truth) < self.min_visib
        return Region(truth.obj_id, truth_box(truth, self.objects, sample), truth.mask, ignored=ignored)


def score(
    samples: Iterable[Sample],
    results_by_stamp: Mapping[int, FrameResult],
    objects: ObjectSet,
    *,
    source: str,
    model: str,
    min_visib: float = MIN_VISIBILITY,
    on_frame: OnFrame | None = None,
) -> Report:
    """Score results that came back from elsewhere (a node, over DDS), matched to the samples by stamp.

    Args:
        samples: what was played, in the order of time.
        results_by_stamp: result of each processed frame by ``stamp_ns``; the other frames count as dropped.
        objects: object set of the model.
        source, model: what to call them in the report.
        min_visib: see `Scorer`.
        on_frame: called for each processed frame, e.g. to draw it.
    """
    scorer = Scorer(objects, min_visib)
    dropped = 0
    for sample in samples:
        result = results_by_stamp.get(sample.frame.stamp_ns)
        if result is None:
            dropped += 1
            continue
        judged = scorer.add(sample, result)
        if on_frame is not None:
            on_frame(sample, result, judged)
    return scorer.report(source, model, dropped)


def _region(tracked: TrackedObject) -> Region:
    detection = tracked.detection
    box = tracked.box if detection is None else detection.box
    mask = tracked.mask if tracked.mask is not None or detection is None else detection.mask
    return Region(tracked.obj_id, np.asarray(box, float), mask, float(tracked.score))
