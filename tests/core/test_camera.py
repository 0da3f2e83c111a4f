from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import FrameError

CAMERA = CameraIntrinsics(64, 48, 60.0, 62.0, 31.0, 23.5)


@settings(deadline=None)
@given(st.floats(0.1, 10.0), st.integers(0, 2**31))
def test_back_projection_and_projection_are_inverse(scale: float, seed: int) -> None:
    depth = (scale * np.random.default_rng(seed).uniform(0.5, 2.0, (48, 64))).astype(np.float32)
    points = CAMERA.backproject(depth)
    assert points.shape == (48, 64, 3)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points[..., 2], depth)
    cols, rows = np.meshgrid(np.arange(64), np.arange(48))
    np.testing.assert_allclose(CAMERA.project(points), np.stack([cols, rows], -1), atol=1e-3)


def test_the_principal_point_lies_on_the_axis() -> None:
    np.testing.assert_allclose(CAMERA.project([[0, 0, 2.0]]), [[31.0, 23.5]])


def test_projection_agrees_with_opencv() -> None:
    import cv2

    points = np.random.default_rng(0).uniform([-1, -1, 0.5], [1, 1, 3], (20, 3))
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), CAMERA.matrix, None)[0][:, 0]
    np.testing.assert_allclose(CAMERA.project(points), expected, atol=1e-9)


@pytest.mark.parametrize("z", [0.0, -1.0])
def test_points_behind_the_camera_have_no_pixel(z: float) -> None:
    assert np.isnan(CAMERA.project([[0.1, 0.2, z]])).all()


def test_missing_depth_is_the_origin() -> None:
    assert (CAMERA.backproject(np.zeros((48, 64), np.float32)) == 0).all()


def test_matrix_round_trip() -> None:
    assert CameraIntrinsics.from_matrix(CAMERA.matrix, 64, 48) == CAMERA
    assert CameraIntrinsics.from_matrix(CAMERA.matrix.ravel().tolist(), 64, 48) == CAMERA


def test_distortion() -> None:
    distorted = CameraIntrinsics(64, 48, 60.0, 62.0, 31.0, 23.5, (0.1, -0.2, 0.0, 0.0, 0.0))
    assert distorted.is_distorted
    assert not CameraIntrinsics(64, 48, 60.0, 62.0, 31.0, 23.5, (0.0,) * 5).is_distorted
    assert distorted.without_distortion() == CAMERA


@pytest.mark.parametrize(
    ("fx", "fy", "cx"),
    [(0.0, 60.0, 31.0), (60.0, 0.0, 31.0), (-60.0, 60.0, 31.0), (np.nan, 60.0, 31.0), (60, 60, np.inf)],
)
def test_useless_intrinsics_are_refused(fx: float, fy: float, cx: float) -> None:
    with pytest.raises(FrameError, match="camera_info") as caught:
        CameraIntrinsics(64, 48, fx, fy, cx, 23.5)
    assert caught.value.reason == "intrinsics"


@pytest.mark.parametrize(("width", "height"), [(0, 48), (64, 0), (-1, 48)])
def test_an_empty_image_is_refused(width: int, height: int) -> None:
    with pytest.raises(FrameError, match=f"{width}x{height}"):
        CameraIntrinsics(width, height, 60.0, 60.0, 31.0, 23.5)


def test_single_pixels_are_back_projected_as_whole_images_are() -> None:
    depth = np.random.default_rng(0).uniform(0.3, 2.0, (CAMERA.height, CAMERA.width)).astype(np.float32)
    rows, cols = np.array([0, 7, CAMERA.height - 1]), np.array([3, 0, CAMERA.width - 1])
    points = CAMERA.backproject_pixels(rows, cols, depth[rows, cols].astype(np.float64))
    np.testing.assert_allclose(points, CAMERA.backproject(depth)[rows, cols], rtol=1e-5, atol=1e-7)
    assert np.isnan(CAMERA.backproject_pixels(rows, cols, np.full(3, np.nan))).all()


def test_density_is_that_of_things_in_the_image() -> None:
    assert CameraIntrinsics(640, 480, 570.0, 610.0, 319.5, 239.5).density == 1
    assert CameraIntrinsics(320, 240, 286.0, 286.0, 159.5, 119.5).density == pytest.approx(0.25)
    assert CameraIntrinsics(640, 240, 572.0, 286.0, 319.5, 119.5).density == pytest.approx(0.5)
    assert CameraIntrinsics(1920, 1440, 1716.0, 1716.0, 959.5, 719.5).density == pytest.approx(9)
