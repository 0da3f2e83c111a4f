"""The free part of a plane before a camera."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import transform_points
from pose_tracking.simulation.placement.support import SupportPlane
from pose_tracking.simulation.rendering.planes import intersection, plane_depth

CAMERA = CameraIntrinsics(160, 120, 150.0, 150.0, 79.5, 59.5)
TILTED = np.array([0.0, -np.cos(0.6), -np.sin(0.6), 0.5])
FROM_ABOVE = np.array([0.0, 0.0, -1.0, 0.8])


def support(plane, free=None):
    middle = intersection(plane, np.array([0.0, 0.0, 1.0])) + 0.1 * plane[:3]  # above the plane
    return SupportPlane(plane, middle, np.ones((120, 160), bool) if free is None else free, CAMERA)


@pytest.mark.parametrize("plane", [TILTED, FROM_ABOVE])
def test_the_table_frame_lies_on_the_plane_with_z_up(plane):
    table = support(plane)
    points = np.array([[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]])
    heights = transform_points(table.to_camera, points) @ plane[:3] + plane[3]
    np.testing.assert_allclose(heights, [0, 0, 0, 0.1], atol=1e-12)
    np.testing.assert_allclose(table.rotation @ table.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(table.rotation) == pytest.approx(1)
    np.testing.assert_allclose(table.camera_pose @ table.to_camera, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(transform_points(table.camera_pose, table.origin[None]), 0, atol=1e-12)


@pytest.mark.parametrize("plane", [TILTED, FROM_ABOVE])
def test_free_is_what_the_picture_shows_to_be_free(plane):
    free = np.ones((120, 160), bool)
    free[:, 90:] = False
    table = support(plane, free)
    rays = np.array([[(u - CAMERA.cx) / 150, (v - CAMERA.cy) / 150, 1.0] for u, v in ((60, 70), (100, 70), (-20, 70))])
    seen, taken, outside = transform_points(table.camera_pose, intersection(plane, rays))[:, None, :2]
    assert table.is_free(seen)
    assert not table.is_free(taken)
    assert not table.is_free(outside)
    assert not table.is_free(np.concatenate([seen, outside]))
    assert table.is_free(np.concatenate([seen, seen, outside]), cut_off=True)
    assert not table.is_free(np.concatenate([seen, outside]), cut_off=True)
    assert not table.is_free(np.concatenate([seen, seen, taken]), cut_off=True)


def test_nothing_is_put_behind_the_camera():
    table = support(TILTED)
    behind = table.camera_pose[:2, 3] - 2 * (table.rotation @ [0, 0, 1.0])[:2]
    assert not table.is_free(behind[None])
    assert not table.is_free(behind[None], cut_off=True)


def test_rays_meet_the_plane_at_its_depth():
    depth = plane_depth(TILTED, CAMERA)
    rows, cols = np.array([70, 110]), np.array([20, 150])
    rays = np.stack([(cols - CAMERA.cx) / 150, (rows - CAMERA.cy) / 150, np.ones(2)], 1)
    points = intersection(TILTED, rays)
    np.testing.assert_allclose(points[:, 2], depth[rows, cols], rtol=1e-5)
    np.testing.assert_allclose(points @ TILTED[:3] + TILTED[3], 0, atol=1e-9)
