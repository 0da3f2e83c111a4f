"""One true pose, then the depth alone, on a real recording (development data): a bottle that a robot hand carries.

Its mesh has no colour, its pixels are not square and its frames come with pauses of up to 4.3 s.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_tracking.bundles.bundle import BundleConfig, ModelBundle
from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, Instances, PoseEstimate
from pose_tracking.datasets.bop import BopScene
from pose_tracking.evaluation.metrics.pose import accuracy_auc, add, add_s
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pose.config import DepthTrackingConfig, PoseConfig
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter


class Unused(Segmenter):
    """No network may run."""

    config = SegmentationConfig()

    def segment(self, frame: RGBDFrame) -> Instances:
        raise AssertionError


class UnusedEstimator:
    config = PoseConfig()

    def estimate(self, frame: RGBDFrame, instances: Instances) -> list[PoseEstimate | None]:
        raise AssertionError


SEARCHING = PipelineConfig(depth_tracking=DepthTrackingConfig(search_frames=5))


def errors(folder: Path, frames: range) -> tuple[list[float], list[float]]:
    """ADD and ADD-S (m) of each frame; infinite where the object was not seen."""
    objects = ObjectSet.load(folder / "models" / "models_info.json", folder / "models")
    (model,) = objects.values()
    assert model.mesh is not None
    points = model.mesh.vertices.astype(float)
    bundle = ModelBundle(folder, BundleConfig(pipeline=SEARCHING), objects)
    tracker = PoseTracker(bundle, segmenter=Unused(), estimator=UnusedEstimator())
    scene = BopScene(folder / "test" / "000000")
    lines = (scene.path / "stamps.txt").read_text().splitlines()[1:]
    stamps = [int(line.split()[1]) for line in lines]
    found: list[tuple[float, float]] = []
    for k in frames:
        sample = scene[k]
        (truth,) = sample.objects or []
        given = None
        if not found:
            assert truth.mask is not None
            box = mask_box(truth.mask)
            assert box is not None
            covariance = np.diag([0.002**2] * 3 + [0.02**2] * 3)
            pose = PoseEstimate(truth.pose, 1.0, covariance)
            given = [Detection(model.obj_id, 1.0, box.astype(float), None, pose, truth.mask)]
        tracked = tracker.update_with(replace(sample.frame, stamp_ns=stamps[k]), given)
        seen = [one.pose for one in tracked if one.is_observed and one.pose is not None]
        found.append(
            (add(seen[0], truth.pose, points), add_s(seen[0], truth.pose, points)) if seen else (np.inf, np.inf)
        )
    return [e[0] for e in found], [e[1] for e in found]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_carried_object_is_followed_at_five_frames_a_second(data_dir: Path, first: int) -> None:
    folder = data_dir / "mustard"
    if not folder.is_dir():
        pytest.skip(f"no recording at {folder}")
    # The bottle is lifted at frame 73, faster than ICP reaches from one of these frames to the next.
    of_points, of_surface = errors(folder, range(first, 110, 3))
    assert np.isfinite(of_points).all()
    # The whole recording reaches 0.93 and 0.968; here the bottle is far away and hangs nearly still most of the time.
    assert accuracy_auc(of_points) >= 0.88
    assert accuracy_auc(of_surface) >= 0.94
