from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from block_scenes import CAMERA, LAMP, POST, STEPS, moved, random_pose, render, write_objects
from hypothesis import given, settings
from hypothesis import strategies as st
from presence import present

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import rotation_angle, transform_points
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import IcpConfig
from pose_tracking.pose.fitting.icp import IcpRefiner, object_points
from pose_tracking.pose.fitting.surface_samples import ObjectSurface


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def icp(objects: ObjectSet) -> IcpRefiner:
    return IcpRefiner(IcpConfig(), objects)


def scene_points(objects: ObjectSet, obj_id: int, pose: np.ndarray, seed: int = 0) -> np.ndarray:
    frame, (mask,) = render([(obj_id, pose)], seed=seed)
    return object_points(frame, mask, objects[obj_id].diameter, IcpConfig())


def test_icp_recovers_from_20_degrees_and_10_mm(objects: ObjectSet, icp: IcpRefiner) -> None:
    rng = np.random.default_rng(1)
    vertices = present(objects[STEPS].mesh).vertices
    good = []
    for seed in range(12):
        pose = random_pose(rng)
        starts = np.array([moved(pose, 20, 0.01, rng) for _ in range(4)])
        for found in icp.refine(STEPS, scene_points(objects, STEPS, pose, seed), starts).poses:
            error = np.linalg.norm(transform_points(found, vertices) - transform_points(pose, vertices), axis=1).mean()
            good.append(error < 0.1 * objects[STEPS].diameter)
    assert np.mean(good) >= 0.95


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), obj_id=st.sampled_from([STEPS, LAMP]))
def test_a_right_pose_stays_right(objects: ObjectSet, icp: IcpRefiner, seed: int, obj_id: int) -> None:
    pose = random_pose(np.random.default_rng(seed))
    found = icp.refine(obj_id, scene_points(objects, obj_id, pose, seed), pose[None], final=True)
    # Two faces in view leave a slide along their edge to the outline, which ICP does not see.
    assert np.linalg.norm(found.poses[0][:3, 3] - pose[:3, 3]) < 0.01
    assert found.fitness[0] > 0.9
    assert found.rmse[0] < 0.005
    np.testing.assert_allclose(found.poses[0][:3, :3] @ found.poses[0][:3, :3].T, np.eye(3), atol=1e-9)


def test_rows_that_are_not_finite_change_nothing(objects: ObjectSet, icp: IcpRefiner) -> None:
    pose = random_pose(np.random.default_rng(3))
    points = scene_points(objects, STEPS, pose)
    start = moved(pose, 5, 0.004, np.random.default_rng(0))[None]
    holes = np.insert(points, [0, 7, 7], [[np.nan] * 3, [np.inf, 0, 1], [0, 0, np.nan]], axis=0)
    np.testing.assert_allclose(icp.refine(STEPS, holes, start).poses, icp.refine(STEPS, points, start).poses, atol=1e-9)


def test_too_few_points_leave_the_pose_alone(objects: ObjectSet, icp: IcpRefiner) -> None:
    pose = random_pose(np.random.default_rng(4))[None]
    result = icp.refine(STEPS, scene_points(objects, STEPS, pose[0])[:10], pose)
    np.testing.assert_array_equal(result.poses, pose)
    assert result.fitness[0] == 0
    assert np.isnan(result.rmse[0])


def test_points_far_from_the_model_leave_the_pose_alone(objects: ObjectSet, icp: IcpRefiner) -> None:
    pose = random_pose(np.random.default_rng(4))[None]
    result = icp.refine(STEPS, scene_points(objects, STEPS, pose[0]) + 1.0, pose)
    np.testing.assert_allclose(result.poses, pose)
    assert result.fitness[0] == 0


def test_a_pose_that_is_not_finite_is_left_alone(objects: ObjectSet, icp: IcpRefiner) -> None:
    pose = random_pose(np.random.default_rng(4))
    broken = np.stack([np.full((4, 4), np.nan), pose])
    result = icp.refine(STEPS, scene_points(objects, STEPS, pose), broken)
    assert np.isnan(result.poses[0]).all()
    assert result.fitness[1] > 0.9


@pytest.mark.parametrize("reason", ["disabled", "no meshes"])
def test_without_icp_poses_are_handed_back(
    objects: ObjectSet, tmp_path_factory: pytest.TempPathFactory, reason: str
) -> None:
    pose = random_pose(np.random.default_rng(5))
    points = scene_points(objects, STEPS, pose)
    start = moved(pose, 10, 0.005, np.random.default_rng(0))[None]
    if reason == "disabled":
        icp = IcpRefiner(IcpConfig(enabled=False), objects)
    else:
        icp = IcpRefiner(IcpConfig(), write_objects(tmp_path_factory.mktemp("bare"), with_meshes=False))
    result = icp.refine(STEPS, points, start)
    np.testing.assert_array_equal(result.poses, start)
    assert result.fitness[0] == 0


def test_half_of_a_round_surface_faces_the_camera(objects: ObjectSet) -> None:
    surface = ObjectSurface(objects[POST], 4000)
    pose = np.eye(4)
    pose[:3, 3] = [0, 0.0, 100.0]
    pose[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]  # seen from the side, almost in parallel
    side = np.abs(surface.normals[:, 2]) < 0.5
    assert 0.45 < surface.facing(pose)[side].mean() < 0.55


def test_a_side_seen_edge_on_is_left_out(objects: ObjectSet) -> None:
    """Else points of the side that meets it at an edge are taken for its own, and pull the object past the edge."""
    surface = ObjectSurface(objects[STEPS], 4000)
    pose = np.eye(4)
    pose[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    for degrees, seen in ((2, False), (20, True)):
        pose[:3, 3] = 5.0 * np.array([0, np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])
        assert (surface.front(pose, 0.1)[1][:, 2] > 0.9).any() == seen
        np.testing.assert_array_equal(surface.front(pose)[0], surface.points[surface.facing(pose)])


def test_object_points_are_the_measured_surface() -> None:
    pose = random_pose(np.random.default_rng(6))
    frame, (mask,) = render([(STEPS, pose)], noise=0.0)
    points = object_points(frame, mask, 0.16, IcpConfig(), count=100)
    assert points.shape == (100, 3)
    uv = CAMERA.project(points)
    at = np.rint(uv).astype(int)
    np.testing.assert_allclose(uv, at, atol=1e-3)
    assert mask[at[:, 1], at[:, 0]].all()
    np.testing.assert_allclose(points[:, 2], frame.depth[at[:, 1], at[:, 0]], rtol=1e-6)


def test_object_points_leave_out_bad_depth_and_background() -> None:
    depth = np.full((CAMERA.height, CAMERA.width), 0.5, np.float32)
    depth[:, 100] = np.nan
    depth[:, 101] = np.inf
    depth[:, 102] = 0
    depth[:, 103] = -1
    depth[:, 104] = 2.0  # behind the object
    mask = np.zeros(depth.shape, bool)
    mask[100:110, 100:120] = True
    frame = RGBDFrame(np.zeros((*depth.shape, 3), np.uint8), depth, CAMERA)
    points = object_points(frame, mask, 0.1, IcpConfig())
    assert len(points) == 10 * 15
    np.testing.assert_allclose(points[:, 2], 0.5)


def test_object_points_of_an_empty_mask() -> None:
    frame, _ = render([])
    assert object_points(frame, np.zeros(frame.depth.shape, bool), 0.1, IcpConfig()).shape == (0, 3)


def image(path: Path, flags: int) -> np.ndarray:
    return np.asarray(present(cv2.imread(str(path), flags)))


def test_icp_recovers_the_real_cat(data_dir, linemod_objects: ObjectSet) -> None:
    scene = data_dir / "linemod" / "test" / "000006"
    camera = json.loads((scene / "scene_camera.json").read_text())["0"]
    truth = json.loads((scene / "scene_gt.json").read_text())["0"][0]
    depth = image(scene / "depth" / "000000.png", cv2.IMREAD_UNCHANGED) * camera["depth_scale"] / 1000
    mask = image(scene / "mask_visib" / "000000_000000.png", cv2.IMREAD_GRAYSCALE) > 0
    frame = RGBDFrame(
        np.zeros((480, 640, 3), np.uint8),
        depth.astype(np.float32),
        CameraIntrinsics.from_matrix(camera["cam_K"], 640, 480),
    )
    pose = np.eye(4)
    pose[:3, :3] = np.reshape(truth["cam_R_m2c"], (3, 3))
    pose[:3, 3] = np.array(truth["cam_t_m2c"]) / 1000
    icp = IcpRefiner(IcpConfig(), linemod_objects)
    rng = np.random.default_rng(0)
    starts = np.array([moved(pose, 20, 0.01, rng) for _ in range(20)])
    found = icp.refine(6, object_points(frame, mask, linemod_objects[6].diameter, icp.config), starts).poses
    vertices = present(linemod_objects[6].mesh).vertices[::10]
    errors = [
        np.linalg.norm(transform_points(p, vertices) - transform_points(pose, vertices), axis=1).mean() for p in found
    ]
    assert np.mean(np.array(errors) < 0.1 * linemod_objects[6].diameter) >= 0.95
    assert np.median(rotation_angle(found[:, :3, :3] @ pose[:3, :3].T)) < np.radians(5)
