"""A real frame with the noise and the holes of another sensor: found with its model, and not without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.depth_noise import DepthNoiseConfig
from pose_tracking.datasets import open_source
from pose_tracking.evaluation.metrics.pose import add
from pose_tracking.pipeline import PoseTracker

CAT = 6


@pytest.fixture(scope="module")
def tracker(data_dir: Path) -> PoseTracker:
    tracker = PoseTracker(ModelBundle.load("linemod", data_dir / "linemod" / "models"))
    tracker.set_classes(["cat"])
    return tracker


@pytest.mark.parametrize(
    ("model", "holes", "found"),
    [("kinect", 0.0, False), ("stereo", 0.0, True), ("auto", 0.0, True), ("auto", 0.8, True)],
)
def test_five_millimetres_of_noise(tracker: PoseTracker, data_dir: Path, model: str, holes: float, found: bool) -> None:
    sample = next(iter(open_source(data_dir / "linemod" / "test" / "000006")))
    rng, depth = np.random.default_rng(0), sample.frame.depth
    noisy = depth + rng.normal(0, 0.005, depth.shape).astype(np.float32)
    noisy[(depth == 0) | (rng.random(depth.shape) < holes)] = 0
    tracker.reset()
    tracker.estimator.config = replace(tracker.estimator.config, depth_noise=DepthNoiseConfig(model))
    things = tracker.update(replace(sample.frame, depth=noisy))
    assert [thing.obj_id for thing in things] == ([CAT] if found else [])
    if found:
        assert things[0].pose is not None
        mesh, truth = tracker.objects[CAT].mesh, sample.objects
        assert mesh is not None
        assert truth is not None
        assert add(things[0].pose, truth[0].pose, mesh.vertices) < 0.007
