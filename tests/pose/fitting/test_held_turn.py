"""The turn that a frame leaves open stays where it was expected, whatever the fit made of it."""

from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
from block_scenes import _mesh
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.objects.mesh import diameter, save_mesh
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.fitting.ambiguous_turn import OpenTurn
from pose_tracking.pose.fitting.held_turn import held_turn, hold_turn
from pose_tracking.pose.fitting.icp import IcpRefiner
from pose_tracking.pose.fitting.scoring import InstanceView, Verification, Verifier

AXIS, POINT = np.array([0.0, 0.6, 0.8]), np.array([0.02, 0.05, 0.9])
POSE = make_transform(Rotation.from_euler("xyz", [0.3, 1.0, -2.0]).as_matrix(), [0.05, 0.03, 0.92])


def _about_axis(degrees: float) -> np.ndarray:
    turn = Rotation.from_rotvec(np.radians(degrees) * AXIS).as_matrix()
    return make_transform(turn, POINT - turn @ POINT)


def _open(degrees: float) -> OpenTurn:
    return OpenTurn((AXIS, POINT), np.radians(degrees) ** 2, 0.0)


@pytest.mark.parametrize("degrees", [-150.0, -30.0, 8.0, 120.0])
def test_a_turn_about_the_open_axis_is_taken_back_and_nothing_else(degrees: float) -> None:
    aside = make_transform(Rotation.from_rotvec([0.02, 0.0, 0.0]).as_matrix(), [0.002, 0.0, 0.001])
    fitted = _about_axis(degrees) @ aside @ POSE

    held = held_turn(fitted, _open(50), POSE)

    assert held is not None
    np.testing.assert_allclose(held @ np.linalg.inv(fitted) @ np.append(POINT, 1), np.append(POINT, 1), atol=1e-3)
    left = Rotation.from_matrix(held[:3, :3] @ POSE[:3, :3].T).as_rotvec()
    assert abs(left @ AXIS) < np.radians(1.0)
    assert np.linalg.norm(left) == pytest.approx(0.02, abs=0.01)


def test_a_turn_that_the_frame_tells_is_left_alone() -> None:
    fitted = _about_axis(30) @ POSE

    assert held_turn(fitted, _open(5), POSE) is None
    assert held_turn(POSE, _open(50), POSE) is None


class _Fit(Verifier):
    """Says how well a pose fits by its turn against `POSE`: of which the frame is for one."""

    def __init__(self, objects: ObjectSet, best: float, odds: float) -> None:
        super().__init__(PoseConfig().verification, objects)
        self.best, self.odds = best, odds

    def verify(self, view: InstanceView, obj_id: int, pose: np.ndarray, every: object = None) -> Verification:
        turned = np.degrees(Rotation.from_matrix(pose[:3, :3] @ POSE[:3, :3].T).magnitude())
        features = {"occluded_fraction": 0.0, "visible_fraction": 1.0}
        return Verification(0.7 + (self.odds if abs(turned - self.best) < 3 else 0.0), features)


@pytest.fixture(scope="module")
def can(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    """A body of revolution whose turn somebody wants to know."""
    mesh = _mesh([(o3d.geometry.TriangleMesh.create_cylinder(0.04, 0.1, 60, 8), (0.8, 0.2, 0.2))])
    path = tmp_path_factory.mktemp("can") / "can.ply"
    save_mesh(mesh, path)
    low, high = mesh.vertices.min(0).astype(float), mesh.vertices.max(0).astype(float)
    return ObjectSet({1: ObjectModel(1, "can", diameter(mesh.vertices), low, high - low, np.eye(4)[None], path)})


@pytest.mark.parametrize(
    ("best", "odds", "turned"), [(0.0, 0.0, 0.0), (30.0, 0.03, 0.0), (30.0, 0.2, 30.0), (0.0, 0.1, 0.0)]
)
def test_a_track_keeps_its_turn_where_the_shape_slips_unless_the_frame_is_clearly_against_it(
    can: ObjectSet, best: float, odds: float, turned: float
) -> None:
    icp = IcpRefiner(PoseConfig().icp, can)
    surface = icp.surface(1)
    middle = POSE[:3, :3] @ np.array([0.0, 0.0, 1.0])
    turn = Rotation.from_rotvec(np.radians(30) * middle).as_matrix()
    fitted = make_transform(turn @ POSE[:3, :3], POSE[:3, 3] + [0.001, 0.0, 0.002])
    facing = (
        np.einsum("ni,ni->n", surface.normals @ fitted[:3, :3].T, surface.points @ fitted[:3, :3].T + fitted[:3, 3]) < 0
    )
    points = (surface.points @ fitted[:3, :3].T + fitted[:3, 3])[facing]
    camera = CameraIntrinsics(64, 48, 50.0, 50.0, 32.0, 24.0)
    frame = RGBDFrame(np.zeros((48, 64, 3), np.uint8), np.full((48, 64), 0.9, np.float32), camera)
    view = InstanceView(frame, np.ones((48, 64), bool), 48 * 64)

    held, check = hold_turn(_Fit(can, best, odds), icp, view, 1, points, fitted, POSE)

    left = np.degrees(Rotation.from_matrix(held[:3, :3] @ POSE[:3, :3].T).magnitude())
    assert left == pytest.approx(turned, abs=2.0)
    assert check.score == pytest.approx(0.7 + (odds if abs(best - turned) < 3 else 0.0))
    np.testing.assert_allclose(held[:3, 3], fitted[:3, 3], atol=1e-3)
