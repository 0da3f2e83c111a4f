"""From what was gathered over the frames to the content of ``report.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from pose_tracking.core.average_precision import MaskAveragePrecision
from pose_tracking.core.errors import DatasetError
from pose_tracking.evaluation.metrics.bop import BopRecall
from pose_tracking.evaluation.metrics.confidence import pooled
from pose_tracking.evaluation.metrics.identities import with_identities
from pose_tracking.evaluation.metrics.object_counts import ObjectCounts, median
from pose_tracking.evaluation.metrics.pose import covariance_figures
from pose_tracking.evaluation.metrics.pose_stages import POSE_STAGES
from pose_tracking.evaluation.metrics.tracking import METRICS, IdentifiedBox, TrackingAccumulator
from pose_tracking.objects import ObjectSet

from .results import FrameScore, PoseRow, TrackRow, latency_entry
from .schema import OBJECT_KEYS, SCHEMA, MeanEntry, ObjectEntry, ReportData, Summary


@dataclass
class Gathered:
    """What a `Scorer` gathers frame by frame.

    Attributes:
        objects: the object set.
        counts: by object id.
        bop: MSSD and MSPD of the scored poses.
        masks, candidate_masks: after and before the pose confidence was asked.
        candidates_known: whether the detections before that were at hand in every frame.
        boxes: scene, tracks and annotated instances of each annotated frame.
        frames: (scene_id, image_id) of the processed frames.
        poses, tracks: rows of the CSV files.
        stage_times: seconds of each frame by stage.
        rejected: detections dropped before tracking, by reason.
        confidences: pose confidences of hits and of false positives.
        annotated_frames: how many frames have ground truth.
        foreign: annotated objects that the model does not know.
        worst: the frame in which most went wrong.
    """

    objects: ObjectSet
    counts: dict[int, ObjectCounts]
    bop: BopRecall
    masks: MaskAveragePrecision = field(default_factory=MaskAveragePrecision)
    candidate_masks: MaskAveragePrecision = field(default_factory=MaskAveragePrecision)
    candidates_known: bool = True
    boxes: list[tuple[int, list[IdentifiedBox], list[IdentifiedBox]]] = field(default_factory=list)
    frames: list[tuple[int, int]] = field(default_factory=list)
    poses: list[PoseRow] = field(default_factory=list)
    tracks: list[TrackRow] = field(default_factory=list)
    stage_times: dict[str, list[float]] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    confidences: dict[str, list[float]] = field(default_factory=lambda: {"hits": [], "false_positives": []})
    annotated_frames: int = 0
    foreign: set[int] = field(default_factory=set)
    worst: FrameScore | None = None


def report_data(
    gathered: Gathered, source: str, model: str, frames_dropped: int, min_visib: float, threshold: float
) -> ReportData:
    """The content of ``report.json``.

    Args:
        gathered: what the frames gave.
        source, model: what to call them.
        frames_dropped: frames without a result.
        min_visib: instances less visible than this were ignored.
        threshold: pose confidence from which a pose was accepted.
    """
    entries = {str(obj_id): object_entry(counts) for obj_id, counts in gathered.counts.items()}
    tracking, note = tracking_scores(gathered)
    totals = gathered.stage_times.get("total", ())
    return {
        "schema": SCHEMA,
        "source": source,
        "model": model,
        "frames": len(gathered.frames),
        "frames_dropped": frames_dropped,
        "summary": summary_of(gathered, entries),
        "pose": {"objects": entries, "mean": mean_entry(list(entries.values()))},
        "bop": {
            "all": gathered.bop.total().result(),
            "objects": {str(obj_id): counts.result() for obj_id, counts in gathered.bop.counts.items()},
        },
        "segmentation": gathered.masks.result(),
        "tracking": tracking,
        "latency_ms": latency_entry(gathered.stage_times),
        "fps": len(totals) / sum(totals) if sum(totals) > 0 else None,
        "extra": _extra(gathered, min_visib, threshold, note),
    }


def object_entry(counts: ObjectCounts) -> ObjectEntry:
    """The entry of an object under ``pose``."""
    return {
        "name": counts.name,
        "instances": counts.instances,
        "detected": counts.detected,
        "add_s_recall": counts.stage_recall("scored"),
        "add_s_recall_detected": counts.recall_of_detected(),
        "median_add_m": counts.median_error(),
    }


def mean_entry(entries: Sequence[ObjectEntry]) -> MeanEntry:
    """Unweighted mean over the objects that have instances, key by key; None where no object has a value."""
    present = [cast(Mapping[str, Any], entry) for entry in entries if entry["instances"] > 0]
    mean: dict[str, Any] = {"name": "mean"}
    for key in OBJECT_KEYS[1:]:
        values = [entry[key] for entry in present if entry[key] is not None]
        mean[key] = float(np.mean(values)) if values else None
    return cast(MeanEntry, mean)


def summary_of(gathered: Gathered, entries: Mapping[str, ObjectEntry]) -> Summary:
    """The object and the frame to look at first."""
    scored = [(e["add_s_recall"], obj_id) for obj_id, e in entries.items() if e["add_s_recall"] is not None]
    worst_object = None
    if scored:
        recall, obj_id = min(scored)
        worst_object = {"obj_id": int(obj_id), "name": entries[obj_id]["name"], "add_s_recall": recall}
    return {
        "worst_object": worst_object,
        "worst_frame": None if gathered.worst is None else gathered.worst.data,
    }


def tracking_scores(gathered: Gathered) -> tuple[dict[str, float | int | None], str | None]:
    """Tracking scores over the classes that are annotated, and why there are none where there are none."""
    unknown: dict[str, float | int | None] = dict.fromkeys(METRICS)
    annotated = {obj_id for obj_id, counts in gathered.counts.items() if counts.annotated}
    if not gathered.annotated_frames:
        return unknown, "no frame is annotated"
    if len(gathered.frames) == 1 and not any(tracks for _, tracks, _ in gathered.boxes):
        return unknown, "a single frame confirms no track"
    if 1 < len(gathered.frames) == len({scene_id for scene_id, _ in gathered.frames}):
        return unknown, "each frame is a scene of its own, in which the tracks begin anew"
    accumulator = TrackingAccumulator()
    for scene_id, tracks, truths in gathered.boxes:
        try:
            identified = with_identities(truths, gathered.objects, scene_id)
        except DatasetError as error:
            return unknown, str(error)
        accumulator.add([track for track in tracks if track.obj_id in annotated], identified)
    return accumulator.result(), None


def all_instances(counts: Sequence[ObjectCounts], stages: Sequence[str]) -> dict[str, Any]:
    """Recall over the instances of all objects together, in total and by pose stage; misses are failures."""

    def recall(stage: str) -> float | None:
        instances = sum(c.stage_instances(stage) for c in counts)
        return sum(c.count_right(stage) for c in counts) / instances if instances else None

    return {
        "instances": sum(c.instances for c in counts),
        "detected": sum(c.detected for c in counts),
        "add_s_recall": recall("scored"),
        "add_s_recall_by_stage": {stage: recall(stage) for stage in stages},
    }


def _extra(gathered: Gathered, min_visib: float, threshold: float, tracking_note: str | None) -> dict[str, Any]:
    """What goes beyond the poses, masks, tracks and times of the whole."""
    counts = gathered.counts
    frames, annotated = max(len(gathered.frames), 1), max(gathered.annotated_frames, 1)
    present = [c for c in counts.values() if c.instances and c.has_mesh]
    stages = [s for s in POSE_STAGES if any(s in c.errors for c in present)]
    # An object that is never found has no errors: its recall is 0 in every stage.
    by_stage = {s: float(np.mean([c.stage_recall(s) or 0.0 for c in present])) for s in stages}
    false_positives = sum(c.false_positives for c in counts.values() if c.annotated)
    unknown: dict[str, float | None] = {"map": None, "map50": None}
    return {
        "min_visib": min_visib,
        "annotated_frames": gathered.annotated_frames,
        "detections_per_frame": sum(c.detections for c in counts.values()) / frames,
        "false_positives_per_frame": false_positives / annotated if gathered.annotated_frames else None,
        "objects": {str(obj_id): _extra_entry(c, frames, threshold) for obj_id, c in counts.items()},
        "add_s_recall_by_stage": {stage: by_stage.get(stage) for stage in POSE_STAGES},
        "all_instances": all_instances(present, stages),
        "confidence": pooled([c.confidences for c in counts.values()]).result(threshold),
        "covariance": {
            stage: covariance_figures([e for c in counts.values() for e in c.normalised_errors.get(stage, ())])
            for stage in ("estimated", "published")
        },
        "segmentation_before_pose_check": gathered.candidate_masks.result() if gathered.candidates_known else unknown,
        "median_pose_confidence": {kind: median(values) for kind, values in gathered.confidences.items()},
        "rejected_detections": dict(gathered.rejected),
        "unknown_annotated_objects": sorted(gathered.foreign),
        "motp_is": "mean IoU of matched boxes",
        "tracking_note": tracking_note,
        "noisy_gt": None,
        "ycbineoat": None,
        "size": None,
        "events": None,
        "clips": None,
        "camera_warning": "",
        "poses_cut_short": 0,
    }


def _extra_entry(counts: ObjectCounts, frames: int, threshold: float) -> dict[str, Any]:
    turned = median(counts.rotation_errors)
    return {
        "annotated": counts.annotated,
        "detections": counts.detections,
        "detections_per_frame": counts.detections / frames,
        "false_positives": counts.false_positives if counts.annotated else None,
        "on_ignored": counts.ignored if counts.annotated else None,
        "add_s_recall_by_stage": counts.stage_recalls(),
        "median_translation_m": median(counts.translation_errors),
        "median_rotation_deg": None if turned is None else float(np.degrees(turned)),
        "confidence": counts.confidences.result(threshold),
    }
