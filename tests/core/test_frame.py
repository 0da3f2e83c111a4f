from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import FrameError
from pose_tracking.core.frame import USUAL_VIEW, RGBDFrame

CAMERA = CameraIntrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
GOOD = RGBDFrame(np.zeros((48, 64, 3), np.uint8), np.full((48, 64), 0.8, np.float32), CAMERA, 1_500_000_000)


def small(width: int, height: int) -> dict:
    """What makes a frame of it that is good but for its size."""
    return {
        "color": np.zeros((height, width, 3), np.uint8),
        "depth": np.full((height, width), 0.8, np.float32),
        "intrinsics": replace(CAMERA, width=width, height=height),
    }


def test_a_good_frame_passes() -> None:
    GOOD.check()
    assert GOOD.stamp == pytest.approx(1.5)


def test_a_frame_with_holes_passes() -> None:
    depth = GOOD.depth.copy()
    depth[:, :40] = np.nan
    depth[:20] = 0
    depth[20:24] = np.inf
    replace(GOOD, depth=depth).check()


@pytest.mark.parametrize("centre", [(-200.0, 24.0), (32.0, 300.0)])
def test_a_crop_beside_the_optical_axis_passes(centre: tuple[float, float]) -> None:
    replace(GOOD, intrinsics=replace(CAMERA, cx=centre[0], cy=centre[1])).check()


@pytest.mark.parametrize("first", [(0, 1), (1, 0), (1, 1), (3, 2)])
def test_depth_on_some_pixels_only_passes(first: tuple[int, int]) -> None:
    depth = np.zeros_like(GOOD.depth)
    part = np.s_[first[0] :: 4, first[1] :: 4]
    depth[part] = 0.8
    replace(GOOD, depth=depth).check()
    depth[part] = 800.0
    with pytest.raises(FrameError) as caught:
        replace(GOOD, depth=depth).check()
    assert caught.value.reason == "depth_unit"


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"color": np.zeros((48, 64), np.uint8)}, "color_format", ["uint8", "(48, 64)"]),
        ({"color": np.zeros((48, 64, 4), np.uint8)}, "color_format", ["(48, 64, 4)", "RGB"]),
        ({"color": np.zeros((48, 64, 3), np.float32)}, "color_format", ["float32"]),
        ({"depth": np.ones((48, 64))}, "depth_format", ["float64", "metres"]),
        ({"depth": np.ones((48, 64), np.uint16)}, "depth_format", ["uint16"]),
        ({"depth": np.ones((48, 64, 1), np.float32)}, "depth_format", ["(48, 64, 1)"]),
        ({"depth": np.ones((24, 32), np.float32)}, "size_mismatch", ["64x48", "32x24", "align_depth"]),
        ({"intrinsics": replace(CAMERA, width=128, height=96)}, "intrinsics", ["128x96", "64x48"]),
        (small(1, 1), "image_size", ["1x1", "16x16"]),
        (small(64, 15), "image_size", ["64x15", "16x16"]),
        ({"intrinsics": replace(CAMERA, fx=1e12)}, "intrinsics", ["fx=1e+12", "64x48"]),
        ({"intrinsics": replace(CAMERA, fy=1e-3)}, "intrinsics", ["fy=0.001", "64x48"]),
        ({"intrinsics": replace(CAMERA, cx=1e12)}, "intrinsics", ["cx=1e+12", "64x48"]),
        ({"intrinsics": replace(CAMERA, cy=-1e300)}, "intrinsics", ["cy=-1e+300", "64x48"]),
        ({"depth": np.zeros((48, 64), np.float32)}, "depth_empty", ["no valid reading"]),
        ({"depth": np.full((48, 64), np.nan, np.float32)}, "depth_empty", ["no valid reading"]),
        ({"depth": np.full((48, 64), -1.0, np.float32)}, "depth_empty", ["no valid reading"]),
        ({"depth": np.full((48, 64), 800.0, np.float32)}, "depth_unit", ["800 m", "millimetres", "16UC1"]),
    ],
)
def test_a_bad_frame_is_refused_with_its_reason(change: dict, reason: str, words: list[str]) -> None:
    with pytest.raises(FrameError) as caught:
        replace(GOOD, **change).check()
    assert caught.value.reason == reason
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_frame_of_a_colour_camera_is_usable_without_depth() -> None:
    frame = RGBDFrame.of_color(GOOD.color, 5)
    frame.check()
    assert not frame.has_depth
    assert frame.depth.shape == GOOD.color.shape[:2]
    assert not frame.depth.any()
    assert frame.intrinsics.width == GOOD.color.shape[1]
    # The longer side, 64 px, is seen under the usual angle.
    assert 2 * np.degrees(np.arctan(32 / frame.intrinsics.fx)) == pytest.approx(USUAL_VIEW)
    assert RGBDFrame.of_color(GOOD.color, 5, CAMERA).intrinsics == CAMERA


def test_a_frame_without_depth_is_checked_for_the_rest() -> None:
    with pytest.raises(FrameError, match="float32"):
        RGBDFrame.of_color(np.zeros((48, 64, 3), np.float32)).check()
    with pytest.raises(FrameError, match="not between 0 and 180"):
        CameraIntrinsics.of_view(64, 48, 180.0)
