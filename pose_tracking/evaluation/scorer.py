"""Scores what the pipeline said against the ground truth, wherever the two came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.average_precision import MaskAveragePrecision
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.regions import Region
from pose_tracking.core.results import Detection, TrackedObject
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.objects import ObjectSet

from .metrics.confidence import judge_pose, pooled
from .metrics.identities import MIN_VISIBILITY, track_boxes, truth_box, truth_boxes, visibility_of, with_identities
from .metrics.matching import MIN_IOU, FrameMatches, match_frame
from .metrics.pose import PoseScorer
from .metrics.tracking import IdentifiedBox, TrackingAccumulator
from .report import results
from .report.results import POSE_STAGES, FrameResult, ObjectCounts, PoseRow, Report, TrackRow

Float = NDArray[np.float64]
OnFrame = Callable[[Sample, FrameResult], None]
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
        self._tallies = {
            obj_id: ObjectCounts(model.name, model.diameter, self._pose_scorers[obj_id].points is not None)
            for obj_id, model in objects.items()
        }
        self._masks, self._candidate_masks = MaskAveragePrecision(), MaskAveragePrecision()
        self._tracking: list[tuple[int, list[IdentifiedBox], list[IdentifiedBox]]] = []
        self._poses: list[PoseRow] = []
        self._tracks: list[TrackRow] = []
        self._stage_times: dict[str, list[float]] = {}
        self._rejected: dict[str, int] = {}
        self._confidences: dict[str, list[float]] = {"hits": [], "false_positives": []}
        self._frames: list[tuple[int, int]] = []
        self._annotated_frames = 0
        self._foreign: set[int] = set()
        self._scene: int | None = None
        self._next_image = 0

    def add(self, sample: Sample, result: FrameResult) -> FrameMatches | None:
        """Score one processed frame; returns the matches of its detections, None where it is not annotated."""
        if sample.scene_id != self._scene:
            self._scene, self._next_image = sample.scene_id, 0
        image = self._next_image if sample.image_id is None else sample.image_id
        self._next_image = image + 1
        self._frames.append((sample.scene_id, image))
        for stage, seconds in result.stage_times.items():
            self._stage_times.setdefault(stage, []).append(float(seconds))
        for reason, count in result.rejected.items():
            self._rejected[reason] = self._rejected.get(reason, 0) + count
        detected = [o for o in result.objects if o.is_observed and o.obj_id in self.objects]
        self._record(sample, result, image, detected)
        if sample.objects is None:
            return None
        self._annotated_frames += 1
        if sample.complete:
            for counts in self._tallies.values():
                counts.annotated = True
        self._foreign |= {truth.obj_id for truth in sample.objects} - set(self.objects)
        truths = [truth for truth in sample.objects if truth.obj_id in self.objects]
        truth_regions = [self._truth_region(truth, sample) for truth in truths]
        regions = [_region(o) for o in detected]
        matches = match_frame(regions, truth_regions, self.min_iou)
        self._masks.add(regions, truth_regions)
        self._counts(detected, truths, truth_regions, matches)
        candidates = result.candidates
        if candidates is None:
            candidates = [o.detection for o in detected if o.detection is not None]
        self._count_candidates([c for c in candidates if c.obj_id in self.objects], truths, truth_regions)
        tracks = [replace(t, identity=(sample.scene_id, t.identity)) for t in track_boxes(detected)]
        self._tracking.append((sample.scene_id, tracks, truth_boxes(sample, self.objects, self.min_visib)))
        return matches

    def _record(self, sample: Sample, result: FrameResult, image: int, detected: list[TrackedObject]) -> None:
        """Keep the rows of the CSV files."""
        total = float(result.stage_times.get("total", -1.0))
        for o in detected:
            self._tallies[o.obj_id].detections += 1
            pose = stage_poses(o)["scored"]
            if pose is not None:
                self._poses.append(PoseRow(sample.scene_id, image, o.obj_id, o.score, pose, total))
            if o.is_confirmed:
                self._tracks.append(
                    TrackRow(
                        sample.scene_id,
                        image,
                        result.stamp_ns,
                        o.track_id,
                        o.obj_id,
                        o.class_name,
                        np.asarray(o.box, float),
                        o.score,
                        o.pose_confidence,
                        o.pose,
                    )  # fmt: skip
                )

    def _counts(
        self,
        detected: list[TrackedObject],
        truths: list[GroundTruthObject],
        regions: list[Region],
        matches: FrameMatches,
    ) -> None:
        for region in regions:
            self._tallies[region.obj_id].instances += not region.ignored
            self._tallies[region.obj_id].annotated = True
        for e in matches.false_positives:
            self._tallies[detected[e].obj_id].false_positives += 1
            self._confidences["false_positives"].append(detected[e].pose_confidence)
        for e in matches.ignored:
            self._tallies[detected[e].obj_id].ignored += 1
        for e, t in matches.hits:
            counts = self._tallies[detected[e].obj_id]
            counts.detected += 1
            self._confidences["hits"].append(detected[e].pose_confidence)
            self._add_errors(stage_poses(detected[e]), truths[t])

    def _count_candidates(
        self, candidates: list[Detection], truths: list[GroundTruthObject], regions: list[Region]
    ) -> None:
        """What the detections were worth before the pose confidence was asked."""
        found = [Region(c.obj_id, np.asarray(c.box, float), c.mask, float(c.score)) for c in candidates]
        self._candidate_masks.add(found, regions)
        matches = match_frame(found, regions, self.min_iou)
        for e, t in matches.hits:
            self._add_errors(network_poses(candidates[e]), truths[t])
        on_instance = {e for e, _ in matches.hits}
        for e, candidate in enumerate(candidates):
            counts = self._tallies[candidate.obj_id]
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

    def _add_errors(self, poses: Mapping[str, Float | None], truth: GroundTruthObject) -> None:
        """Count the ADD(-S) of one found instance in each stage of `poses`."""
        counts = self._tallies[truth.obj_id]
        known: dict[int, float | None] = {}  # several stages often share one pose
        for stage, pose in poses.items():
            if pose is None and stage != "scored":
                continue
            if pose is None:
                error: float | None = np.inf if counts.has_mesh else None
            elif id(pose) in known:
                error = known[id(pose)]
            else:
                error = known[id(pose)] = self._pose_scorers[truth.obj_id](pose, truth.pose)
            if error is not None:
                counts.errors.setdefault(stage, []).append(error)

    def _truth_region(self, truth: GroundTruthObject, sample: Sample) -> Region:
        ignored = visibility_of(truth) < self.min_visib
        return Region(truth.obj_id, truth_box(truth, self.objects, sample), truth.mask, ignored=ignored)

    def report(self, source: str, model: str, frames_dropped: int = 0) -> Report:
        """The report on all frames so far."""
        tallies = self._tallies
        entries = {str(obj_id): counts.scores() for obj_id, counts in tallies.items()}
        tracking, note = self._score_tracking()
        total = sum(self._stage_times.get("total", ()))
        data = {
            "schema": results.SCHEMA,
            "source": source,
            "model": model,
            "frames": len(self._frames),
            "frames_dropped": frames_dropped,
            "pose": {"objects": entries, "mean": results.mean_entry(list(entries.values()))},
            "segmentation": self._masks.result(),
            "tracking": tracking,
            "latency_ms": results.latency_entry(self._stage_times),
            "fps": len(self._stage_times["total"]) / total if total > 0 else None,
            "extra": self._extra(note),
        }
        return Report(data, self._frames, self._poses, self._tracks, tallies, self._stage_times)

    def _score_tracking(self) -> tuple[dict[str, float | int | None], str | None]:
        """Tracking scores over the classes that are annotated, and why there are none where there are none."""
        annotated = {obj_id for obj_id, counts in self._tallies.items() if counts.annotated}
        if not self._annotated_frames:
            return dict(results.no_tracking()), "no frame is annotated"
        accumulator = TrackingAccumulator()
        for scene_id, tracks, truths in self._tracking:
            try:
                identified = with_identities(truths, self.objects, scene_id)
            except DatasetError as error:
                return dict(results.no_tracking()), str(error)
            accumulator.add([track for track in tracks if track.obj_id in annotated], identified)
        return accumulator.result(), None

    def _extra(self, tracking_note: str | None) -> dict[str, object]:
        """What goes beyond the schema; see docs of the keys in `report.html`."""
        frames, annotated = max(len(self._frames), 1), max(self._annotated_frames, 1)
        scored = {o: t for o, t in self._tallies.items() if t.annotated}
        present = [t for t in self._tallies.values() if t.instances and t.has_mesh]
        stages = [s for s in POSE_STAGES if any(s in t.errors for t in present)]
        # An object that is never found has no errors: its recall is 0 in every stage.
        by_stage = {s: [t.recall(t.errors.get(s, []), t.instances) or 0.0 for t in present] for s in stages}
        return {
            "min_visib": self.min_visib,
            "annotated_frames": self._annotated_frames,
            "detections_per_frame": sum(t.detections for t in self._tallies.values()) / frames,
            "false_positives_per_frame": (
                sum(t.false_positives for t in scored.values()) / annotated if self._annotated_frames else None
            ),
            "objects": {
                str(o): {
                    "annotated": t.annotated,
                    "detections": t.detections,
                    "detections_per_frame": t.detections / frames,
                    "false_positives": t.false_positives if t.annotated else None,
                    "on_ignored": t.ignored if t.annotated else None,
                    "add_s_recall_by_stage": t.stage_recalls(),
                    "confidence": t.confidences.result(self.threshold),
                }
                for o, t in self._tallies.items()
            },
            "add_s_recall_by_stage": {
                stage: float(np.mean(by_stage[stage])) if stage in by_stage else None for stage in POSE_STAGES
            },
            "all_instances": results.all_instances(present, stages),
            "confidence": pooled([t.confidences for t in self._tallies.values()]).result(self.threshold),
            "segmentation_before_pose_check": self._candidate_masks.result(),
            "median_pose_confidence": {
                kind: float(np.median(values)) if values else None for kind, values in self._confidences.items()
            },
            "rejected_detections": dict(self._rejected),
            "unknown_annotated_objects": sorted(self._foreign),
            "motp_is": "mean IoU of matched boxes",
            "tracking_note": tracking_note,
        }


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
        scorer.add(sample, result)
        if on_frame is not None:
            on_frame(sample, result)
    return scorer.report(source, model, dropped)


def stage_poses(tracked: TrackedObject) -> dict[str, Float | None]:
    """The poses an object carries, by the step that made them.

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


def _region(tracked: TrackedObject) -> Region:
    detection = tracked.detection
    box = tracked.box if detection is None else detection.box
    mask = tracked.mask if tracked.mask is not None or detection is None else detection.mask
    return Region(tracked.obj_id, np.asarray(box, float), mask, float(tracked.score))
