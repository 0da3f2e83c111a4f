"""Calibrates the pose confidence of a bundle on annotated frames: gather hypotheses, fit, say what it buys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.regions import mask_iou
from pose_tracking.datasets.sample import Sample
from pose_tracking.pipeline.frame_report import FrameReport
from pose_tracking.pipeline.selection import wanted_instances
from pose_tracking.pose.config import VerificationConfig
from pose_tracking.pose.fitting.calibration import feature_matrix, fit_calibration
from pose_tracking.pose.fitting.scoring import FEATURES
from pose_tracking.segmentation.gating import gate

from .metrics.confidence import ABSENT, RIGHT, ConfidenceCounts, judge_pose
from .metrics.matching import MIN_IOU
from .metrics.pose import PoseScorer

if TYPE_CHECKING:
    from pose_tracking.objects import ObjectSet
    from pose_tracking.pose.estimator import PoseEstimator
    from pose_tracking.segmentation.segmenter import Segmenter

FOLDS = 5
MIN_EXAMPLES = 10  # of right and of other poses; fewer teach nothing
MAX_ABSENT_WEIGHT = 5.0
REGULARIZATION = 0.02


@dataclass
class Gathered:
    """Pose hypotheses of detected instances, and what each is.

    Attributes:
        features: of each of M hypotheses.
        kinds: (M) ``right``, ``wrong`` or ``absent``.
        scores: (M) confidences before the calibration.
        instances: (M) which detection each belongs to.
        scenes: (M) which scene.
        frames: number of frames looked at.
    """

    features: list[dict[str, float]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    instances: list[int] = field(default_factory=list)
    scenes: list[tuple[int, int]] = field(default_factory=list)
    frames: int = 0

    def add(self, samples: Iterable[Sample], source: int, collector: Collector) -> None:
        """Gather the hypotheses of all detections in `samples` of source number `source`."""
        for sample in samples:
            self.frames += 1
            for hypotheses in collector.collect(sample):
                instance = self.instances[-1] + 1 if self.instances else 0
                for features, kind, score in hypotheses:
                    self.features.append(features)
                    self.kinds.append(kind)
                    self.scores.append(score)
                    self.instances.append(instance)
                    self.scenes.append((source, sample.scene_id))


class Collector:
    """Runs the bundle's own segmenter and pose stage on annotated frames, on the instances that the pipeline checks.

    Args:
        segmenter, estimator: the stages.
        objects: the known objects, with meshes.
        pipeline: says which instances the pipeline leaves out before their poses are estimated.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        estimator: PoseEstimator,
        objects: ObjectSet,
        pipeline: PipelineConfig | None = None,
    ) -> None:
        objects.require_meshes("to calibrate with")
        self.segmenter, self.estimator, self.objects = segmenter, estimator, objects
        self.pipeline = pipeline or PipelineConfig()
        self._scorers = {obj_id: PoseScorer(model) for obj_id, model in objects.items()}

    def collect(self, sample: Sample) -> list[list[tuple[dict[str, float], str, float]]]:
        """Features, kind and present confidence of every hypothesis of every detection; frames without annotation
        give none.
        """
        if sample.objects is None:
            return []
        frame = sample.frame
        instances = self.segmenter.segment(frame)
        instances = wanted_instances(instances, list(self.objects), self.objects, self.pipeline, FrameReport())
        instances, _ = gate(instances, frame, self.objects, self.segmenter.config)
        collected = []
        for i, tried in enumerate(self.estimator.try_all(frame, instances)):
            obj_id, mask = int(instances.obj_ids[i]), instances.masks[i]
            truths = [truth for truth in sample.objects if truth.obj_id == obj_id]
            on_instance = any(truth.mask is not None and mask_iou(mask, truth.mask) >= MIN_IOU for truth in truths)
            hypotheses = []
            for each in tried:
                kind = judge_pose(each.pose, on_instance, truths, self._scorers[obj_id])
                if kind is not None and each.score > 0:  # 0 is what no weights can change
                    hypotheses.append((each.check.features, kind, each.score))
            if hypotheses:
                collected.append(hypotheses)
        return collected


@dataclass
class Calibration:
    """A fitted confidence.

    Attributes:
        bias, weights: for `VerificationConfig`.
        figures: what goes into ``calibration.json``.
        confidences, right: (N,) cross-validated confidence of each handed-out pose, and whether it is right.
    """

    bias: float
    weights: tuple[float, ...]
    figures: dict[str, Any]
    confidences: Float
    right: Bool


def calibrate(gathered: Gathered, threshold: float) -> Calibration:
    """Fit the confidence and measure it, before and after, the latter on scenes left out of the fit.

    Of each detection the hypothesis with the highest confidence is handed out, as in the pipeline, so a better
    confidence also chooses better poses.

    Args:
        gathered: hypotheses of all detections.
        threshold: confidence from which poses are accepted.

    Raises:
        ConfigError: too few right or other poses to fit to.
    """
    if not gathered.kinds:
        raise ConfigError(
            f"calibration: the detector found nothing to fit to in {gathered.frames} frames: train it for longer, or "
            "give frames of its objects"
        )
    kinds = np.array(gathered.kinds)
    right = kinds == RIGHT
    if min(right.sum(), (~right).sum()) < MIN_EXAMPLES:
        raise ConfigError(
            f"calibration: {right.sum()} right and {(~right).sum()} other hypotheses in {gathered.frames} frames are "
            f"too few (at least {MIN_EXAMPLES} each): give more frames"
        )
    instances = np.array(gathered.instances)
    values = feature_matrix(gathered.features)
    importance = _importance(kinds)
    crossed = np.zeros(len(kinds))
    for held_out in _folds(gathered.scenes, instances):
        fitted = ~held_out
        if right[fitted].all() or not right[fitted].any():
            raise ConfigError("calibration: one scene has all right or all other poses: give more scenes")
        bias, weights = _fit(gathered, right, instances, importance, fitted)
        crossed[held_out] = _confidence(values[held_out], bias, weights)
    bias, weights = _fit(gathered, right, instances, importance, np.ones(len(kinds), bool))

    before, _ = _handed_out(np.array(gathered.scores), kinds, instances)
    after, chosen = _handed_out(crossed, kinds, instances)
    figures = {
        "frames": gathered.frames,
        "detections": len(np.unique(instances)),
        "hypotheses": len(kinds),
        "scenes": len(set(gathered.scenes)),
        "bias": bias,
        "weights": dict(zip(FEATURES, weights, strict=True)),
        "before": before.result(threshold),
        "after_cross_validated": after.result(threshold),
    }
    return Calibration(bias, weights, figures, crossed[chosen], right[chosen])


def _fit(
    gathered: Gathered, right: Bool, instances: NDArray, importance: Float, use: Bool
) -> tuple[float, tuple[float, ...]]:
    features = [f for f, used in zip(gathered.features, use, strict=True) if used]
    # What simulated frames do not teach stays as it is by default: the defaults have seen real frames.
    prior = VerificationConfig().weights
    return fit_calibration(features, right[use], instances[use], importance[use], REGULARIZATION, prior)


def _importance(kinds: NDArray) -> Float:
    """False detections weigh as much as wrong poses together, up to a limit: often there are few of them."""
    absent = kinds == ABSENT
    wrong = (kinds != RIGHT) & ~absent
    weight = np.clip(wrong.sum() / max(absent.sum(), 1), 1.0, MAX_ABSENT_WEIGHT)
    return np.where(absent, weight, 1.0)


def _folds(scenes: Sequence[tuple[int, int]], instances: NDArray) -> list[Bool]:
    """Hypotheses to leave out in turn: whole scenes, or single detections where there is one scene only."""
    keys: Any = np.unique(np.array(scenes), axis=0, return_inverse=True)[1].reshape(-1)
    if keys.max() == 0:
        keys = instances
    fold = np.unique(keys, return_inverse=True)[1] % FOLDS
    return [fold == i for i in np.unique(fold)]


def _confidence(values: Float, bias: float, weights: Sequence[float]) -> Float:
    return np.asarray(1 / (1 + np.exp(-np.clip(values @ np.asarray(weights) + bias, -50, 50))))


def _handed_out(scores: Float, kinds: NDArray, instances: NDArray) -> tuple[ConfidenceCounts, NDArray[np.intp]]:
    """The best hypothesis of each detection: the counts of all, and their indices."""
    order = np.lexsort((-scores, instances))
    chosen = order[np.unique(instances[order], return_index=True)[1]]
    counts = ConfidenceCounts()
    for i in chosen:
        counts.add(str(kinds[i]), float(scores[i]))
    return counts, chosen
