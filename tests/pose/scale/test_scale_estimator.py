"""Scales beside poses, on rendered blocks in scenes made larger or smaller."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, moved, random_pose, render, write_objects

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import rotation_angle
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.hypotheses.predictor import PoseHypotheses
from pose_tracking.pose.scale.estimator import ScaleEstimator
from pose_tracking.pose.scale.normalising import normalised, rescaled, resized, unscaled


@dataclass
class Near:
    """Proposes rotations (N, 3, 3) that are nearly right, at the distance that the depth has, as a network does."""

    poses: Float
    config: PoseConfig = PoseConfig()
    scenes: int = 0

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        self.scenes += 1
        ids = {STEPS: 0, LAMP: 1}
        poses = self.poses[[ids[i] for i in instances.obj_ids.tolist()]].copy()
        for pose, mask in zip(poses, instances.masks, strict=True):
            depth = frame.depth[mask]
            pose[:3, 3] *= (np.median(depth[depth > 0]) + 0.02) / pose[2, 3]
        count = len(poses)
        confidences = np.full((count, 1), 0.9, np.float32)
        return PoseHypotheses(
            poses[:, None],
            poses[:, None].copy(),
            confidences,
            np.zeros((count, 1, 3), np.float32),
            np.ones(count, bool),
        )


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def scene(scale: float) -> tuple[RGBDFrame, Instances, Float]:
    """A scene in which all is `scale` times as large: instances and (2, 4, 4) true poses."""
    rng = np.random.default_rng(4)
    left, right = random_pose(rng), random_pose(rng)
    left[0, 3], right[0, 3] = -0.12, 0.12
    frame, masks = render([(STEPS, left), (LAMP, right)], seed=4)
    boxes = [[m.any(0).argmax(), m.any(1).argmax(), 319, 239] for m in masks]
    instances = Instances(
        np.array([STEPS, LAMP]), np.ones(2, np.float32), np.array(boxes, np.float32), np.array(masks),
        np.zeros((2, 1, 1, 1), np.float32),
    )  # fmt: skip
    truth = np.array([unscaled(left, 1 / scale), unscaled(right, 1 / scale)])
    return normalised(frame, 1 / scale), instances, truth


def proposals(truth: Float) -> Near:
    rng = np.random.default_rng(5)
    return Near(np.array([moved(pose, 8, 0.0, rng) for pose in truth]))


@pytest.mark.parametrize("scale", [0.72, 1.0, 1.27])
def test_what_is_new_gets_its_scale_and_pose(objects: ObjectSet, scale: float) -> None:
    frame, instances, truth = scene(scale)
    stage = ScaleEstimator(PoseEstimator(PoseConfig(estimate_scale=True), objects, proposals(truth)))
    for estimate, pose in zip(stage.estimate(frame, instances), truth, strict=True):
        assert estimate is not None
        assert estimate.scale == pytest.approx(scale, rel=0.04)
        assert np.linalg.norm(estimate.pose[:3, 3] - pose[:3, 3]) < 0.01
        assert rotation_angle(estimate.pose[:3, :3] @ pose[:3, :3].T) < np.radians(5)
        assert estimate.confidence > 0.7
        assert np.linalg.eigvalsh(estimate.covariance).min() > 0


def test_what_is_tracked_begins_at_the_scale_of_its_track(objects: ObjectSet) -> None:
    frame, instances, truth = scene(1.2)
    near = proposals(truth)
    stage = ScaleEstimator(PoseEstimator(PoseConfig(estimate_scale=True), objects, near))
    known = {i: (pose @ np.diag([1.17, 1.17, 1.17, 1.0]))[None] for i, pose in zip((STEPS, LAMP), truth, strict=True)}
    found = stage.estimate(frame, instances, known)
    assert near.scenes == 2  # one each; five where nothing is known
    for estimate in found:
        assert estimate is not None
        assert estimate.scale == pytest.approx(1.2, rel=0.04)


def test_what_is_new_and_unlikely_is_tried_at_one_scale_a_frame(objects: ObjectSet) -> None:
    frame, instances, truth = scene(1.0)
    near = proposals(truth)
    stage = ScaleEstimator(PoseEstimator(PoseConfig(estimate_scale=True), objects, near))
    unlikely = replace(instances, scores=np.full(2, 0.05, np.float32))
    stage.estimate(frame, unlikely)
    assert near.scenes == 1


def test_an_estimate_is_carried_between_the_scenes() -> None:
    pose = np.eye(4)
    pose[:3, 3] = [0.1, 0.2, 1.0]
    covariance = np.diag([1e-4, 1e-4, 4e-4, 0.01, 0.01, 0.01])
    covariance[0, 3] = covariance[3, 0] = 5e-4
    back = rescaled(PoseEstimate(pose, 0.9, covariance, raw_pose=pose, systematic=covariance / 4), 2.0)
    assert back.scale == 2.0
    np.testing.assert_allclose(back.pose[:3, 3], [0.2, 0.4, 2.0])
    assert back.raw_pose is not None
    np.testing.assert_allclose(back.raw_pose[:3, 3], [0.2, 0.4, 2.0])
    np.testing.assert_allclose(np.diag(back.covariance), [4e-4, 4e-4, 16e-4, 0.01, 0.01, 0.01])
    assert back.covariance[0, 3] == pytest.approx(1e-3)
    np.testing.assert_allclose(resized(back.covariance, 0.5), covariance)
    assert back.refined_pose is None


def test_readings_are_made_smaller_with_the_depth() -> None:
    frame, instances, _ = scene(1.0)
    mask: Bool = instances.masks[0]
    small = normalised(replace(frame, readings=frame.depth), 2.0)
    np.testing.assert_allclose(small.depth[mask] * 2, frame.depth[mask], rtol=1e-6)
    assert small.readings is not None
    np.testing.assert_allclose(small.readings, small.depth)
