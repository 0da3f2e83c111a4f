"""The stated covariance covers the error on a real frame, where it is bias and hardly any noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from block_scenes import moved
from option_scenes import Known

from pose_tracking.core.results import Instances
from pose_tracking.datasets.bop import BopScene
from pose_tracking.evaluation.metrics.pose import NEES_95, normalised_error
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.estimator import PoseEstimator

CAT = 6


def test_the_error_on_the_real_cat_is_covered(data_dir: Path, linemod_objects: ObjectSet) -> None:
    sample = BopScene(data_dir / "linemod" / "test")[0]
    assert sample.objects
    (cat,) = [o for o in sample.objects if o.obj_id == CAT]
    assert cat.mask is not None
    seen = Instances(
        np.array([CAT]), np.ones(1, np.float32), np.zeros((1, 4), np.float32), cat.mask[None],
        np.zeros((1, 1, 1, 1), np.float32),
    )  # fmt: skip
    honest: list[float] = []
    counted_down: list[float] = []
    for seed in range(6):
        rng, depth = np.random.default_rng(seed), sample.frame.depth
        noisy = np.where(depth > 0, depth + 0.001 * (seed % 3) * rng.normal(size=depth.shape), 0).astype(np.float32)
        estimator = PoseEstimator(PoseConfig(), linemod_objects, Known(moved(cat.pose, 5, 0.005, rng)))
        (estimate,) = estimator.estimate(replace(sample.frame, depth=noisy), seen)
        assert estimate is not None
        for covariance, errors in ((estimate.covariance, honest), (estimate.noise, counted_down)):
            errors.append(normalised_error(estimate.pose, covariance, cat.pose, linemod_objects[CAT].symmetries))
    assert 3 < np.mean(honest) < 12
    assert max(honest) < NEES_95
    # Noise alone, readings that share an error counted as the fewer they are, does not cover the bias.
    assert np.mean(counted_down) > 12
