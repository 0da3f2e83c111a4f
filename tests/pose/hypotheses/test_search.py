from __future__ import annotations

import gc
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
from block_scenes import LAMP, POST, STEPS, random_pose, render, write_objects
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform, rotation_angle
from pose_tracking.core.results import Instances
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import IcpConfig, PoseConfig, SearchConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.fitting.icp import object_points
from pose_tracking.pose.hypotheses.predictor import PoseHypotheses
from pose_tracking.pose.hypotheses.search import RotationSearch, _prepare
from pose_tracking.templates.rotations import even_rotations, symmetric_angles


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def search(objects: ObjectSet) -> RotationSearch:
    return RotationSearch(SearchConfig(), objects)


def candidates(
    search: RotationSearch, obj_id: int, frame: RGBDFrame, mask: np.ndarray, count: int | None = None
) -> np.ndarray:
    points = object_points(frame, mask, search.objects[obj_id].diameter, IcpConfig(), count)
    return search.candidates(obj_id, points, frame, mask)


class OneWrongHypothesis:
    """Proposes the median point and no rotation, whatever it sees."""

    config = PoseConfig()

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        poses = np.tile(np.eye(4), (len(instances), 1, 1, 1))
        for i, mask in enumerate(instances.masks):
            poses[i, 0, :3, 3] = np.median(object_points(frame, mask, 1.0, IcpConfig()), 0)
        confidences = np.full((len(instances), 1), 0.5, np.float32)
        points = np.zeros((len(instances), 1, 3), np.float32)
        return PoseHypotheses(poses, poses.copy(), confidences, points, np.ones(len(instances), bool))


@settings(deadline=None, max_examples=25)
@given(st.integers(100, 600), st.integers(0, 2**31 - 1))
def test_every_rotation_has_a_sample_near_it(count: int, seed: int) -> None:
    rotations = even_rotations(count)
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (count, 1, 1)), atol=1e-9)
    wanted = Rotation.random(random_state=seed).as_matrix()
    spacing = (6 * np.pi / count) ** (1 / 3)  # radius of a ball that holds 1/count of SO(3)
    assert rotation_angle(rotations @ wanted.T).min() < 2.0 * spacing


def test_angles_respect_symmetries(objects: ObjectSet) -> None:
    turn = Rotation.from_euler("zx", [40, 10], degrees=True).as_matrix()
    rotations = np.stack([np.eye(3), Rotation.from_euler("x", 10, degrees=True).as_matrix()])
    symmetric = symmetric_angles(rotations, turn, objects[POST].symmetries)
    assert symmetric[0] == pytest.approx(np.radians(10), abs=np.radians(0.5))
    plain = symmetric_angles(rotations, turn, objects[STEPS].symmetries)
    assert plain[0] == pytest.approx(rotation_angle(turn))
    assert len(symmetric_angles(rotations[:0], turn, objects[STEPS].symmetries)) == 0


def test_templates_lie_on_the_side_that_faces_the_camera(search: RotationSearch) -> None:
    templates = search.templates(STEPS)
    assert templates.points.shape == (240, search.config.template_points, 3)
    points = np.einsum("rij,rpi->rpj", templates.rotations, templates.points.numpy()) * search.objects[STEPS].diameter
    low = search.objects[STEPS].box_min
    assert (points > low - 1e-4).all()
    assert (points < low + search.objects[STEPS].size + 1e-4).all()
    assert (templates.normals.numpy()[..., 2] < 0.2).all()  # seen from -z, up to perspective
    assert search.templates(STEPS) is templates


def test_a_symmetric_object_needs_fewer_templates(search: RotationSearch) -> None:
    assert 8 <= len(search.templates(POST).rotations) <= 80


def test_the_true_rotation_is_among_the_candidates(objects: ObjectSet, search: RotationSearch) -> None:
    near = 0
    cases = [(obj_id, seed) for obj_id in (STEPS, LAMP, POST) for seed in range(4)]
    for obj_id, seed in cases:
        truth = random_pose(np.random.default_rng(seed))
        truth[0, 3] += (-0.15, 0.15)[seed % 2]  # off the axis, where view and camera differ
        frame, masks = render([(obj_id, truth)], seed=seed)
        found = candidates(search, obj_id, frame, masks[0])
        assert 1 <= len(found) <= search.config.keep
        for k in range(1, len(found)):
            apart = symmetric_angles(found[:k, :3, :3], found[k, :3, :3], objects[obj_id].symmetries)
            assert (apart > search.config.min_angle).all()
        angle = symmetric_angles(found[:, :3, :3], truth[:3, :3], objects[obj_id].symmetries)
        near += angle.min() < np.radians(25)
    assert near >= len(cases) - 1


def test_half_of_the_object_hidden(objects: ObjectSet, search: RotationSearch) -> None:
    near = 0
    for seed in range(4):
        truth = random_pose(np.random.default_rng(seed + 50))
        frame, (mask,) = render([(STEPS, truth)], seed=seed)
        cols = np.nonzero(mask.any(0))[0]
        middle = int(cols.mean())
        depth = frame.depth.copy()
        depth[:, :middle] = 0.5  # a board in front of its left half
        mask = mask.copy()
        mask[:, :middle] = False
        found = candidates(search, STEPS, replace(frame, depth=depth), mask)
        near += rotation_angle(found[:, :3, :3] @ truth[:3, :3].T).min() < np.radians(30)
    assert near >= 3


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 40), st.integers(0, 2**31 - 1))
def test_any_cloud_gives_rigid_finite_poses(search: RotationSearch, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform([-0.5, -0.5, 0.2], [0.5, 0.5, 2.0], (count, 3))
    depth = rng.choice([0.0, np.nan, np.inf, -1.0, 0.7], (240, 320)).astype(np.float32)
    frame, _ = render([])
    found = search.candidates(STEPS, points, replace(frame, depth=depth), rng.random((240, 320)) < 0.5)
    assert found.shape[1:] == (4, 4)
    assert (len(found) > 0) == (count > 0)
    np.testing.assert_allclose(found @ invert_transform(found), np.tile(np.eye(4), (len(found), 1, 1)), atol=1e-5)


def test_the_estimator_recovers_from_a_wrong_hypothesis(objects: ObjectSet) -> None:
    config = PoseConfig()
    without = replace(config, search=replace(config.search, enabled=False))
    recovered, lost = 0, 0
    for seed in range(4):
        truth = random_pose(np.random.default_rng(seed + 20))
        frame, masks = render([(STEPS, truth)], seed=seed)
        instances = Instances(
            np.array([STEPS]),
            np.ones(1, np.float32),
            np.array([[0, 0, 10, 10]], np.float32),
            np.array(masks),
            np.zeros((1, 1, 1, 1), np.float32),
        )

        def right(
            config: PoseConfig, frame: RGBDFrame = frame, instances: Instances = instances, truth: np.ndarray = truth
        ) -> bool:
            (estimate,) = PoseEstimator(config, objects, OneWrongHypothesis()).estimate(frame, instances)
            assert estimate is not None
            turned = rotation_angle(estimate.pose[:3, :3] @ truth[:3, :3].T) < np.radians(8)
            return bool(turned and np.linalg.norm(estimate.pose[:3, 3] - truth[:3, 3]) < 0.01)

        recovered += right(config)
        lost += not right(without)
    assert lost >= 3
    assert recovered == 4


def test_after_the_first_search_no_other_object_has_to_wait_for_its_templates(objects: ObjectSet) -> None:
    search = RotationSearch(SearchConfig(rotations=60), objects)
    made: set[int] = set()
    frame, masks = render([(STEPS, random_pose(np.random.default_rng(3)))], seed=3)
    assert len(candidates(search, STEPS, frame, masks[0]))
    end = time.monotonic() + 30
    while made != set(objects) and time.monotonic() < end:
        made = set(search._templates)
    assert made == set(objects)


def test_a_search_that_is_gone_prepares_nothing(objects: ObjectSet) -> None:
    search = RotationSearch(SearchConfig(), objects)
    reference = weakref.ref(search)
    del search
    gc.collect()
    _prepare(reference, STEPS)  # as a thread would that has not come to it before
    assert reference() is None
