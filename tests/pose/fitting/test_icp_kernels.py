"""The kernels of ICP beside Open3D's ICP and SciPy's tree."""

from __future__ import annotations

import numpy as np
import pytest
from block_scenes import LAMP, POST, STEPS, moved, random_pose, render, write_objects
from hypothesis import given, settings
from hypothesis import strategies as st
from open3d_icp import refine_by_open3d
from presence import present
from scipy.spatial import cKDTree

from pose_tracking.core.geometry import transform_points
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import IcpConfig
from pose_tracking.pose.fitting.icp import IcpRefiner, object_points
from pose_tracking.pose.fitting.icp_kernels import refine_poses
from pose_tracking.pose.fitting.surface_samples import SampleGrid


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def icp(objects: ObjectSet) -> IcpRefiner:
    return IcpRefiner(IcpConfig(), objects)


def scene_points(objects: ObjectSet, obj_id: int, pose: np.ndarray, seed: int) -> np.ndarray:
    frame, (mask,) = render([(obj_id, pose)], seed=seed)
    return object_points(frame, mask, objects[obj_id].diameter, IcpConfig())


@pytest.mark.parametrize(("final", "facing"), [(False, 0.0), (True, 0.1)])
def test_poses_are_those_of_open3d(objects: ObjectSet, icp: IcpRefiner, final: bool, facing: float) -> None:
    rng = np.random.default_rng(5)
    apart = []
    for seed in range(15):
        obj_id = (STEPS, LAMP)[seed % 2]
        pose = random_pose(rng)
        points = scene_points(objects, obj_id, pose, seed)
        starts = np.array([moved(pose, 12, 0.006, rng) for _ in range(4)])
        found = icp.refine(obj_id, points, starts, final=final, facing=facing)
        shares = icp.config.final_distances if final else icp.config.max_distances
        distances = [max(share * objects[obj_id].diameter, icp.config.min_distance) for share in shares]
        vertices = present(objects[obj_id].mesh).vertices
        for start, own, fitness, rmse in zip(starts, found.poses, found.fitness, found.rmse, strict=True):
            other, other_fitness, other_rmse = refine_by_open3d(icp.surface(obj_id), points, start, distances, facing)
            apart.append(np.abs(transform_points(own, vertices) - transform_points(other, vertices)).max())
            if apart[-1] < 1e-7:
                assert (fitness, rmse) == pytest.approx((other_fitness, other_rmse), abs=1e-7)
    # Where few planes hold an object rounding grows from step to step, in either of the two.
    assert np.quantile(apart, 0.9) < 1e-8
    assert np.mean(np.array(apart) < 1e-5) > 0.95


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), distance=st.floats(0.002, 0.3), spacing=st.floats(1e-4, 0.2))
def test_the_nearest_sample_is_found(seed: int, distance: float, spacing: float) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.05, (int(rng.integers(1, 500)), 3)) * [1, 0.5, rng.choice([0.0, 1.0])]
    points = np.concatenate([rng.normal(0, 0.07, (60, 3)), samples[:5], [[9.0, 0, 0], [0, -9.0, 1e7]]])
    grid = SampleGrid.of(samples, -samples, spacing)  # all face the camera in their midst
    match = grid.nearest(points, np.eye(4), distance)
    expected, _ = cKDTree(samples).query(points, distance_upper_bound=distance)
    found = match >= 0
    np.testing.assert_array_equal(found, np.isfinite(expected))
    np.testing.assert_allclose(np.linalg.norm(points - grid.samples[match], axis=1)[found], expected[found], atol=1e-12)


def test_poses_of_one_call_do_not_know_of_each_other(objects: ObjectSet, icp: IcpRefiner) -> None:
    rng = np.random.default_rng(2)
    pose = random_pose(rng)
    points = scene_points(objects, STEPS, pose, 2)
    starts = np.array([moved(pose, 15, 0.01, rng) for _ in range(5)])
    together = icp.refine(STEPS, points, starts)
    for k in range(5):
        alone = icp.refine(STEPS, points, starts[k : k + 1])
        np.testing.assert_array_equal(together.poses[k], alone.poses[0])
        assert together.fitness[k] == alone.fitness[0]


def test_any_layout_of_the_input_gives_the_same(objects: ObjectSet, icp: IcpRefiner) -> None:
    rng = np.random.default_rng(3)
    pose = random_pose(rng)
    points = scene_points(objects, STEPS, pose, 3).astype(np.float32)
    starts = moved(pose, 5, 0.004, rng)[None]
    expected = icp.refine(STEPS, points.astype(np.float64), starts).poses
    for given_points in (points, np.asfortranarray(points), np.repeat(points, 2, axis=0)[::2], points.tolist()):
        for given_poses in (starts, np.asfortranarray(starts), np.swapaxes(np.swapaxes(starts, 1, 2).copy(), 1, 2)):
            np.testing.assert_array_equal(icp.refine(STEPS, given_points, given_poses).poses, expected)
    before = starts.copy()
    icp.refine(STEPS, points, starts)
    np.testing.assert_array_equal(starts, before)


def test_a_plane_moves_a_pose_along_its_normal_only() -> None:
    """Nothing binds the other directions: there the pose has to stay, where a bare solver leaps."""
    side = np.linspace(-0.05, 0.05, 40)
    samples = np.stack([*(axis.ravel() for axis in np.meshgrid(side, side)), np.zeros(1600)], 1)
    grid = SampleGrid.of(samples, np.tile([0.0, 0.0, -1.0], (1600, 1)), 0.0025)
    points = samples[::7] * 0.5 + [0.003, -0.002, 0.505]
    pose = np.eye(4)
    pose[2, 3] = 0.5
    poses, fitness, rmse = pose[None].copy(), np.zeros(1), np.full(1, np.nan)
    layout = grid.samples, grid.normals, grid.starts, grid.origin, grid.cell, grid.size
    refine_poses(points, poses, *layout, np.array([0.02, 0.01]), 0.0, 20, 12, 1e-5, 8e-6, fitness, rmse)
    pose[2, 3] = 0.505
    np.testing.assert_allclose(poses[0], pose, atol=1e-6)
    assert fitness[0] == 1.0


def test_a_symmetric_object_stays_in_its_turn(objects: ObjectSet, icp: IcpRefiner) -> None:
    pose = random_pose(np.random.default_rng(8))
    found = icp.refine(POST, scene_points(objects, POST, pose, 8), pose[None], final=True).poses[0]
    assert np.degrees(np.arccos(np.clip(found[:3, 2] @ pose[:3, 2], -1, 1))) < 3
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-12)
