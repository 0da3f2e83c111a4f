"""Poses under a noise that is not a Kinect's: believed where the model is told, absent objects refused all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, moved, random_pose, render, write_objects

from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.depth_holes import without_sprinkled_holes
from pose_tracking.core.depth_noise import DepthNoiseConfig
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import rotation_angle
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import PoseConfig, SearchConfig
from pose_tracking.pose.depth_tracking_config import DepthTrackingConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.fitting.depth_tracking import DepthTrackedPose, DepthTracker
from pose_tracking.pose.hypotheses.predictor import PoseHypotheses

# 5 mm at 1 m, as the noise of the scenes; the objects stand at 0.7 m, hence the scale.
STEREO = DepthNoiseConfig("stereo", scale=0.005 / (0.7**2 * 0.08 / (424 * 0.05)))
FITTING = [STEREO, DepthNoiseConfig("auto")]
NOISE = 0.005
BELIEVED = PipelineConfig().min_pose_confidence


class Known:
    """Proposes given poses of one instance."""

    def __init__(self, poses: np.ndarray) -> None:
        self.poses, self.config = poses[None], PoseConfig()

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        confidences = np.linspace(0.9, 0.5, self.poses.shape[1], dtype=np.float32)[None]
        return PoseHypotheses(self.poses, self.poses, confidences, np.zeros((1, 1, 3), np.float32), np.ones(1, bool))


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def scene(seed: int, noise: float = NOISE, holes: float = 0.0) -> tuple[RGBDFrame, np.ndarray, np.ndarray]:
    """A frame with a staircase, its mask and pose."""
    rng = np.random.default_rng(seed)
    pose = random_pose(rng)
    frame, (mask,) = render([(STEPS, pose)], noise=noise, seed=seed)
    depth = np.where(rng.random(frame.depth.shape) < holes, np.float32(0), frame.depth)
    return without_sprinkled_holes(replace(frame, depth=depth), PipelineConfig().fill_holes_from), mask, pose


def config_of(noise: DepthNoiseConfig, search: bool = False) -> PoseConfig:
    return PoseConfig(depth_noise=noise, search=replace(SearchConfig(), enabled=search))


def estimated(
    objects: ObjectSet, config: PoseConfig, frame: RGBDFrame, mask: np.ndarray, obj_id: int, *poses: np.ndarray
) -> PoseEstimate:
    rows, cols = np.nonzero(mask)
    box = np.array([[cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]], np.float32)
    seen = Instances(np.array([obj_id]), np.ones(1, np.float32), box, mask[None], np.zeros((1, 1, 1, 1), np.float32))
    (estimate,) = PoseEstimator(config, objects, Known(np.array(poses))).estimate(frame, seen)
    assert estimate is not None
    return estimate


def is_right(pose: np.ndarray, truth: np.ndarray) -> bool:
    turn = rotation_angle(pose[:3, :3] @ truth[:3, :3].T)
    return bool(np.linalg.norm(pose[:3, 3] - truth[:3, 3]) < 0.008 and turn < np.radians(6))


def test_a_kinects_noise_refuses_right_poses_under_another_sensors(objects: ObjectSet) -> None:
    """What the models are for; should this fail, the tests below show nothing."""
    confidences = []
    for seed in range(6):
        frame, mask, truth = scene(seed)
        confidences.append(estimated(objects, config_of(DepthNoiseConfig()), frame, mask, STEPS, truth).confidence)
    assert min(confidences) < BELIEVED
    assert np.median(confidences) < 0.6


@pytest.mark.parametrize("noise", FITTING, ids=["stereo", "auto"])
@pytest.mark.parametrize("holes", [0.0, 0.8])
def test_right_poses_are_believed_with_the_model_of_the_sensor(
    objects: ObjectSet, noise: DepthNoiseConfig, holes: float
) -> None:
    confidences = []
    for seed in range(6):
        frame, mask, truth = scene(seed, holes=holes)
        start = moved(truth, 10, 0.006, np.random.default_rng(seed))
        found = estimated(objects, config_of(noise), frame, mask, STEPS, start)
        assert is_right(found.pose, truth)
        confidences.append(found.confidence)
    assert min(confidences) > BELIEVED
    assert np.median(confidences) > 0.6


@pytest.mark.parametrize("noise", FITTING, ids=["stereo", "auto"])
@pytest.mark.parametrize("holes", [0.0, 0.8])
def test_an_absent_object_is_refused_all_the_same(objects: ObjectSet, noise: DepthNoiseConfig, holes: float) -> None:
    """A staircase taken for a lamp, and a patch of bare wall taken for a staircase; with the search over rotations."""
    for seed in range(4):
        frame, mask, truth = scene(seed, holes=holes)
        config = config_of(noise, search=True)
        assert estimated(objects, config, frame, mask, LAMP, truth).confidence < BELIEVED
        bare = np.zeros_like(mask)
        bare[20:60, 20:70] = True
        onto = truth.copy()
        onto[:3, 3] = frame.intrinsics.backproject_pixels(np.array([40]), np.array([45]), np.array([1.06]))[0]
        assert estimated(objects, config, frame, bare, STEPS, onto).confidence < BELIEVED


@pytest.mark.parametrize("noise", FITTING, ids=["stereo", "auto"])
def test_a_pose_is_less_sure_where_the_sensor_is_noisier(objects: ObjectSet, noise: DepthNoiseConfig) -> None:
    spreads = []
    for config, sigma in ((DepthNoiseConfig(), 0.001), (noise, NOISE)):
        frame, mask, truth = scene(1, noise=sigma)
        spreads.append(np.trace(estimated(objects, config_of(config), frame, mask, STEPS, truth).noise[:3, :3]))
    assert spreads[1] > 4 * spreads[0]


def test_a_preset_that_says_too_little_gives_way_to_the_image(
    objects: ObjectSet, caplog: pytest.LogCaptureFixture
) -> None:
    """A stereo camera four times as noisy as stated; that is said once, whatever the number of frames."""
    stated = replace(STEREO, scale=STEREO.scale / 4)
    for seed in range(6):
        frame, mask, truth = scene(seed)
        start = moved(truth, 10, 0.006, np.random.default_rng(seed))
        found = estimated(objects, config_of(stated), frame, mask, STEPS, start)
        assert is_right(found.pose, truth)
        assert found.confidence > BELIEVED
    caplog.clear()
    quiet = config_of(DepthNoiseConfig("time_of_flight", scale=0.5))
    verifier = PoseEstimator(quiet, objects, Known(truth[None])).verifier
    for seed in range(3):
        verifier.noise(scene(seed)[0])
    (message,) = caplog.messages
    assert "times as noisy as pose.depth_noise.model 'time_of_flight'" in message


def tracked(objects: ObjectSet, noise: DepthNoiseConfig, seed: int) -> DepthTrackedPose | str:
    frame, _, truth = scene(seed)
    estimator = PoseEstimator(config_of(noise), objects, Known(truth[None]))
    tracker = DepthTracker(DepthTrackingConfig(), estimator.config.covariance, estimator.icp, estimator.verifier)
    predicted = moved(truth, 3, 0.003, np.random.default_rng(seed))
    found = tracker.track(frame, STEPS, predicted, np.diag([0.003**2] * 3 + [0.03**2] * 3), 0.6)
    if isinstance(found, DepthTrackedPose):
        assert is_right(found.estimate.pose, truth)
    return found


def test_tracking_on_the_depth_goes_by_the_model(objects: ObjectSet) -> None:
    count: Callable[[DepthNoiseConfig], int] = lambda noise: sum(  # noqa: E731
        isinstance(tracked(objects, noise, seed), DepthTrackedPose) for seed in range(6)
    )
    assert count(DepthNoiseConfig()) <= 3
    assert [count(noise) for noise in FITTING] == [6, 6]


@pytest.mark.parametrize("noise", FITTING, ids=["stereo", "auto"])
def test_a_depth_image_of_nothing_but_noise_gives_no_confident_pose(
    objects: ObjectSet, noise: DepthNoiseConfig
) -> None:
    frame, mask, truth = scene(0)
    depth = np.random.default_rng(0).uniform(0, 3, frame.depth.shape).astype(np.float32)
    assert estimated(objects, config_of(noise), replace(frame, depth=depth), mask, STEPS, truth).confidence < BELIEVED
