from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, moved, random_pose, render, write_objects

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import rotation_angle
from pose_tracking.core.results import Instances
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import IcpConfig, PoseConfig, SearchConfig
from pose_tracking.pose.estimator import HOPELESS, PoseEstimator
from pose_tracking.pose.hypotheses.predictor import PoseHypotheses


@dataclass
class KnownHypotheses:
    """Proposes given poses (N, K, 4, 4), the first the most confident."""

    poses: np.ndarray
    valid: np.ndarray | None = None
    config: PoseConfig = PoseConfig()

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        count, k = self.poses.shape[:2]
        confidences = np.tile(np.linspace(0.9, 0.5, k, dtype=np.float32), (count, 1))
        valid = np.ones(count, bool) if self.valid is None else self.valid
        return PoseHypotheses(self.poses, self.poses.copy(), confidences, np.zeros((count, 1, 3), np.float32), valid)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def instances_of(obj_ids: list[int], masks: list[np.ndarray]) -> Instances:
    boxes = []
    for mask in masks:
        rows, cols = np.nonzero(mask)
        boxes.append([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 1, 1])
    n = len(obj_ids)
    return Instances(
        np.array(obj_ids),
        np.ones(n, np.float32),
        np.array(boxes, np.float32),
        np.array(masks),
        np.zeros((n, 1, 1, 1), np.float32),
    )


def scene(seed: int = 0) -> tuple[RGBDFrame, list[np.ndarray], list[np.ndarray]]:
    """A frame with a staircase on the left and a lamp on the right, their masks and poses."""
    rng = np.random.default_rng(seed)
    left, right = random_pose(rng), random_pose(rng)
    left[0, 3], right[0, 3] = -0.12, 0.12
    frame, masks = render([(STEPS, left), (LAMP, right)], seed=seed)
    return frame, masks, [left, right]


def test_the_right_hypothesis_wins_over_more_confident_wrong_ones(objects: ObjectSet) -> None:
    for seed in range(3):
        frame, masks, truth = scene(seed)
        rng = np.random.default_rng(seed + 100)
        poses = np.array([[moved(t, 150, 0.02, rng), moved(t, 90, 0.01, rng), moved(t, 12, 0.006, rng)] for t in truth])
        estimator = PoseEstimator(PoseConfig(), objects, KnownHypotheses(poses))
        for k, estimate in enumerate(estimator.estimate(frame, instances_of([STEPS, LAMP], masks))):
            assert estimate is not None
            assert np.linalg.norm(estimate.pose[:3, 3] - truth[k][:3, 3]) < 0.008
            assert rotation_angle(estimate.pose[:3, :3] @ truth[k][:3, :3].T) < np.radians(6)
            assert estimate.confidence > 0.7
            np.testing.assert_array_equal(estimate.raw_pose, poses[k, 0])
            np.testing.assert_array_equal(estimate.refined_pose, poses[k, 0])
            assert estimate.covariance.shape == (6, 6)
            assert estimate.fit["inlier_fraction"] > 0.9


def test_a_step_that_was_not_taken_leaves_no_pose(objects: ObjectSet) -> None:
    frame, masks, truth = scene(0)
    poses = np.array([[t] for t in truth])
    config = replace(PoseConfig(), refine_iterations=0, icp=replace(PoseConfig().icp, enabled=False))
    taken, left_out = (
        PoseEstimator(each, objects, KnownHypotheses(poses)).estimate(frame, instances_of([STEPS, LAMP], masks))[0]
        for each in (PoseConfig(), config)
    )
    assert taken is not None
    assert left_out is not None
    assert all(pose is not None for pose in (taken.raw_pose, taken.refined_pose, taken.icp_pose))
    assert (left_out.refined_pose, left_out.icp_pose) == (None, None)


def test_an_absent_object_gets_no_confident_pose(objects: ObjectSet) -> None:
    """The staircase, taken for a lamp by the segmentation."""
    frame, masks, truth = scene(1)
    rng = np.random.default_rng(0)
    poses = np.array([[moved(truth[0], angle, 0.005, rng) for angle in (0, 90, 180)]])
    present = PoseEstimator(PoseConfig(), objects, KnownHypotheses(poses))
    (right,) = present.estimate(frame, instances_of([STEPS], masks[:1]))
    (wrong,) = present.estimate(frame, instances_of([LAMP], masks[:1]))
    assert right is not None
    assert wrong is not None
    assert wrong.confidence < 0.5 < right.confidence
    assert np.trace(wrong.covariance) > np.trace(right.covariance)


def test_a_hopeless_pose_gets_no_last_icp(objects: ObjectSet, monkeypatch: pytest.MonkeyPatch) -> None:
    frame, masks, truth = scene(1)
    config = PoseConfig(search=SearchConfig(enabled=False))
    estimator = PoseEstimator(config, objects, KnownHypotheses(truth[0][None, None]))
    monkeypatch.setattr(estimator.trials, "finish", lambda one: pytest.fail("finished"))
    (wrong,) = estimator.estimate(frame, instances_of([LAMP], masks[:1]))
    assert wrong is not None
    assert wrong.confidence < HOPELESS
    assert np.isfinite(wrong.covariance).all()
    assert np.linalg.eigvalsh(wrong.covariance).min() > 0
    with pytest.raises(pytest.fail.Exception, match="finished"):
        estimator.estimate(frame, instances_of([STEPS], masks[:1]))


def test_instances_without_usable_hypotheses_get_none(objects: ObjectSet) -> None:
    frame, masks, truth = scene(2)
    poses = np.array([[truth[0]] * 2, [truth[1]] * 2, [truth[0]] * 2])
    poses[1] = np.nan
    estimator = PoseEstimator(PoseConfig(), objects, KnownHypotheses(poses, np.array([False, True, True])))
    first, second, third = estimator.estimate(frame, instances_of([STEPS, LAMP, STEPS], [*masks, masks[0]]))
    assert first is None
    assert second is None
    assert third is not None


def test_no_instances_no_poses(objects: ObjectSet) -> None:
    frame, _, _ = scene()
    estimator = PoseEstimator(PoseConfig(), objects, KnownHypotheses(np.zeros((0, 1, 4, 4))))
    assert estimator.estimate(frame, Instances.empty(*frame.depth.shape)) == []


def test_without_meshes_the_network_is_believed(tmp_path) -> None:
    bare = write_objects(tmp_path, with_meshes=False)
    frame, masks, truth = scene(3)
    poses = np.array([[truth[0], moved(truth[0], 30, 0.01, np.random.default_rng(0))]])
    (estimate,) = PoseEstimator(PoseConfig(), bare, KnownHypotheses(poses)).estimate(
        frame, instances_of([STEPS], masks[:1])
    )
    assert estimate is not None
    np.testing.assert_array_equal(estimate.pose, truth[0])
    assert estimate.confidence == pytest.approx(0.9)
    assert estimate.fit == {}
    assert (np.linalg.eigvalsh(estimate.covariance) > 0).all()


def test_icp_can_be_switched_off(objects: ObjectSet) -> None:
    frame, masks, truth = scene(4)
    poses = np.array([[moved(truth[0], 120, 0.03, np.random.default_rng(0)), truth[0]]])
    estimator = PoseEstimator(PoseConfig(icp=IcpConfig(enabled=False)), objects, KnownHypotheses(poses))
    (estimate,) = estimator.estimate(frame, instances_of([STEPS], masks[:1]))
    assert estimate is not None
    np.testing.assert_array_equal(estimate.pose, truth[0])  # chosen by its score, handed out as it was
    assert estimate.confidence > 0.7
    assert (np.linalg.eigvalsh(estimate.covariance) > 0).all()


@pytest.mark.parametrize("kind", ["nan", "zero", "inf", "noise", "negative"])
def test_weird_depth_never_raises(objects: ObjectSet, kind: str) -> None:
    frame, masks, truth = scene(5)
    depth = {
        "nan": np.full_like(frame.depth, np.nan),
        "zero": np.zeros_like(frame.depth),
        "inf": np.full_like(frame.depth, np.inf),
        "noise": np.random.default_rng(0).uniform(0, 3, frame.depth.shape).astype(np.float32),
        "negative": -frame.depth,
    }[kind]
    poses = np.array([[t, moved(t, 90, 0.02, np.random.default_rng(0))] for t in truth])
    estimates = PoseEstimator(PoseConfig(), objects, KnownHypotheses(poses)).estimate(
        replace(frame, depth=depth), instances_of([STEPS, LAMP], masks)
    )
    for estimate in estimates:
        assert estimate is not None
        assert np.isfinite(estimate.pose).all()
        assert np.isfinite(estimate.covariance).all()
        assert estimate.confidence < 0.3


def test_an_empty_mask_gets_no_confidence(objects: ObjectSet) -> None:
    frame, masks, truth = scene(6)
    estimator = PoseEstimator(PoseConfig(), objects, KnownHypotheses(np.array([[truth[0]]])))
    (estimate,) = estimator.estimate(frame, instances_of([STEPS], [np.zeros_like(masks[0])]))
    assert estimate is not None
    assert estimate.confidence < 0.3


def test_runs_repeat_exactly(objects: ObjectSet) -> None:
    frame, masks, truth = scene(7)
    poses = np.array([[moved(truth[0], a, 0.01, np.random.default_rng(a)) for a in (15, 60, 120)]])
    runs = []
    for _ in range(2):
        estimator = PoseEstimator(PoseConfig(), objects, KnownHypotheses(poses))
        (estimate,) = estimator.estimate(frame, instances_of([STEPS], masks[:1]))
        assert estimate is not None
        runs.append(estimate)
    # Open3D sums the residuals of ICP in parallel, in any order: equal to rounding, not to the bit.
    np.testing.assert_allclose(runs[0].pose, runs[1].pose, rtol=0, atol=1e-9)
    assert runs[0].confidence == pytest.approx(runs[1].confidence, abs=1e-6)
