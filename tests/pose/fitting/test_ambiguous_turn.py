"""The turn that a frame leaves open: that of a mug whose handle is hidden, and of nothing that its shape holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open3d as o3d
import pytest
from block_scenes import CAMERA, LAMP, POST, STEPS, _mesh, meshes, random_pose, write_objects
from numpy.typing import NDArray
from option_scenes import Known, Masks
from scipy.spatial.transform import Rotation

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, rotation_angle
from pose_tracking.objects import Mesh, ObjectModel, ObjectSet
from pose_tracking.objects.mesh import diameter, save_mesh
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.pose.config import PoseConfig, SearchConfig
from pose_tracking.pose.depth_tracking_config import DepthTrackingConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.fitting.ambiguous_turn import OpenTurn, _variances, ambiguous_turn
from pose_tracking.pose.fitting.depth_tracking import DepthTrackedPose, DepthTracker
from pose_tracking.pose.fitting.icp import IcpPoses, IcpRefiner, object_points
from pose_tracking.pose.fitting.scoring import InstanceView, Verification, Verifier

MUG = 9
RED = (0.8, 0.2, 0.2)


def _mug() -> Mesh:
    handle = o3d.geometry.TriangleMesh.create_box(0.03, 0.012, 0.06).translate((0.035, -0.006, -0.03))
    return _mesh(
        [(o3d.geometry.TriangleMesh.create_cylinder(0.04, 0.1, 60, 8), RED), (handle.subdivide_midpoint(2), RED)]
    )


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    folder = tmp_path_factory.mktemp("objects")
    return ObjectSet(dict(write_objects(folder).items()) | {MUG: _model(folder, _mug())})


def _model(folder: Path, mesh: Mesh) -> ObjectModel:
    path = folder / "mug.ply"
    save_mesh(mesh, path)
    low, high = mesh.vertices.min(0).astype(float), mesh.vertices.max(0).astype(float)
    return ObjectModel(MUG, "mug", diameter(mesh.vertices), low, high - low, np.eye(4)[None], path)


def _seen(mesh: Mesh, pose: NDArray[np.float64], seed: int = 0) -> tuple[RGBDFrame, NDArray[np.bool_]]:
    """A frame of one object before a wall, and its mask."""
    rng, shape = np.random.default_rng(seed), (CAMERA.height, CAMERA.width)
    cols, rows = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
    caster = MeshRaycaster(mesh)
    hits = caster.cast(pose, CAMERA, np.stack([cols.ravel(), rows.ravel()], 1))
    depth = hits.depth.reshape(shape).astype(float)
    mask = depth > 0
    color = np.full((*shape, 3), 110.0)
    color[mask] = (caster.colors(hits) * (0.45 + 0.45 * np.abs(hits.normals[:, 2:]))).reshape(*shape, 3)[mask]
    depth = np.where(mask, depth, 1.1) + rng.normal(0, 0.001, shape)
    return RGBDFrame(np.clip(color, 0, 255).astype(np.uint8), depth.astype(np.float32), CAMERA), mask


def _mug_pose(handle: float) -> NDArray[np.float64]:
    """A mug seen from 25 degrees above, its handle `handle` degrees from the direction away from the camera."""
    upright = Rotation.from_euler("x", -(90 + 25), degrees=True) * Rotation.from_euler("z", handle - 90, degrees=True)
    return make_transform(upright.as_matrix(), [0.02, 0.01, 0.7])


def _open_turn(objects: ObjectSet, obj_id: int, mesh: Mesh, pose: NDArray[np.float64]) -> NDArray[np.float64]:
    config = PoseConfig()
    icp, verifier = IcpRefiner(config.icp, objects), Verifier(config.verification, objects)
    frame, mask = _seen(mesh, pose)
    model, view = objects[obj_id], verifier.view(frame, mask)
    points = object_points(frame, mask, model.diameter, config.icp)
    check = verifier.verify(view, obj_id, pose)
    turn = ambiguous_turn(verifier, view, model, icp.surface(obj_id), points, pose, check, 0.01)
    return np.zeros((6, 6)) if turn is None else turn.covariance(pose)


@pytest.mark.parametrize("handle", [-25, 0, 25])
def test_a_mug_whose_handle_is_hidden_may_be_turned_about_its_axis(objects: ObjectSet, handle: float) -> None:
    pose = _mug_pose(handle)

    covariance = _open_turn(objects, MUG, _mug(), pose)

    axis = pose[:3, 2]
    assert np.degrees(np.sqrt(axis @ covariance[3:, 3:] @ axis)) > 15
    # About the axis of its body: a point there stays where it is, which the origin does not.
    arm = pose[:3, :3] @ np.array([-0.0125, 0, 0])  # the handle moves the middle of the box that far off it
    moved = np.concatenate([np.eye(3), np.cross(np.eye(3), arm).T], axis=1)
    assert np.sqrt(np.linalg.eigvalsh(moved @ covariance @ moved.T)[-1]) < 0.002
    assert np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]) > 0.003


def test_many_frames_leave_what_fits_as_well_and_not_what_fits_worse(objects: ObjectSet) -> None:
    """A can that is alike all round; and the same where each turn is worth a third of the pose's odds."""
    pose, (axis, middle) = _mug_pose(0), (np.array([0.0, 0.0, 1.0]), np.zeros(3))
    sigmas = {}
    for share in (1.0, 0.3):
        verifier = _Sure(objects, pose, share)
        view = InstanceView(None, np.ones((2, 2), bool), 4)  # type: ignore[arg-type]
        variance, lasting, _ = _variances(verifier, view, MUG, pose, (axis, middle), 0.8)
        sigmas[share] = np.degrees(np.sqrt([variance, lasting])).tolist()
        turn = OpenTurn((axis, middle), variance, lasting)
        assert turn.covariance(pose, lasting=True)[5, 5] == pytest.approx(lasting)
        assert turn.covariance(pose)[5, 5] == pytest.approx(variance)

    assert sigmas[1.0][0] == pytest.approx(sigmas[1.0][1])
    assert sigmas[1.0][0] > 40
    assert sigmas[0.3][0] > 30
    assert sigmas[0.3][1] < 8


class _Sure(Verifier):
    """Says of one pose that it fits with odds of 4, and of all others that they do with a share of these."""

    def __init__(self, objects: ObjectSet, pose: NDArray[np.float64], share: float) -> None:
        super().__init__(PoseConfig().verification, objects)
        self.pose, self.odds = pose, 4.0 * share

    def verify(self, view: InstanceView, obj_id: int, pose: NDArray[np.float64], every: object = None) -> Verification:
        return Verification(0.8 if np.allclose(pose, self.pose) else self.odds / (1 + self.odds), {})


def _behind_boards(pose: NDArray[np.float64], seed: int = 0) -> tuple[RGBDFrame, NDArray[np.bool_]]:
    """A frame of a mug of which nearer things hide its lower part and its right one, and the mask of the rest."""
    frame, mask = _seen(_mug(), pose, seed)
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    boards = np.zeros_like(mask)
    boards[:, int(cols[0] + 0.6 * np.ptp(cols)) :] = True
    boards[int(rows[0] + 0.7 * np.ptp(rows)) :] = True
    frame.depth[boards], frame.color[boards] = 0.55, (30, 90, 160)
    return frame, mask & ~boards


@pytest.mark.parametrize("handle", [10, 20])
def test_so_it_may_where_its_bottom_is_hidden_too(objects: ObjectSet, handle: float) -> None:
    # Then its body slides along its axis, too, and the turn is not the only motion that nothing holds.
    config, pose = PoseConfig(), _mug_pose(handle)
    tracker = DepthTracker(
        DepthTrackingConfig(),
        config.covariance,
        IcpRefiner(config.icp, objects),
        Verifier(config.verification, objects),
    )

    found = tracker.track(_behind_boards(pose)[0], MUG, pose, np.diag([1e-5] * 3 + [1e-3] * 3), 0.1)

    assert isinstance(found, DepthTrackedPose), found
    assert np.degrees(np.sqrt(pose[:3, 2] @ found.estimate.noise[3:, 3:] @ pose[:3, 2])) > 30


@pytest.mark.parametrize(("hidden", "is_open"), [(0.6, True), (0.1, False)])
def test_a_few_wrong_points_do_not_hold_what_is_hidden_for_the_most_part(
    objects: ObjectSet, hidden: float, is_open: bool
) -> None:
    config, pose = PoseConfig(), _mug_pose(25)
    icp, verifier = IcpRefiner(config.icp, objects), Verifier(config.verification, objects)
    frame, mask = _seen(_mug(), pose)
    view, surface = verifier.view(frame, mask), icp.surface(MUG)
    points = object_points(frame, mask, objects[MUG].diameter, config.icp)
    # What lies beside the handle, which nobody sees, is taken for its side.
    side = (surface.points[:, 0] > 0.04) & (surface.normals @ pose[:3, :3].T @ pose[:3, 3] < -0.2 * pose[2, 3])
    beside = (surface.points[side] @ pose[:3, :3].T + pose[:3, 3])[: len(points) // 10]
    check = verifier.verify(view, MUG, pose)
    check = replace(check, features=check.features | {"occluded_fraction": hidden, "visible_fraction": 1 - hidden})

    turn = ambiguous_turn(verifier, view, objects[MUG], surface, np.concatenate([points, beside]), pose, check, 0.01)

    assert (turn is not None) == is_open


def test_where_the_frame_fits_clearly_better_turned_it_says_so(objects: ObjectSet) -> None:
    config, pose = PoseConfig(), _mug_pose(-140)
    aside = Rotation.from_euler("z", 40, degrees=True).as_matrix()
    axis = np.array([-0.0125, 0, 0])  # of its body; the origin is the middle of the box around the handle, too
    away = pose @ make_transform(aside, axis - aside @ axis)
    icp, verifier = IcpRefiner(config.icp, objects), Verifier(config.verification, objects)
    frame, mask = _seen(_mug(), pose)
    view, surface = verifier.view(frame, mask), icp.surface(MUG)
    body = object_points(frame, mask, objects[MUG].diameter, config.icp)
    body = body[np.abs(np.linalg.norm(((body - pose[:3, 3]) @ pose[:3, :3] - axis)[:, :2], axis=1) - 0.04) < 0.003]
    check = verifier.verify(view, MUG, away)

    turn = ambiguous_turn(verifier, view, objects[MUG], surface, body, away, check, 0.01)

    assert turn is not None
    assert turn.better is not None
    assert np.degrees(rotation_angle(turn.better[:3, :3].T @ pose[:3, :3])) < 10


@pytest.mark.parametrize("handle", [90, -90, 180])
def test_a_handle_in_view_holds_it(objects: ObjectSet, handle: float) -> None:
    assert not _open_turn(objects, MUG, _mug(), _mug_pose(handle)).any()


@pytest.mark.parametrize("obj_id", [STEPS, LAMP, POST])
def test_what_its_shape_holds_or_a_declared_symmetry_frees_is_left_alone(objects: ObjectSet, obj_id: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(8):
        pose = random_pose(rng)
        covariance = _open_turn(objects, obj_id, meshes()[obj_id], pose)
        assert np.degrees(np.sqrt(np.linalg.eigvalsh(covariance[3:, 3:])[-1])) < 5


def test_a_pose_found_on_the_depth_says_so(objects: ObjectSet) -> None:
    config = PoseConfig()
    icp, verifier = IcpRefiner(config.icp, objects), Verifier(config.verification, objects)
    tracker = DepthTracker(DepthTrackingConfig(), config.covariance, icp, verifier)
    sigmas = []
    for handle in (10.0, 90.0):
        pose = _mug_pose(handle)
        frame, _ = _seen(_mug(), pose)
        found = tracker.track(frame, MUG, pose, np.diag([1e-5] * 3 + [1e-3] * 3), 0.1)
        assert isinstance(found, DepthTrackedPose), found
        axis = pose[:3, 2]
        sigmas.append(np.degrees(np.sqrt(axis @ found.estimate.noise[3:, 3:] @ axis)))
    assert sigmas[0] > 15
    assert sigmas[1] < 5


def test_followed_on_the_depth_it_hardly_wanders(objects: ObjectSet) -> None:
    config, pose = PoseConfig(), _mug_pose(0)
    icp, verifier = IcpRefiner(config.icp, objects), Verifier(config.verification, objects)
    tracker = DepthTracker(DepthTrackingConfig(), config.covariance, icp, verifier)
    predicted, turns = pose, []
    for number in range(25):
        frame, _ = _seen(_mug(), pose, 3 * number)
        found = tracker.track(frame, MUG, predicted, np.diag([1e-5] * 3 + [1e-3] * 3), 0.1)
        assert isinstance(found, DepthTrackedPose), found
        predicted = found.estimate.pose
        turns.append(np.degrees(rotation_angle(pose[:3, :3].T @ predicted[:3, :3])))

    assert max(turns) < 18  # 27 where the fit has the say


@pytest.mark.parametrize("by", ["follow", "estimate"])
def test_where_a_track_expects_it_it_stays_though_the_fit_turns_it(
    objects: ObjectSet, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pose = predicted = _mug_pose(0)
    estimator = PoseEstimator(PoseConfig(search=SearchConfig(enabled=False)), objects, Known(pose))
    refine, slip = (
        estimator.icp.refine,
        make_transform(Rotation.from_euler("z", 9, degrees=True).as_matrix(), np.zeros(3)),
    )

    def slipping(*args: Any, **kwargs: Any) -> IcpPoses:  # as a few points of what hides it make it do
        found = refine(*args, **kwargs)
        return replace(found, poses=found.poses @ slip)

    monkeypatch.setattr(estimator.icp, "refine", slipping)
    for number in range(6):
        frame, mask = _seen(_mug(), pose, number)
        seen = Masks([mask], [MUG]).segment(frame)
        estimator.predictor = Known(predicted)  # the network has nothing to add
        if by == "follow":
            (estimate,) = estimator.follow(frame, seen, [predicted])
        else:
            (estimate,) = estimator.estimate(frame, seen, {MUG: predicted[None]})
        assert estimate is not None
        predicted = estimate.pose

    assert np.degrees(rotation_angle(pose[:3, :3].T @ predicted[:3, :3])) < 12  # 60 where the fit has the say
