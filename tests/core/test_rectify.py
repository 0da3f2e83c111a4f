from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import FrameError
from pose_tracking.core.rectify import Rectifier

CAMERA = CameraIntrinsics(320, 240, 250.0, 255.0, 158.0, 121.0, (-0.25, 0.08, 0.002, -0.001, 0.0))
FISHEYE = replace(CAMERA, distortion=(0.05, -0.02, 0.004, 0.0), distortion_model="equidistant")


def distorted_pixels(camera: CameraIntrinsics, points: np.ndarray) -> np.ndarray:
    """Where the real, distorting camera sees (N, 3) points."""
    zero, coefficients = np.zeros(3), np.array(camera.distortion)
    if camera.distortion_model == "equidistant":
        return cv2.fisheye.projectPoints(points[:, None], zero, zero, camera.matrix, coefficients)[0][:, 0]
    return cv2.projectPoints(points, zero, zero, camera.matrix, coefficients)[0][:, 0]


@pytest.mark.parametrize("camera", [CAMERA, FISHEYE])
def test_points_land_where_the_pinhole_model_says(camera):
    points = np.array([[x, y, 1.0] for x in (-0.35, 0.0, 0.3) for y in (-0.25, 0.0, 0.25)])
    color = np.zeros((240, 320, 3), np.uint8)
    depth = np.zeros((240, 320), np.float32)
    for u, v in distorted_pixels(camera, points).round().astype(int):
        cv2.circle(color, (int(u), int(v)), 3, (0, 255, 0), -1)
        cv2.circle(depth, (int(u), int(v)), 3, 1.0, -1)
    rectifier = Rectifier(camera)
    rectified, flat = rectifier.rectify(color, depth)
    assert not rectifier.intrinsics.is_distorted
    pixels = rectifier.intrinsics.project(points).round().astype(int)
    for u, v in pixels:
        assert rectified[v, u, 1] > 200
        assert flat[v, u] == 1.0
    corner = pixels[0]
    assert rectified[tuple(distorted_pixels(camera, points)[0].round().astype(int))[::-1]][1] < 200, corner


def test_depth_is_never_blended():
    depth = np.where(np.arange(320) < 160, 0.5, 2.0)[None].repeat(240, 0).astype(np.float32)
    flat = Rectifier(CAMERA).rectify(np.zeros((240, 320, 3), np.uint8), depth)[1]
    assert set(np.unique(flat)) <= {np.float32(0.0), np.float32(0.5), np.float32(2.0)}


def test_a_camera_without_distortion_costs_nothing():
    color, depth = np.zeros((240, 320, 3), np.uint8), np.zeros((240, 320), np.float32)
    result = Rectifier(CAMERA.without_distortion()).rectify(color, depth)
    assert result[0] is color
    assert result[1] is depth


@pytest.mark.parametrize(("model", "count"), [("plumb_bob", 3), ("equidistant", 2), ("mystery", 5)])
def test_unknown_distortion_is_named(model, count):
    with pytest.raises(FrameError, match=f"{model}.* {count} coefficients") as caught:
        Rectifier(replace(CAMERA, distortion=(0.1,) * count, distortion_model=model))
    assert caught.value.reason == "intrinsics"


def test_images_of_another_size_are_refused():
    with pytest.raises(FrameError, match="320x240.*64x48"):
        Rectifier(CAMERA).rectify(np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.float32))
