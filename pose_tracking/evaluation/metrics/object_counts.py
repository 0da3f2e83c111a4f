"""What is counted of one object: instances, detections, errors, confidences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pose_tracking.core.arrays import Float

from .confidence import ConfidenceCounts
from .pose import RIGHT_BELOW, normalised_error
from .pose_stages import DETECTION_STAGES, POSE_STAGES


@dataclass
class ObjectCounts:
    """Counts and errors of one object.

    Attributes:
        name: class name.
        diameter: metres.
        has_mesh: whether ADD can be computed.
        instances: ground-truth instances that count.
        segmented_instances: those of them in frames in which the detector ran.
        left_out: those of them, by pose stage, that were found and had no need of that stage.
        detected: instances that an estimate stands for.
        detections, false_positives, ignored: estimates of this class, those that stand for nothing, and those on
            ignored ground truth.
        errors: ADD(-S) in metres of each detected instance, by pose stage; infinite where the estimate has no pose.
        translation_errors, rotation_errors: of the scored poses of detected instances, in m and rad.
        normalised_errors: NEES of right poses (`metrics.pose.normalised_error`), by stage: "estimated", "published".
        annotated: whether the class occurs in the ground truth at all, ignored instances included, or is known not to
            be there.
        confidences: of the poses before the confidence was asked, by what they turned out to be.
    """

    name: str
    diameter: float
    has_mesh: bool
    instances: int = 0
    segmented_instances: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    detected: int = 0
    detections: int = 0
    false_positives: int = 0
    ignored: int = 0
    errors: dict[str, list[float]] = field(default_factory=dict)
    translation_errors: list[float] = field(default_factory=list)
    rotation_errors: list[float] = field(default_factory=list)
    normalised_errors: dict[str, list[float]] = field(default_factory=dict)
    annotated: bool = False
    confidences: ConfidenceCounts = field(default_factory=ConfidenceCounts)

    def add_normalised(self, found: Mapping[str, tuple[Float, Float]], truth: Float, symmetries: Float) -> None:
        """Count the NEES of the poses (4, 4) and covariances (6, 6) of a right object, by stage."""
        for stage, (pose, covariance) in found.items():
            self.normalised_errors.setdefault(stage, []).append(normalised_error(pose, covariance, truth, symmetries))

    def is_right(self, error: float) -> bool:
        """Whether an ADD(-S) in metres is that of a right pose."""
        return error < RIGHT_BELOW * self.diameter

    def count_right(self, stage: str) -> int:
        """Number of instances whose pose is right in a stage."""
        return int(np.count_nonzero(np.asarray(self.errors.get(stage, [])) < RIGHT_BELOW * self.diameter))

    def stage_instances(self, stage: str) -> int:
        """Instances that a stage could have found: those of the frames in which it ran, and that it was run for."""
        if stage not in DETECTION_STAGES:
            return self.instances
        return self.segmented_instances - self.left_out.get(stage, 0)

    def stage_recall(self, stage: str) -> float | None:
        """Recall, misses counted, of a stage ("scored" is the report's own); None where it cannot be told."""
        return self._recall(stage, self.stage_instances(stage))

    def stage_recalls(self) -> dict[str, float | None]:
        """Recall, misses counted, of each pose stage that is known."""
        return {s: self.stage_recall(s) for s in POSE_STAGES if s in self.errors}

    def recall_of_detected(self) -> float | None:
        """Share of the detected instances whose scored pose is right; None where it cannot be told."""
        return self._recall("scored", self.detected)

    def median_error(self) -> float | None:
        """Median ADD(-S) in metres of the scored poses; None without one."""
        return median([e for e in self.errors.get("scored", []) if np.isfinite(e)])

    def _recall(self, stage: str, denominator: int) -> float | None:
        return self.count_right(stage) / denominator if self.has_mesh and denominator else None


def median(values: Sequence[float]) -> float | None:
    """Median; None of nothing."""
    return float(np.median(values)) if len(values) else None
