"""Calibrating a bundle: from gathered hypotheses to weights and figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from block_scenes import STEPS
from option_scenes import TRUTH, Known, Masks, Scenes

from pose_tracking.core.errors import ConfigError
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.evaluation.calibration import Collector, Gathered, calibrate
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.fitting.scoring import FEATURES


def gathered(scenes: int = 4, per_scene: int = 30) -> Gathered:
    """Instances with one right and two wrong hypotheses, or three false ones; the old scores are noise."""
    rng = np.random.default_rng(0)
    out = Gathered(frames=scenes * 5)
    for number in range(scenes * per_scene):
        present = number % 3 > 0
        for k in range(3):
            right = present and k == 0
            row = dict.fromkeys(FEATURES, 0.5) | {"visible_px": 500.0}
            row["coverage"] = float(np.clip(rng.normal(0.9 if right else 0.6, 0.07), 0, 1))
            row["violated_fraction"] = float(np.clip(rng.normal(0.05 if right else 0.3, 0.1), 0, 1))
            out.features.append(row)
            out.kinds.append("right" if right else "wrong" if present else "absent")
            out.scores.append(float(rng.random()))
            out.instances.append(number)
            out.scenes.append((0, number // per_scene))
    return out


def test_a_calibration_chooses_and_tells_apart_better() -> None:
    result = calibrate(gathered(), 0.5)
    before, after = result.figures["before"], result.figures["after_cross_validated"]
    assert before["right"] + before["wrong"] == after["right"] + after["wrong"] == 80
    assert after["right"] > 75 > 50 > before["right"]
    assert after["roc_auc"] > 0.95 > before["roc_auc"]
    assert after["precision"] > 0.9
    assert after["recall"] > 0.9
    assert len(result.confidences) == result.figures["detections"] == 120
    assert result.right.sum() == after["right"]
    assert tuple(result.figures["weights"]) == FEATURES
    assert result.figures["weights"]["coverage"] > 2


def test_too_little_data_is_refused() -> None:
    few = gathered(scenes=1, per_scene=6)
    with pytest.raises(ConfigError, match="4 right and 14 other hypotheses in 5 frames are too few"):
        calibrate(few, 0.5)


def test_a_detector_that_finds_nothing_is_named() -> None:
    with pytest.raises(ConfigError, match="the detector found nothing to fit to in 24 frames: train it for longer"):
        calibrate(Gathered(frames=24), 0.5)


def test_one_scene_is_split_by_detections() -> None:
    result = calibrate(gathered(scenes=1, per_scene=60), 0.5)
    assert result.figures["scenes"] == 1
    assert result.figures["after_cross_validated"]["roc_auc"] > 0.9


@pytest.mark.parametrize(("score", "colored", "collected"), [(0.3, True, 1), (0.3, False, 0), (0.9, False, 1)])
def test_what_the_pipeline_never_checks_is_not_learnt_from(
    tmp_path: Path, score: float, colored: bool, collected: int
) -> None:
    """Detections of meshes without colour have to be surer (`min_colorless_score`)."""
    scenes = Scenes(tmp_path)
    objects = scenes.objects if colored else scenes.grey(score).tracker.objects
    estimator = PoseEstimator(PoseConfig(), objects, Known(TRUTH))
    collector = Collector(Masks(scenes.masks, [STEPS], score), estimator, objects)
    truth = GroundTruthObject(STEPS, TRUTH, 1.0, None, scenes.masks[0])
    found = collector.collect(Sample(scenes.frame, [truth]))
    assert len(found) == collected
    assert all(kind == "right" for hypotheses in found for _, kind, _ in hypotheses[:1])
