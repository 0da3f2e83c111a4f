"""What an evaluation takes in and gives out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.results import Detection, TrackedObject
from pose_tracking.evaluation.metrics.confidence import ConfidenceCounts
from pose_tracking.evaluation.metrics.tracking import METRICS

SCHEMA = 1
OBJECT_KEYS = ("name", "instances", "detected", "add_s_recall", "add_s_recall_detected", "median_add_m")
STAGES = ("segmentation", "pose", "tracking", "total")
# Poses a result may carry, in the order the pipeline makes them; see `scorer.stage_poses`.
POSE_STAGES = ("network", "refined", "icp", "estimated", "published")


@dataclass
class FrameResult:
    """What the pipeline said about one frame, in this process or over DDS.

    Attributes:
        stamp_ns: stamp of the frame it is about.
        objects: every object after the frame: observed ones are its detections, confirmed ones the tracks.
        stage_times: seconds by stage (`STAGES`), as far as known.
        rejected: number of detections that were thrown away, by reason.
        candidates: all detections before the pose confidence was asked, or None where only `objects` is known.
    """

    stamp_ns: int
    objects: list[TrackedObject]
    stage_times: Mapping[str, float] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    candidates: Sequence[Detection] | None = None


@dataclass(frozen=True)
class PoseRow:
    """One line of ``poses.csv``: an estimate in metres (the file has millimetres); time in seconds, -1 if unknown."""

    scene_id: int
    image_id: int
    obj_id: int
    score: float
    pose: NDArray[np.float64]
    time: float


@dataclass(frozen=True)
class TrackRow:
    """One line of ``tracks.csv``: a confirmed track seen in a frame; pose in metres, or None."""

    scene_id: int
    image_id: int
    stamp_ns: int
    track_id: int
    obj_id: int
    name: str
    box: NDArray[np.float64]
    score: float
    pose_confidence: float
    pose: NDArray[np.float64] | None


@dataclass
class ObjectCounts:
    """Counts and errors of one object.

    Attributes:
        name: class name.
        diameter: metres.
        has_mesh: whether ADD can be computed.
        instances: ground-truth instances that count.
        detections, false_positives, ignored: estimates of this class, those that stand for nothing, and those on
            ignored ground truth.
        errors: ADD(-S) in metres of each detected instance, by pose stage; infinite where the estimate has no pose.
        annotated: whether the class occurs in the ground truth at all, ignored instances included, or is known not to
            be there.
        confidences: of the poses before the confidence was asked, by what they turned out to be.
    """

    name: str
    diameter: float
    has_mesh: bool
    instances: int = 0
    detected: int = 0
    detections: int = 0
    false_positives: int = 0
    ignored: int = 0
    errors: dict[str, list[float]] = field(default_factory=dict)
    annotated: bool = False
    confidences: ConfidenceCounts = field(default_factory=ConfidenceCounts)

    def recall(self, errors: Sequence[float], denominator: int) -> float | None:
        """Share of `denominator` with an error below a tenth of the diameter; None where it cannot be told."""
        if not self.has_mesh or denominator == 0:
            return None
        return float(np.count_nonzero(np.asarray(errors) < 0.1 * self.diameter)) / denominator

    def stage_recalls(self) -> dict[str, float | None]:
        """Recall, misses counted, of each pose stage that is known."""
        return {s: self.recall(self.errors[s], self.instances) for s in POSE_STAGES if s in self.errors}

    def scores(self) -> dict[str, Any]:
        """The entry of this object in ``report.json`` (keys `OBJECT_KEYS`)."""
        errors = self.errors.get("scored", [])
        finite = [e for e in errors if np.isfinite(e)]
        return {
            "name": self.name,
            "instances": self.instances,
            "detected": self.detected,
            "add_s_recall": self.recall(errors, self.instances),
            "add_s_recall_detected": self.recall(errors, self.detected),
            "median_add_m": float(np.median(finite)) if finite else None,
        }


@dataclass
class Report:
    """An evaluation: what goes into the files, and what the plots are drawn from.

    Attributes:
        data: the content of ``report.json``.
        frames: (scene_id, image_id) of the processed frames.
        poses, tracks: the lines of ``poses.csv`` and ``tracks.csv``.
        tallies: counts and errors by object id.
        stage_times: seconds of each frame by stage.
    """

    data: dict[str, Any]
    frames: list[tuple[int, int]]
    poses: list[PoseRow]
    tracks: list[TrackRow]
    tallies: dict[int, ObjectCounts]
    stage_times: dict[str, list[float]]


def mean_entry(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Unweighted mean over the objects that have instances, key by key; None where no object has a value."""
    entries = [entry for entry in entries if entry["instances"] > 0]
    mean: dict[str, Any] = {"name": "mean"}
    for key in OBJECT_KEYS[1:]:
        values = [entry[key] for entry in entries if entry[key] is not None]
        mean[key] = float(np.mean(values)) if values else None
    return mean


def all_instances(tallies: Sequence[ObjectCounts], stages: Sequence[str]) -> dict[str, Any]:
    """Recall over the instances of all objects together, in total and by pose stage; misses are failures."""
    instances = sum(t.instances for t in tallies)

    def recall(stage: str) -> float | None:
        right = sum(np.count_nonzero(np.asarray(t.errors.get(stage, [])) < 0.1 * t.diameter) for t in tallies)
        return right / instances if instances else None

    return {
        "instances": instances,
        "detected": sum(t.detected for t in tallies),
        "add_s_recall": recall("scored"),
        "add_s_recall_by_stage": {stage: recall(stage) for stage in stages},
    }


def latency_entry(stage_times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float | None]]:
    """Median and 99th percentile of each stage in milliseconds; None where it was not measured."""
    entry: dict[str, dict[str, float | None]] = {}
    for stage in STAGES:
        times = np.asarray(stage_times.get(stage, ()), float) * 1e3
        entry[stage] = {
            "median": float(np.median(times)) if times.size else None,
            "p99": float(np.percentile(times, 99)) if times.size else None,
        }
    return entry


def no_tracking() -> dict[str, None]:
    """The tracking entry where identities are not known."""
    return dict.fromkeys(METRICS)
