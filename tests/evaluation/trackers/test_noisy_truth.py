"""Noise of the stated size, drawn alike whatever was looked at before, and features of the noisy boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from estimates import estimate_of
from evaluation_cases import CAMERA, box_at, make_objects, pose_at, sample, truth
from hypothesis import given, settings
from hypothesis import strategies as st
from presence import present
from scipy.spatial.transform import Rotation
from shape_scenes import shape_scene

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, Instances
from pose_tracking.datasets.sample import Sample
from pose_tracking.evaluation.trackers.noisy_truth import NoisyTruthConfig, NoisyTruthDetector
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.segmentation import SegmentationConfig, Segmenter
from pose_tracking.segmentation.appearance import descriptors
from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter, build_mask_rcnn

FRAMES = 300
BOXES = [box_at(10 + 30 * i, 20 + 40 * j) for i in range(4) for j in range(2)]
QUIET = NoisyTruthConfig(miss_rate=0.0, false_alarms=0.0)


class BoxesOnly(Segmenter):
    """A segmenter that looks for objects and does nothing else."""

    config = SegmentationConfig()

    def segment(self, frame: RGBDFrame) -> Instances:
        return Instances.empty(*frame.depth.shape)


class NoFeatures(BoxesOnly):
    """A segmenter whose features say nothing: the noise is looked at alone."""

    def instances_at(self, frame: RGBDFrame, boxes: np.ndarray, obj_ids: np.ndarray) -> Instances:
        count = len(boxes)
        masks = np.zeros((count, *frame.depth.shape), bool)
        features = np.ones((count, 2, 1, 1), np.float32)
        return Instances(obj_ids, np.ones(count, np.float32), boxes.astype(np.float32), masks, features)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return make_objects(tmp_path_factory.mktemp("objects"))


def annotated(number: int, **fields) -> Sample:
    """Eight bricks in a frame."""
    truths = [truth(1, box, pose_at(0.01 * i), mask=None, instance_id=i + 1) for i, box in enumerate(BOXES)]
    return sample(number, truths, image_id=number, **fields)


def detect_all(objects: ObjectSet, config: NoisyTruthConfig) -> list[list[Detection]]:
    detector = NoisyTruthDetector(NoFeatures(), objects, config)
    return [detector.detect(annotated(n)) for n in range(FRAMES)]


def same(a: list[Detection], b: list[Detection]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x.box, y.box) and np.array_equal(estimate_of(x).pose, estimate_of(y).pose) and x.score == y.score
        for x, y in zip(a, b, strict=True)
    )


def test_boxes_and_poses_are_off_by_as_much_as_stated(objects: ObjectSet) -> None:
    boxes, shifts, turns, distances = [], [], [], []
    for found in detect_all(objects, QUIET):
        assert len(found) == len(BOXES)
        for i, d in enumerate(found):
            boxes.append(d.box - BOXES[i])
            estimate = estimate_of(d)
            shift = estimate.pose[:3, 3] - pose_at(0.01 * i)[:3, 3]
            delta = np.concatenate([shift, Rotation.from_matrix(estimate.pose[:3, :3]).as_rotvec()])
            shifts.append(delta[:3])
            turns.append(delta[3:])
            distances.append(delta @ np.linalg.solve(estimate.covariance, delta))
    for values, sigma in ((boxes, 2.0), (shifts, 0.005), (turns, np.radians(3))):
        np.testing.assert_allclose(np.std(values, axis=0), sigma, rtol=0.08)
        np.testing.assert_allclose(np.mean(values, axis=0), 0, atol=0.08 * sigma)
    assert np.mean(distances) == pytest.approx(6, rel=0.06)  # the covariance is that of the noise


@pytest.mark.parametrize("scale", [1 / 25, 9.0])
def test_the_covariance_can_be_misstated_and_nothing_else(objects: ObjectSet, scale: float) -> None:
    config = replace(QUIET, covariance_scale=scale)
    for honest, told in zip(detect_all(objects, QUIET)[:3], detect_all(objects, config)[:3], strict=True):
        assert same(honest, told)
        for a, b in zip(honest, told, strict=True):
            np.testing.assert_allclose(estimate_of(b).covariance, scale * estimate_of(a).covariance, rtol=1e-12)
    # What a symmetry leaves unknown is no noise: it stays what it is.
    top = ModelBundle.load("demo", require_weights=False).objects.by_name("top")
    lone = ObjectSet({top.obj_id: top})
    frame = sample(0, [truth(top.obj_id, BOXES[0])], image_id=0)
    (estimate,) = (estimate_of(d) for d in NoisyTruthDetector(NoFeatures(), lone, config).detect(frame))
    direction = estimate.pose[:3, :3] @ axis_of(top)
    unknown = direction @ estimate.covariance[3:, 3:] @ direction
    assert unknown == pytest.approx(np.pi**2 / 3 + scale * np.radians(3) ** 2, rel=1e-6)


def test_misses_and_false_alarms_come_as_often_as_stated(objects: ObjectSet) -> None:
    found = detect_all(objects, NoisyTruthConfig(miss_rate=0.1, false_alarms=0.0))
    assert sum(map(len, found)) / (FRAMES * len(BOXES)) == pytest.approx(0.9, abs=0.02)
    alarms = [d for each in detect_all(objects, NoisyTruthConfig(miss_rate=1.0, false_alarms=0.5)) for d in each]
    assert len(alarms) / FRAMES == pytest.approx(0.5, abs=0.13)
    assert {d.obj_id for d in alarms} == {1, 2}
    for d in alarms:
        assert 0.3 <= d.score <= 0.7
        assert 0.3 <= estimate_of(d).confidence <= 0.7
        assert 0.75 < estimate_of(d).pose[2, 3] < 0.85  # the measured depth is 0.8 m


def test_the_default_rates_are_those_of_a_good_detector(objects: ObjectSet) -> None:
    config = NoisyTruthConfig()
    noise = (config.box_noise, config.position_noise, config.rotation_noise, config.miss_rate, config.false_alarms)
    assert noise == (2.0, 0.005, 3.0, 0.03, 0.05)
    assert {d.score >= 0.7 for each in detect_all(objects, QUIET) for d in each} == {True}


def test_what_is_drawn_depends_on_the_frame_alone(objects: ObjectSet) -> None:
    config = NoisyTruthConfig(false_alarms=1.0)
    forward = detect_all(objects, config)
    detector = NoisyTruthDetector(NoFeatures(), objects, config)
    backward = [detector.detect(annotated(n)) for n in reversed(range(FRAMES))][::-1]
    assert all(same(a, b) for a, b in zip(forward, backward, strict=True))
    assert not same(forward[0], detector.detect(annotated(0, scene_id=1)))
    assert not same(forward[0], NoisyTruthDetector(NoFeatures(), objects, replace(config, seed=1)).detect(annotated(0)))
    # The noise of an instance stays what it is where others are missed.
    more = NoisyTruthDetector(NoFeatures(), objects, replace(config, miss_rate=0.5)).detect(annotated(0))
    assert {tuple(d.box) for d in more if d.score >= 0.7} < {tuple(d.box) for d in forward[0]}


def test_hidden_and_foreign_objects_are_not_detected(objects: ObjectSet) -> None:
    truths = [
        truth(1, BOXES[0], visibility=0.05),
        truth(1, BOXES[1], visibility=0.15),
        truth(7, BOXES[2]),
        truth(2, BOXES[3]),
    ]
    found = NoisyTruthDetector(NoFeatures(), objects, QUIET).detect(sample(0, truths))
    assert [d.obj_id for d in found] == [1, 2]
    np.testing.assert_allclose(found[0].box, BOXES[1], atol=10)
    assert NoisyTruthDetector(NoFeatures(), objects, QUIET).detect(sample(0, [])) == []


def test_a_symmetry_turns_the_pose_as_it_likes() -> None:
    objects = ModelBundle.load("demo", require_weights=False).objects
    top = objects.by_name("top")
    frames = [sample(n, [truth(top.obj_id, BOXES[0])], image_id=n) for n in range(60)]
    detector = NoisyTruthDetector(NoFeatures(), objects, QUIET)
    estimates = [estimate_of(detector.detect(frame)[0]) for frame in frames]
    spin = axis_of(top)
    seen = np.array([e.pose[:3, :3] @ spin for e in estimates])
    tilt = np.degrees(np.arccos(np.clip(seen @ spin, -1, 1)))
    assert tilt.max() < 15  # noise alone: the axis stays
    side = np.cross(spin, [1.0, 0.2, 0.1])
    side /= np.linalg.norm(side)
    assert (
        np.ptp([np.arctan2(np.cross(side, p) @ spin, p @ side) for p in (e.pose[:3, :3] @ side for e in estimates)]) > 5
    )
    for e, direction in zip(estimates, seen, strict=True):
        assert direction @ e.covariance[3:, 3:] @ direction > 1.0  # nobody knows the turn about the axis
        across = np.cross(direction, [1.0, 0.2, 0.1])
        across /= np.linalg.norm(across)
        assert np.sqrt(across @ e.covariance[3:, 3:] @ across) == pytest.approx(np.radians(3), rel=1e-3)


def axis_of(model: ObjectModel) -> np.ndarray:
    turns = Rotation.from_matrix(model.symmetries[:, :3, :3]).as_rotvec()
    lengths = np.linalg.norm(turns, axis=1)
    first = turns[lengths > 1e-3][0]
    return first / np.linalg.norm(first)


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-30, 190), y=st.floats(-30, 150), width=st.floats(0, 60), height=st.floats(0, 60),
    noise=st.floats(0, 100), number=st.integers(0, 1000),
)  # fmt: skip
def test_boxes_lie_in_the_image_and_have_an_extent(
    objects: ObjectSet, x: float, y: float, width: float, height: float, noise: float, number: int
) -> None:
    config = NoisyTruthConfig(box_noise=noise, miss_rate=0.0, false_alarms=2.0)
    box = np.array([x, y, x + width, y + height])
    found = NoisyTruthDetector(NoFeatures(), objects, config).detect(sample(number, [truth(1, box, mask=None)]))
    assert len(found) >= 1
    for d in found:
        assert (d.box[:2] >= 0).all()
        assert (d.box[2:] <= [CAMERA.width, CAMERA.height]).all()
        assert (d.box[2:] - d.box[:2] >= 1 - 1e-9).all()


def test_features_and_masks_are_the_detectors_at_the_noisy_boxes() -> None:
    config = SegmentationConfig(fpn_channels=16, box_head_size=16, mask_head_channels=(8,), proposals=30)
    torch.manual_seed(3)
    segmenter = TorchvisionSegmenter(config, (2, 5, 7), build_mask_rcnn(config, 3))
    scene = shape_scene(1)
    model = ModelBundle.load("demo", require_weights=False).objects[2]
    objects = ObjectSet({i: replace(model, obj_id=i, name=f"shape {i}") for i in (2, 5, 7)})
    found = NoisyTruthDetector(segmenter, objects, QUIET).detect(scene)
    assert len(found) == len(present(scene.objects))
    ids = np.array([d.obj_id for d in found])

    def appearance(boxes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        instances = segmenter.instances_at(scene.frame, np.stack(boxes), ids)
        return descriptors(instances), instances.masks

    features, masks = appearance([d.box for d in found])
    np.testing.assert_array_equal([d.feature for d in found], features)
    np.testing.assert_array_equal([d.mask for d in found], masks)
    places = (np.nonzero(present(t.mask)) for t in present(scene.objects))
    elsewhere, _ = appearance([np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float) for y, x in places])
    assert np.abs(features - elsewhere).max() > 1e-4


def test_what_cannot_be_used_is_named(objects: ObjectSet) -> None:
    with pytest.raises(ConfigError, match="BoxesOnly does not give features at given boxes"):
        NoisyTruthDetector(BoxesOnly(), objects, QUIET).detect(annotated(0))
    with pytest.raises(ConfigError, match="miss_rate = 1.5 is outside 0 to 1"):
        NoisyTruthDetector(NoFeatures(), objects, NoisyTruthConfig(miss_rate=1.5))
    with pytest.raises(ConfigError, match="covariance_scale = 26 is outside 0.04 to 25"):
        NoisyTruthDetector(NoFeatures(), objects, NoisyTruthConfig(covariance_scale=26))
    with pytest.raises(DatasetError, match="scene 3, stamp 0.100 s is not annotated"):
        NoisyTruthDetector(NoFeatures(), objects).detect(sample(0, None, scene_id=3))
