"""Stable poses and footprints."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.objects.mesh import Mesh
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.resting import UPRIGHT, resting_directions, stand
from pose_tracking.simulation.placement.shapes import Shape


def test_stable_poses_do_not_tip_over(demo_objects):
    rng = np.random.default_rng(0)
    for model in demo_objects.values():
        shape = Shape.of(MeshRaycaster(model.mesh))
        directions, chances = resting_directions(shape)
        assert chances.sum() == pytest.approx(1)
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
        rest, footprint = stand(shape, rng)
        points = shape.hull @ rest[:3, :3].T + rest[:3, 3]
        assert points[:, 2].min() == pytest.approx(0, abs=1e-9)
        assert np.abs(points[:, :2]).max() <= np.abs(footprint).max() + 0.003


@pytest.mark.parametrize("corners", [3, 4])
def test_a_sheet_without_thickness_lies_flat(corners: int) -> None:
    """As scans of labels and cards are, in any attitude."""
    turn = Rotation.from_rotvec([0.5, -0.3, 0.8]).as_matrix()
    points = np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0.06, 0], [0, 0.06, 0]])[:corners] @ turn.T
    faces = np.array([[0, 1, 2], [0, 2, 3]])[: corners - 2]
    normals = np.tile(turn[:, 2], (corners, 1))
    mesh = Mesh(
        points.astype(np.float32),
        faces.astype(np.int32),
        normals.astype(np.float32),
        np.full((corners, 3), 128, np.uint8),
    )
    shape = Shape.of(MeshRaycaster(mesh))
    directions, _ = resting_directions(shape)
    np.testing.assert_allclose(np.abs(directions @ turn[:, 2]), 1, atol=1e-3)
    rest, footprint = stand(shape, np.random.default_rng(0))
    heights = (points @ rest[:3, :3].T + rest[:3, 3])[:, 2]
    assert heights.min() > 0
    assert heights.max() < 5e-4
    assert np.ptp(footprint @ footprint[0] / np.linalg.norm(footprint[0])) > 0.08


def test_a_mug_stands_upright_or_upside_down_or_lies(demo_objects):
    directions, _ = resting_directions(Shape.of(MeshRaycaster(demo_objects.by_name("mug_blue").mesh)))
    assert any(d[2] < -0.99 for d in directions)
    assert any(abs(d[2]) < 0.2 for d in directions)


def test_what_is_asked_to_stand_upright_does(demo_objects):
    mug = Shape.of(MeshRaycaster(demo_objects.by_name("mug_blue").mesh))
    rng = np.random.default_rng(0)
    rest, _ = stand(mug, rng, down=UPRIGHT)
    np.testing.assert_allclose(rest[2, :3], [0, 0, 1], atol=1e-9)
    upright = [stand(mug, rng, upright=1.0)[0][2, 2] for _ in range(5)]
    assert min(upright) > 0.97
