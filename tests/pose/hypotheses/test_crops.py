"""Crops: points lie on the mask and the depth, and the crop frame leads back to the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import transform_points
from pose_tracking.pose.config import CropConfig
from pose_tracking.pose.hypotheses.crops import NORMALIZATION, make_crops, square_of, view_rotation

CAMERA = CameraIntrinsics(160, 120, 150.0, 155.0, 80.5, 58.0)
CONFIG = CropConfig(size=48, points=64)


def _scene(seed: int = 0) -> tuple[RGBDFrame, np.ndarray, np.ndarray]:
    """A bumpy wall at 0.6 m with two elliptic instances, one of them cut by the image border."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:120, :160]
    depth = (0.6 + 0.02 * np.sin(rows / 7.0) + 0.02 * np.cos(cols / 9.0)).astype(np.float32)
    color = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    masks = np.stack([((cols - x) / 20.0) ** 2 + ((rows - y) / 14.0) ** 2 < 1 for x, y in ((60, 50), (150, 100))])
    boxes = np.array([[40, 36, 81, 65], [130, 86, 160, 115]], np.float32)
    return RGBDFrame(color, depth, CAMERA), boxes, masks


@pytest.mark.parametrize("view_aligned", [True, False])
@pytest.mark.parametrize("unit", ["diameter", "metre"])
@pytest.mark.parametrize("centred", [True, False])
def test_points_lie_on_mask_and_depth(view_aligned: bool, unit: str, centred: bool) -> None:
    frame, boxes, masks = _scene()
    config = replace(CONFIG, view_aligned=view_aligned, unit=unit, centred=centred)
    crops = make_crops(frame, boxes, masks, [0.2, 0.2], config)
    assert crops.valid.all()
    for i in range(2):
        cols, rows = crops.pixels[i].T
        assert masks[i][rows, cols].all()
        np.testing.assert_allclose(
            crops.camera_points[i], frame.intrinsics.backproject(frame.depth)[rows, cols], atol=1e-6
        )
        back = transform_points(crops.frame[i], crops.points[i] * crops.scale[i])
        np.testing.assert_allclose(back, crops.camera_points[i], atol=1e-6)
        if centred:
            assert np.linalg.norm(np.median(crops.points[i], 0)) < 0.1
        if not view_aligned:
            np.testing.assert_array_equal(crops.frame[i, :3, :3], np.eye(3))


def test_choose_points_at_the_colour_of_the_pixel() -> None:
    frame, boxes, masks = _scene()
    smooth = np.zeros_like(frame.color)
    smooth[..., 0], smooth[..., 1] = np.arange(160), np.arange(120)[:, None]
    config = replace(CONFIG, mask_background=False)
    crops = make_crops(replace(frame, color=smooth), boxes, masks, [0.2, 0.2], config)
    mean, std = NORMALIZATION["lite0"]
    for i in range(2):
        image = crops.image[i] * std[:, None, None] + mean[:, None, None]
        seen = image.reshape(3, -1)[:2, crops.choose[i]].T
        whole = crops.pixels[i][:, 0] < 156  # resizing mixes the last columns with the blank beyond the image
        assert whole.any()
        # A crop pixel covers about one pixel of the frame here.
        assert np.abs(seen - crops.pixels[i])[whole].max() < 1.6


def test_background_and_outside_are_blank() -> None:
    frame, boxes, masks = _scene()
    crops = make_crops(frame, boxes, masks, [0.2, 0.2], CONFIG)
    assert (crops.image[0][:, 0, 0] == 0).all()  # corner of the square, off the ellipse
    plain = make_crops(frame, boxes, masks, [0.2, 0.2], replace(CONFIG, mask_background=False))
    assert (plain.image[0][:, 0, 0] != 0).any()
    assert (plain.image[1][:, :, -1] == 0).all()  # beyond the right border of the image


@settings(max_examples=40, deadline=None)
@given(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.floats(0.2, 3.0))
def test_view_rotation_turns_z_onto_the_ray(x: float, y: float, z: float) -> None:
    centre = np.array([x, y, z])
    rotation = view_rotation(centre)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(rotation[:, 2], centre / np.linalg.norm(centre), atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_poses_go_to_the_crop_and_back(seed: int) -> None:
    frame, boxes, masks = _scene()
    crops = make_crops(frame, boxes, masks, [0.2, 0.3], CONFIG)
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (2, 3, 1, 1))
    poses[..., :3, :3] = np.linalg.qr(rng.normal(size=(2, 3, 3, 3)))[0]
    poses[..., :3, 3] = rng.normal(size=(2, 3, 3))
    inside = crops.from_camera(poses)
    np.testing.assert_allclose(crops.to_camera(inside), poses, atol=1e-9)
    # A point of the object is the same point of the crop, whichever way it goes.
    point = rng.normal(size=3) * 0.05
    in_camera = poses[1, 2, :3, :3] @ point + poses[1, 2, :3, 3]
    in_crop = inside[1, 2, :3, :3] @ (point / crops.scale[1]) + inside[1, 2, :3, 3]
    np.testing.assert_allclose(
        transform_points(crops.frame[1], (in_crop * crops.scale[1])[None])[0], in_camera, atol=1e-9
    )


def test_outliers_are_dropped() -> None:
    frame, boxes, masks = _scene()
    depth = frame.depth.copy()
    depth[45:48, 50:70] = 2.0  # the mask lets some wall far behind in
    crops = make_crops(replace(frame, depth=depth), boxes, masks, [0.2, 0.2], CONFIG)
    assert crops.camera_points[0][:, 2].max() < 0.8
    loose = make_crops(replace(frame, depth=depth), boxes, masks, [0.2, 0.2], replace(CONFIG, gate=10.0))
    assert loose.camera_points[0][:, 2].max() > 1.9


def test_few_points_are_repeated_and_too_few_are_invalid() -> None:
    frame, boxes, masks = _scene()
    depth = np.zeros_like(frame.depth)
    depth[50, 50:80] = 0.6
    crops = make_crops(replace(frame, depth=depth), boxes, masks, [0.2, 0.2], CONFIG)
    assert crops.valid.tolist() == [True, False]
    assert len(np.unique(crops.pixels[0], axis=0)) == 30  # each of them at least once
    assert not crops.points[1].any()
    depth[50, 70:80] = np.nan
    assert not make_crops(replace(frame, depth=depth), boxes, masks, [0.2, 0.2], CONFIG).valid.any()


def test_same_frame_gives_the_same_crop_and_nothing_gives_nothing() -> None:
    frame, boxes, masks = _scene()
    first, second = (make_crops(frame, boxes, masks, [0.2, 0.2], CONFIG) for _ in range(2))
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.image, second.image)
    empty = make_crops(frame, boxes[:0], masks[:0], [], CONFIG)
    assert len(empty) == 0
    assert empty.points.shape == (0, 64, 3)


def test_box_outside_the_image_is_invalid() -> None:
    frame, _, masks = _scene()
    crops = make_crops(frame, np.array([[400.0, 400, 420, 420]]), masks[:1], [0.2], CONFIG)
    assert not crops.valid.any()


def test_square_holds_the_box() -> None:
    left, top, side = square_of(np.array([10.0, 20, 50, 35]), 1.2)
    assert side == 48
    assert left <= 10
    assert left + side >= 50
    assert top + side / 2 == pytest.approx(27.5, abs=1)
