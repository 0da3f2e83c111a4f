from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from block_scenes import LAMP, POST, STEPS, moved, random_pose, render, write_objects
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from pose_tracking.core.depth_noise import DepthNoise, DepthNoiseConfig
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, nearest_equivalent
from pose_tracking.core.symmetry_axis import UNKNOWN_ANGLE, symmetry_axis
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import CovarianceConfig, IcpConfig
from pose_tracking.pose.fitting.covariance import depth_covariance, hypotheses_covariance, own_readings
from pose_tracking.pose.fitting.icp import IcpRefiner, object_points


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def icp(objects: ObjectSet) -> IcpRefiner:
    return IcpRefiner(IcpConfig(), objects)


def error_of(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(6,) shift and rotation vector, in the optical frame, that turn the estimate into the truth."""
    return np.concatenate(
        [truth[:3, 3] - estimate[:3, 3], Rotation.from_matrix(truth[:3, :3] @ estimate[:3, :3].T).as_rotvec()]
    )


# A sensor without bias, so that what comes of its noise can be looked at alone.
UNBIASED: dict[str, Any] = {"offset": 0.0, "relative": 0.0, "lateral": 0.0, "warp": 0.0}


def covariance_at(
    objects: ObjectSet,
    icp: IcpRefiner,
    obj_id: int,
    pose: np.ndarray,
    points: np.ndarray,
    sigma: float = 0.001,
    bias: dict[str, Any] = UNBIASED,
    **options: float,
) -> np.ndarray:
    model = objects[obj_id]
    arguments: dict[str, Any] = {"visible_px": 4.0 * len(points), "max_distance": 0.02, **options}
    noise = DepthNoise(DepthNoiseConfig(floor=sigma, quadratic=0.0, **bias))
    return depth_covariance(CovarianceConfig(), model, icp.surface(obj_id), points, pose, noise, **arguments)[0]


def view(objects: ObjectSet, obj_id: int, pose: np.ndarray, noise: float = 0.001, seed: int = 0) -> np.ndarray:
    frame, (mask,) = render([(obj_id, pose)], noise=noise, seed=seed)
    return object_points(frame, mask, objects[obj_id].diameter, IcpConfig())


# A corner view: three kinds of faces bind all six directions.
CORNER = make_transform(Rotation.from_euler("xyz", [125, 25, 30], degrees=True).as_matrix(), [0.02, 0.01, 0.6])


@pytest.mark.parametrize("blur", [1.0, 3.0])
@pytest.mark.parametrize("obj_id", [STEPS, LAMP])
def test_normalised_error_is_that_of_six_degrees_of_freedom(
    objects: ObjectSet, icp: IcpRefiner, obj_id: int, blur: float
) -> None:
    """Monte Carlo over poses and noise that is smooth over pixels: e^T C^-1 e averages 6 where C is honest."""
    rng = np.random.default_rng(0)
    diameter, squared = objects[obj_id].diameter, []
    for _ in range(20):
        truth = random_pose(rng, rng.uniform(0.5, 0.9))
        frame, (mask,) = render([(obj_id, truth)], noise=0.0)
        noise = gaussian_filter(rng.normal(size=frame.depth.shape), blur)
        frame = replace(frame, depth=(frame.depth + 0.003 * noise / noise.std()).astype(np.float32))
        points = object_points(frame, mask, diameter, IcpConfig())
        pose = icp.refine(obj_id, points, moved(truth, 5, 0.004, rng)[None]).poses
        pose = icp.refine(obj_id, points, pose, final=True).poses[0]
        covariance = covariance_at(
            objects, icp, obj_id, pose, points, sigma=0.003, visible_px=float(mask.sum()), max_distance=0.01
        )
        error = error_of(pose, truth)
        squared.append(error @ np.linalg.solve(covariance, error))
    assert 6 / 3 < np.mean(squared) < 6 * 3


def biased(
    frame: RGBDFrame, noise: DepthNoiseConfig, rng: np.random.Generator
) -> tuple[RGBDFrame, tuple[float, float]]:
    """A frame of a sensor with a bias drawn from what `noise` says, and by how many pixels its depth is shifted."""
    bend = gaussian_filter(rng.normal(size=frame.depth.shape), 12)
    depth = frame.depth * (1 + noise.relative * rng.normal()) + noise.offset * rng.normal()
    depth = depth + noise.warp * bend / bend.std() + rng.normal(0, 0.0015, depth.shape)
    dx, dy = noise.lateral * frame.intrinsics.fx * rng.normal(size=2)
    camera = frame.intrinsics
    camera = replace(camera, cx=camera.cx + dx, cy=camera.cy + dy)
    return replace(frame, depth=depth.astype(np.float32), intrinsics=camera), (dx, dy)


@pytest.mark.parametrize("obj_id", [STEPS, LAMP])
def test_the_error_of_a_biased_sensor_is_covered(objects: ObjectSet, icp: IcpRefiner, obj_id: int) -> None:
    """The normalised error squared averages 6, and lies within the 95th percentile of its distribution mostly."""
    rng, config = np.random.default_rng(1), DepthNoiseConfig()
    squared, without = [], []
    for _ in range(40):
        truth = random_pose(rng, rng.uniform(0.5, 0.9))
        frame, (mask,) = render([(obj_id, truth)], noise=0.0)
        frame, _ = biased(frame, config, rng)
        points = object_points(frame, mask, objects[obj_id].diameter, IcpConfig())
        pose = icp.refine(obj_id, points, moved(truth, 5, 0.004, rng)[None]).poses
        pose = icp.refine(obj_id, points, pose, final=True).poses[0]
        covariance, systematic = depth_covariance(
            CovarianceConfig(),
            objects[obj_id],
            icp.surface(obj_id),
            points,
            pose,
            DepthNoise(config),
            visible_px=float(mask.sum()),
            max_distance=0.01,
        )
        error = error_of(pose, truth)
        squared.append(error @ np.linalg.solve(covariance, error))
        without.append(error @ np.linalg.solve(covariance - systematic, error))
    assert 3 < np.mean(squared) < 12
    assert 0.85 <= np.mean(np.array(squared) < 12.59) <= 1.0
    assert np.mean(without) > 30  # what the number of points makes of it


def test_each_bias_moves_the_pose_its_own_way(objects: ObjectSet, icp: IcpRefiner) -> None:
    points = view(objects, STEPS, CORNER, noise=0.0005)
    unbiased = covariance_at(objects, icp, STEPS, CORNER, points)

    def added(**bias: float) -> np.ndarray:
        return covariance_at(objects, icp, STEPS, CORNER, points, bias=UNBIASED | bias) - unbiased

    along = CORNER[:3, 3] / np.linalg.norm(CORNER[:3, 3])
    for bias, length in (({"offset": 0.003}, 0.003), ({"relative": 0.005}, 0.005 * CORNER[2, 3])):
        shift = added(**bias)[:3, :3]
        assert along @ shift @ along == pytest.approx(length**2, rel=0.15)
        assert np.trace(shift) < 1.2 * length**2
    shift = added(lateral=0.002)
    np.testing.assert_allclose(np.diag(shift)[:2], (0.002 * CORNER[2, 3]) ** 2, rtol=0.15)
    assert shift[2, 2] < 0.05 * shift[0, 0]
    assert np.sqrt(np.trace(shift[3:, 3:])) < np.radians(0.3)
    assert np.sqrt(np.trace(added(warp=0.002)[3:, 3:])) > np.radians(1.0)


def test_no_number_of_points_averages_a_bias_out(objects: ObjectSet, icp: IcpRefiner) -> None:
    frame, (mask,) = render([(STEPS, CORNER)], noise=0.0005)
    spreads = []
    for count in (150, 4000):
        points = object_points(frame, mask, objects[STEPS].diameter, IcpConfig(), count)
        covariance = covariance_at(objects, icp, STEPS, CORNER, points, bias={}, visible_px=1e6)
        spreads.append(np.sqrt(np.diag(covariance)[:3]))
    np.testing.assert_allclose(spreads[1], spreads[0], rtol=0.15)


def test_filled_holes_and_enlarged_images_count_what_was_read() -> None:
    frame, (mask,) = render([(STEPS, CORNER)])
    count, config = float(mask.sum()), CovarianceConfig(correlation_px=1.0)
    assert own_readings(config, frame, mask, count) == count
    holes = np.random.default_rng(0).random(mask.shape) < 0.8
    readings = np.where(holes, 0, frame.depth).astype(np.float32)
    assert own_readings(config, replace(frame, readings=readings), mask, count) == pytest.approx(0.2 * count, rel=0.1)
    part = replace(frame, readings=readings), mask[20:, 30:], count, (20, 30)
    assert not mask[:20].any()
    assert not mask[:, :30].any()
    assert own_readings(config, *part) == own_readings(config, part[0], mask, count)
    # Where nine neighbours share their error, two of them tell as much.
    assert own_readings(CovarianceConfig(), replace(frame, readings=readings), mask, count) > 0.8 * count
    enlarged = replace(frame, intrinsics=replace(frame.intrinsics, fx=1716.0, fy=1716.0))
    assert own_readings(config, enlarged, mask, count) == pytest.approx(count / 9, rel=0.01)


def test_more_noise_and_fewer_points_mean_less_certainty(objects: ObjectSet, icp: IcpRefiner) -> None:
    quiet = covariance_at(objects, icp, STEPS, CORNER, view(objects, STEPS, CORNER))
    loud = covariance_at(objects, icp, STEPS, CORNER, view(objects, STEPS, CORNER, noise=0.006), sigma=0.006)
    few = covariance_at(objects, icp, STEPS, CORNER, view(objects, STEPS, CORNER)[::8])
    assert (np.diag(loud) > 1.5 * np.diag(quiet)).all()
    assert (np.diag(few) > 1.2 * np.diag(quiet)).all()


@pytest.mark.parametrize("kind", ["depth", "network"])
def test_doubt_grows_the_covariance(objects: ObjectSet, icp: IcpRefiner, kind: str) -> None:
    points = view(objects, STEPS, CORNER)

    def at(confidence: float) -> np.ndarray:
        if kind == "depth":
            return covariance_at(objects, icp, STEPS, CORNER, points, confidence=confidence)
        return hypotheses_covariance(CovarianceConfig(), objects[STEPS], CORNER[None], np.ones(1), confidence)

    traces = [np.trace(at(c)) for c in (1.0, 0.8, 0.4, 0.1, 0.0)]
    assert np.all(np.diff(traces) > 0)
    assert (np.diag(at(0.0)) <= [*[0.25 * objects[STEPS].diameter ** 2] * 3, *[UNKNOWN_ANGLE] * 3]).all()


def test_a_turn_about_the_axis_of_symmetry_is_unknown(objects: ObjectSet, icp: IcpRefiner) -> None:
    pose = make_transform(Rotation.from_euler("xyz", [60, 20, 0], degrees=True).as_matrix(), [0.03, 0.0, 0.6])
    covariance = covariance_at(objects, icp, POST, pose, view(objects, POST, pose))
    axis = pose[:3, 2]
    assert axis @ covariance[3:, 3:] @ axis >= UNKNOWN_ANGLE
    across = np.linalg.svd(axis[None])[2][1:]
    assert (np.einsum("ij,jk,ik->i", across, covariance[3:, 3:], across) < 0.01).all()
    assert np.trace(covariance[:3, :3]) < 0.01**2  # the axis goes through the origin, which therefore stays known


def test_a_flat_view_does_not_bind_the_slide(objects: ObjectSet, icp: IcpRefiner) -> None:
    pose = make_transform(Rotation.from_euler("x", 180, degrees=True).as_matrix() @ np.diag([1.0, -1, -1]), [0, 0, 0.6])
    covariance = covariance_at(objects, icp, LAMP, pose, view(objects, LAMP, pose))
    assert covariance[2, 2] < 0.002**2
    assert covariance[0, 0] > 50 * covariance[2, 2]


def test_an_outline_binds_the_slide_across_the_view_ray(objects: ObjectSet, icp: IcpRefiner) -> None:
    pose = make_transform(Rotation.from_euler("x", 180, degrees=True).as_matrix() @ np.diag([1.0, -1, -1]), [0, 0, 0.6])
    points = view(objects, LAMP, pose)
    free = covariance_at(objects, icp, LAMP, pose, points)
    bound = covariance_at(objects, icp, LAMP, pose, points, outline=0.002)
    assert free[0, 0] > 0.002**2 > 0.8 * bound[0, 0]
    assert bound[2, 2] == pytest.approx(free[2, 2], rel=0.2)


def test_too_few_points_are_ignorance(objects: ObjectSet, icp: IcpRefiner) -> None:
    model = objects[STEPS]
    for points in (np.zeros((0, 3)), view(objects, STEPS, CORNER)[:3], view(objects, STEPS, CORNER) + 1.0):
        covariance = covariance_at(objects, icp, STEPS, CORNER, points)
        np.testing.assert_allclose(np.diag(covariance)[3:], UNKNOWN_ANGLE)
        np.testing.assert_allclose(np.diag(covariance)[:3], (0.5 * model.diameter) ** 2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([STEPS, LAMP, POST]), st.floats(0, 1))
def test_covariances_are_symmetric_and_positive(
    objects: ObjectSet, icp: IcpRefiner, seed: int, obj_id: int, confidence: float
) -> None:
    rng = np.random.default_rng(seed)
    pose = random_pose(rng)
    points = view(objects, obj_id, pose, seed=seed)
    network = np.array([moved(pose, rng.uniform(0, 180), 0.01, rng) for _ in range(4)])
    for covariance in (
        covariance_at(objects, icp, obj_id, pose, points, confidence=confidence),
        hypotheses_covariance(CovarianceConfig(), objects[obj_id], network, rng.random(4), confidence),
    ):
        assert covariance.shape == (6, 6)
        np.testing.assert_array_equal(covariance, covariance.T)
        assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_the_covariance_turns_with_the_camera(objects: ObjectSet, icp: IcpRefiner) -> None:
    """Rotating pose and points about the camera rotates the covariance: it is given in the camera's axes."""
    points = view(objects, STEPS, CORNER)
    turn = make_transform(Rotation.from_euler("z", 70, degrees=True).as_matrix(), [0, 0, 0])
    before = covariance_at(objects, icp, STEPS, CORNER, points)
    after = covariance_at(objects, icp, STEPS, turn @ CORNER, points @ turn[:3, :3].T)
    both = np.kron(np.eye(2), turn[:3, :3])
    np.testing.assert_allclose(after, both @ before @ both.T, atol=1e-9)


def test_hypotheses_that_disagree_mean_uncertainty(objects: ObjectSet) -> None:
    rng = np.random.default_rng(2)
    config, model = CovarianceConfig(), objects[STEPS]
    alike = np.array([CORNER] + [moved(CORNER, 2, 0.001, rng) for _ in range(3)])
    apart = np.array([CORNER] + [moved(CORNER, 60, 0.03, rng) for _ in range(3)])
    certain = hypotheses_covariance(config, model, alike, np.ones(4))
    doubtful = hypotheses_covariance(config, model, apart, np.ones(4))
    assert np.trace(doubtful[3:, 3:]) > 3 * np.trace(certain[3:, 3:])
    unbelieved = hypotheses_covariance(config, model, apart, np.array([1.0, 1e-3, 1e-3, 1e-3]))
    assert np.trace(unbelieved[3:, 3:]) < 1.2 * np.trace(certain[3:, 3:])


def test_symmetric_hypotheses_agree(objects: ObjectSet) -> None:
    model = objects[POST]
    poses = CORNER @ model.symmetries[[0, 9, 18, 30]]
    covariance = hypotheses_covariance(CovarianceConfig(), model, poses, np.ones(4))
    alone = hypotheses_covariance(CovarianceConfig(), model, CORNER[None], np.ones(1))
    np.testing.assert_allclose(covariance, alone, atol=1e-6)
    np.testing.assert_allclose(nearest_equivalent(poses[2], CORNER, model.symmetries), CORNER, atol=1e-9)


def test_symmetry_axis() -> None:
    from pose_tracking.objects import symmetry_transforms

    info = {"symmetries_continuous": [{"axis": [0, 2, 0], "offset": [10, 99, 30]}]}
    axis = symmetry_axis(symmetry_transforms(info))
    assert axis is not None
    np.testing.assert_allclose(np.abs(axis[0]), [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(axis[1][[0, 2]], [0.01, 0.03], atol=1e-9)
    assert symmetry_axis(np.eye(4)[None]) is None
    half = symmetry_transforms({"symmetries_discrete": [[-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]})
    assert symmetry_axis(half) is None
