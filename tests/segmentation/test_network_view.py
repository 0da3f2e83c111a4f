"""What of a frame the detector's network sees, for cameras of every kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.segmentation import SegmentationConfig
from pose_tracking.segmentation.depth import depth_channels
from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter, build_mask_rcnn
from pose_tracking.segmentation.network_view import NetworkView, content_of, network_size

CONFIG = SegmentationConfig(
    fpn_channels=16, box_head_size=16, mask_head_channels=(8,), proposals=30, score_threshold=0.0, max_detections=12,
    depth=True,
)  # fmt: skip


def camera(width: int, height: int, fx: float, fy: float | None = None) -> CameraIntrinsics:
    return CameraIntrinsics(width, height, fx, fy or fx, width / 2 - 0.5, height / 2 - 0.5)


def frame(width: int, height: int, fx: float = 572.0, seed: int = 0) -> RGBDFrame:
    rng = np.random.default_rng(seed)
    color = rng.integers(30, 255, (height, width, 3)).astype(np.uint8)
    depth = rng.uniform(0.5, 1.5, (height, width)).astype(np.float32)
    return RGBDFrame(color, depth, camera(width, height, fx))


def bordered(inner: RGBDFrame, left: int, top: int, width: int, height: int, level: int = 0) -> RGBDFrame:
    """`inner` in a larger image that is black, or nearly, and has no depth around it."""
    rows, columns = inner.depth.shape
    color, depth = np.full((height, width, 3), level, np.uint8), np.zeros((height, width), np.float32)
    color[top : top + rows, left : left + columns] = inner.color
    depth[top : top + rows, left : left + columns] = inner.depth
    k = inner.intrinsics
    return RGBDFrame(color, depth, CameraIntrinsics(width, height, k.fx, k.fy, k.cx + left, k.cy + top))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (camera(640, 480, 572), (640, 480)),
        (camera(640, 480, 500), (640, 480)),  # as in training: nothing is resampled
        (camera(640, 480, 655), (640, 480)),
        (camera(320, 240, 286), (640, 480)),  # few pixels
        (camera(160, 120, 143), (480, 360)),  # fewer: no more than 3 times as large
        (camera(1920, 1440, 1716), (640, 480)),  # many pixels
        (camera(1280, 720, 915), (800, 450)),
        (camera(1280, 720, 572), (1280, 720)),  # a wide view keeps its pixels
        (camera(720, 1280, 572), (720, 1280)),  # upright, too
        (camera(2560, 1440, 572), (1280, 720)),  # up to the bound
        (camera(640, 360, 572, 429), (640, 480)),  # pixels that are not square
        (camera(480, 480, 429, 572), (640, 480)),
        (camera(400, 400, 572), (400, 400)),
        (camera(20, 20, 20000), (1, 1)),
    ],
)
def test_the_focal_length_decides_the_size_in_the_network(of: CameraIntrinsics, expected: tuple[int, int]) -> None:
    assert network_size(of.width, of.height, of, CONFIG) == expected


def test_a_bound_and_another_training_are_respected() -> None:
    wide = camera(1280, 720, 572)
    assert network_size(1280, 720, wide, replace(CONFIG, max_width=640)) == (640, 360)
    assert network_size(1280, 720, wide, replace(CONFIG, max_height=360)) == (640, 360)
    assert network_size(1280, 720, wide, replace(CONFIG, focal_length=286)) == (640, 360)
    assert network_size(320, 240, camera(320, 240, 286), replace(CONFIG, focal_length=0)) == (320, 240)


@pytest.mark.parametrize("level", [0, 6])
def test_black_borders_without_depth_are_cut(level: int) -> None:
    inner = frame(200, 150)
    assert content_of(inner) == (0, 0, 200, 150)
    assert content_of(bordered(inner, 70, 40, 400, 300, level)) == (70, 40, 270, 190)
    assert content_of(bordered(inner, 0, 0, 200, 300, level)) == (0, 0, 200, 150)
    # A border with depth, with a colour, or too narrow to matter stays.
    seen = bordered(inner, 70, 40, 400, 300, level)
    seen.depth[:, ::50] = 2.0
    assert content_of(seen)[1::2] == (0, 300)
    assert content_of(bordered(inner, 70, 40, 400, 300, 40)) == (0, 0, 400, 300)
    assert content_of(bordered(inner, 4, 4, 210, 158, level)) == (0, 0, 210, 158)


def test_an_image_with_nothing_in_it_is_left() -> None:
    dark = bordered(frame(16, 16), 0, 0, 100, 80)
    dark.color[:], dark.depth[:] = 0, 0
    assert content_of(dark) == (0, 0, 100, 80)


def test_borders_change_nothing_of_what_the_network_sees() -> None:
    inner = frame(200, 150)
    outer = bordered(inner, 70, 40, 400, 300)
    view, plain = NetworkView.of(outer, CONFIG), NetworkView.of(inner, CONFIG)
    np.testing.assert_array_equal(view.color(outer), inner.color)
    np.testing.assert_allclose(view.depth_channels(outer), depth_channels(inner.depth, inner.intrinsics), atol=1e-6)
    np.testing.assert_array_equal(plain.depth_channels(inner), depth_channels(inner.depth, inner.intrinsics))


def test_boxes_go_to_the_network_and_back() -> None:
    outer = bordered(frame(200, 150, 286.0), 70, 40, 400, 300)
    view = NetworkView.of(outer, CONFIG)
    assert (view.columns, view.rows) == (400, 300)
    boxes = np.array([[70.0, 40.0, 270.0, 190.0], [80.0, 60.0, 90.0, 65.0]])
    there = view.to_network(boxes)
    np.testing.assert_allclose(there, [[0, 0, 400, 300], [20, 40, 40, 50]])
    np.testing.assert_allclose(view.to_frame(there.astype(np.float32)), boxes)


def test_the_camera_of_the_network_sees_the_same_sizes() -> None:
    # The metres that a pixel spans are those of the training camera, whatever the camera.
    spans = []
    for width, height, focal in ((640, 480, 572.0), (320, 240, 286.0), (1280, 960, 1144.0)):
        flat = frame(width, height, focal)
        flat.depth[:] = 1.0
        spans.append(NetworkView.of(flat, CONFIG).depth_channels(flat)[0].mean())
    np.testing.assert_allclose(spans, spans[0], atol=1e-5)


def test_masks_lie_in_the_frame_and_given_boxes_are_mapped_alike() -> None:
    torch.manual_seed(3)
    model = build_mask_rcnn(CONFIG, 3)
    for layer in (model.roi_heads.box_predictor.cls_score, model.roi_heads.mask_predictor.mask_fcn_logits):
        torch.nn.init.normal_(layer.weight, std=0.5)
    segmenter = TorchvisionSegmenter(CONFIG, (2, 5, 7), model)
    outer = bordered(frame(160, 120, 286.0), 70, 40, 300, 240)
    found = segmenter.segment(outer)
    assert len(found) > 0
    assert found.masks.shape == (len(found), 240, 300)
    assert (found.boxes >= np.array([70, 40, 70, 40]) - 1e-3).all()
    assert (found.boxes <= np.array([230, 160, 230, 160]) + 1e-3).all()
    again = segmenter.instances_at(outer, found.boxes, found.obj_ids)
    np.testing.assert_allclose(again.boxes, found.boxes, atol=1e-3)
    np.testing.assert_allclose(again.roi_features, found.roi_features, atol=1e-3)
    assert (again.masks == found.masks).mean() > 0.999
