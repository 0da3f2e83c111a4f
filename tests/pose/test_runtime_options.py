"""Options that may change at run time reach every part of a running estimator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from block_scenes import STEPS, moved, random_pose, render, write_objects
from safetensors.torch import save_file

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import CropConfig, PoseConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.hypotheses.predictor import PosePredictor
from pose_tracking.pose.networks.light_network import LightPoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet

# Random networks give poses that differ little: with wide limits the most different of the pool are kept.
CONFIG = PoseConfig(
    crop=CropConfig(size=32, points=40), hypotheses=3, hypothesis_angle=3.2, hypothesis_distance=2.0, refine_points=24
)
# Another value for each option, so different that it must show.
CHANGED = {
    "crop.min_points": 4096,
    "hypotheses": 1,
    "hypothesis_pool": 1,
    "refine_iterations": 0,
    "accept": 0.0,
    "refine_from": 1.0,
    "time_budget": 0.001,
    "icp.enabled": False,
    "depth_noise.model": "astra",
    "depth_noise.scale": 20.0,
    "depth_noise.offset": 0.05,
    "depth_noise.relative": 0.1,
    "depth_noise.lateral": 0.05,
    "depth_noise.warp": 0.05,
    "depth_noise.warp_length": 5.0,
    "search.enabled": False,
    "search.below": 0.0,
    "search.min_score": 1.0,
    "search.keep": 1,
    "search.every": 1,
}
Weights = tuple[Path, Path]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Random networks, whose refiner moves poses."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("weights")
    paths = folder / "pose.safetensors", folder / "refiner.safetensors"
    network, refiner = LightPoseNet(3), PoseRefineNet(3)
    with torch.no_grad():
        refiner.conv3_t.bias.fill_(0.02)
    save_file(network.state_dict(), paths[0])
    save_file(refiner.state_dict(), paths[1])
    return paths


@pytest.fixture(scope="module")
def seen() -> tuple[RGBDFrame, Instances]:
    """A frame and its one instance, of an unlikely detection."""
    truth = random_pose(np.random.default_rng(20))
    frame, masks = render([(STEPS, truth)])
    rows, cols = np.nonzero(masks[0])
    box = np.array([[cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]], np.float32)
    features = np.zeros((1, 1, 1, 1), np.float32)
    return frame, Instances(np.array([STEPS]), np.full(1, 0.5, np.float32), box, np.array(masks), features)


def run_time_options(config: Any, prefix: str = "") -> Iterator[str]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from run_time_options(value, f"{prefix}{field.name}.")
        elif field.metadata.get("runtime"):
            yield prefix + field.name


def changed(config: Any, name: str, value: Any) -> Any:
    section, _, rest = name.partition(".")
    return dataclasses.replace(config, **{section: changed(getattr(config, section), rest, value) if rest else value})


def outcome(estimator: PoseEstimator, frame: RGBDFrame, instances: Instances) -> list[np.ndarray]:
    """All that an estimator says of a frame."""
    proposed = estimator.predictor.predict(frame, instances)
    tried = [each.pose for each in estimator.try_all(frame, instances)[0]]
    (estimate,) = estimator.estimate(frame, instances)
    chosen = [] if estimate is None else [p for p in (estimate.pose, estimate.refined_pose) if p is not None]
    # In millimetres and 0.06 degrees, that no difference is lost in the tolerance.
    spread = np.zeros(0) if estimate is None else 1e6 * estimate.covariance
    return [proposed.poses, proposed.raw_poses, np.array(tried), np.array(chosen), spread]


def differ(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    # ICP sums in any order: equal to rounding, not to the bit.
    return any(a.shape != b.shape or not np.allclose(a, b, atol=1e-7) for a, b in zip(one, other, strict=True))


def test_every_option_is_tried() -> None:
    assert set(run_time_options(CONFIG)) == set(CHANGED)


@pytest.mark.parametrize("name", CHANGED)
def test_changing_an_option_changes_what_comes_out(
    objects: ObjectSet, weights: Weights, seen: tuple[RGBDFrame, Instances], name: str
) -> None:
    config, predictor = CONFIG, PosePredictor(CONFIG, objects, *weights)
    if name in ("accept", "refine_from"):
        config = changed(CONFIG, "search.enabled", False)
        # A first hypothesis that is not quite right, and the right one.
        truth = random_pose(np.random.default_rng(20))
        poses = np.array([[moved(truth, 90, 0.0, np.random.default_rng(0)), truth]])
        fixed = predictor.predict(*seen)
        fixed = dataclasses.replace(fixed, poses=poses, raw_poses=poses, confidences=np.array([[0.9, 0.5]]))
        predictor.predict = lambda frame, instances: fixed  # type: ignore[method-assign]
    if name == "search.every":  # every search is in vain
        config = changed(changed(config, "search.below", 1.0), "accept", 1.01)
    estimator = PoseEstimator(config, objects, predictor)
    if name == "search.every":
        outcome(estimator, *seen)
    before = outcome(estimator, *seen)
    assert not differ(before, outcome(estimator, *seen))

    estimator.config = changed(config, name, CHANGED[name])

    assert differ(before, outcome(estimator, *seen)), f"{name} is ignored"


def test_one_config_holds_for_all_parts(objects: ObjectSet, weights: Weights) -> None:
    estimator = PoseEstimator(CONFIG, objects, PosePredictor(CONFIG, objects, *weights))
    other = PoseConfig(accept=0.5)
    estimator.config = other
    assert estimator.predictor.config is estimator.config is other
    assert estimator.icp.config is other.icp
    assert estimator.verifier.config is other.verification
    assert estimator.verifier.depth_noise is other.depth_noise
    assert estimator.search.config is other.search
