"""What the detector is shown of a depth image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pose_tracking.core.camera import CameraIntrinsics, camera_of_window
from pose_tracking.segmentation.depth import DEPTH_CHANNELS, depth_channels
from pose_tracking.segmentation.input_kernels import relief_into, split_depth

CAMERA = CameraIntrinsics(320, 240, 290.0, 285.0, 163.0, 118.0)


def plane(normal: NDArray[np.float64], distance: float, camera: CameraIntrinsics = CAMERA) -> NDArray[np.float32]:
    """Depth of the plane normal . X = -distance, whose normal points to the camera."""
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], -1)
    return (-distance / (rays @ normal)).astype(np.float32)


def degrees(channels: NDArray[np.float32], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    cosine = np.tensordot(normal, channels[2:5].astype(float), 1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def unit(*values: float) -> NDArray[np.float64]:
    vector = np.array(values, float)
    return vector / np.linalg.norm(vector)


@settings(deadline=None, max_examples=15)
@given(st.floats(-0.8, 0.8), st.floats(-0.8, 0.8), st.floats(0.3, 3.0))
def test_a_plane_has_one_normal_towards_the_camera(x: float, y: float, distance: float) -> None:
    normal = unit(x, y, -1)
    channels = depth_channels(plane(normal, distance), CAMERA)
    assert degrees(channels, normal).max() < 0.1
    assert (channels[5] == 1).all()


def test_holes_do_not_bend_the_normals_and_stay_zero() -> None:
    normal = unit(0.3, -0.5, -1)
    depth = plane(normal, 0.9)
    rng = np.random.default_rng(0)
    hole = rng.random(depth.shape) < 0.3
    hole[80:140, 100:180] = True
    depth[hole] = 0
    depth[80:140, 100:120] = np.nan
    channels = depth_channels(depth, CAMERA)
    assert not channels[:, hole].any()
    np.testing.assert_array_equal(channels[5], ~hole)
    known = np.abs(channels[2:5]).sum(0) > 0
    assert known[~hole].mean() > 0.95
    # Not exact, as a hole moves the centre of its 2x2 cell.
    assert np.median(degrees(channels, normal)[known]) < 1.0
    assert degrees(channels, normal)[known].max() < 5.0


def test_normals_bear_the_noise_and_the_steps_of_a_sensor() -> None:
    normal = unit(0.2, -0.4, -1)
    camera = CameraIntrinsics(320, 240, 570.0, 570.0, 160.0, 120.0)
    depth = plane(normal, 0.9, camera)
    depth += np.random.default_rng(0).normal(0, 0.0015, depth.shape).astype(np.float32)
    error = degrees(depth_channels(np.round(depth * 1000).astype(np.float32) / np.float32(1000), camera), normal)
    assert np.median(error) < 3.0
    assert np.percentile(error, 95) < 8.0


def test_relief_is_the_step_above_the_surroundings() -> None:
    depth = np.full((240, 320), 1.0, np.float32)
    assert np.abs(depth_channels(depth, CAMERA)[1]).max() < 1e-4
    depth[118:122, 158:162] -= 0.02
    relief = depth_channels(depth, CAMERA)[1]
    assert -0.41 < relief[120, 160] < -0.35
    depth[118:122, 158:162] = 0.5
    assert depth_channels(depth, CAMERA)[1, 120, 160] == -1


def test_no_reading_at_all_gives_zeros() -> None:
    for value in (0.0, np.nan, np.inf, -1.0):
        channels = depth_channels(np.full((33, 47), value, np.float32), CAMERA)
        assert channels.shape == (DEPTH_CHANNELS, 33, 47)
        assert channels.dtype == np.float32
        assert not channels.any()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (63, 41)])
def test_small_and_odd_images_work(width: int, height: int) -> None:
    channels = depth_channels(np.full((height, width), 0.7, np.float32), CAMERA)
    assert channels.shape == (DEPTH_CHANNELS, height, width)
    assert np.isfinite(channels).all()
    assert np.abs(channels).max() <= 1.5


def test_a_magnified_image_shows_the_same_surfaces_with_smaller_pixels() -> None:
    normal = unit(0.3, 0.2, -1)
    depth = plane(normal, 0.8)
    depth[60:150, 80:200] -= 0.03
    large = cv2.resize(depth, (640, 480), interpolation=cv2.INTER_NEAREST)
    camera = camera_of_window(CAMERA, 0, 0, 320, 240, (640, 480))
    small, double = depth_channels(depth, CAMERA), depth_channels(np.asarray(large), camera)[:, ::2, ::2]
    # A pixel spans half as much: log 2 less, in units of the channel's spread.
    np.testing.assert_allclose(small[0] - double[0], np.log(2) / 0.8, atol=1e-4)
    assert np.abs(small[1] - double[1]).mean() < 0.02
    flat = np.s_[170:230, 10:310]
    assert degrees(double, normal)[flat].max() < 1.0
    assert degrees(small, normal)[flat].max() < 0.1


def test_the_camera_of_a_window_sees_the_same_points() -> None:
    window = camera_of_window(CAMERA, 40, 30, 160, 120, (400, 240))
    points = np.array([[0.1, 0.05, 1.0], [-0.2, 0.1, 0.8]])
    before, after = CAMERA.project(points), window.project(points)
    np.testing.assert_allclose((before - (40, 30) + 0.5) * (2.5, 2.0) - 0.5, after)


@pytest.mark.parametrize("side", [1, 5, 47])
def test_relief_is_the_distance_from_the_mean_of_the_square(side: int) -> None:
    rng = np.random.default_rng(side)
    depth = rng.uniform(0.5, 0.6, (31, 43)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = 0
    depth[3, 4], depth[5, 6] = np.nan, np.inf
    z, mask, found = (np.empty_like(depth) for _ in range(3))
    assert split_depth(depth, z, mask)
    known = np.isfinite(depth) & (depth > 0)
    np.testing.assert_array_equal(mask, known)
    half = side // 2
    relief_into(z, mask, half, 20.0, found)
    for row, col in np.ndindex(depth.shape):
        square = np.s_[max(row - half, 0) : row + half + 1, max(col - half, 0) : col + half + 1]
        wanted = np.clip(20 * (depth[row, col] - depth[square][known[square]].mean()), -1, 1) if known[row, col] else 0
        assert found[row, col] == pytest.approx(wanted, abs=1e-5)


def test_channels_go_where_they_are_wanted() -> None:
    depth = np.full((24, 32), 0.8, np.float32)
    depth.flags.writeable = False  # as that of a message may be
    out = np.full((DEPTH_CHANNELS, 24, 32), np.nan, np.float32)
    assert depth_channels(depth, CAMERA, out) is out
    np.testing.assert_array_equal(out, depth_channels(depth, CAMERA))
    assert not depth_channels(np.zeros_like(depth), CAMERA, out).any()
