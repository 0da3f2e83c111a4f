"""Single pixels without depth are filled where there are many of them, whole surfaces without depth are not."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.depth_holes import sprinkled_share, without_sprinkled_holes
from pose_tracking.core.frame import RGBDFrame


def frame_of(depth: np.ndarray) -> RGBDFrame:
    height, width = depth.shape
    camera = CameraIntrinsics(width, height, 500.0, 500.0, width / 2, height / 2)
    return RGBDFrame(np.zeros((height, width, 3), np.uint8), depth.astype(np.float32), camera)


def step() -> np.ndarray:
    depth = np.full((120, 160), 1.5)
    depth[:, :80] = 0.8
    return depth


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_the_share_of_dropped_readings_is_measured_beside_surfaces_without_depth(share: float) -> None:
    depth = step()
    depth[np.random.default_rng(0).random(depth.shape) < share] = np.nan
    depth[20:100, 30:70] = 0
    assert sprinkled_share(depth.astype(np.float32)) == pytest.approx(share, abs=0.02)


def test_many_single_holes_are_filled_with_readings() -> None:
    depth = step()
    depth[np.random.default_rng(0).random(depth.shape) < 0.8] = 0
    depth[40:80, 20:60] = 0
    before = frame_of(depth)
    after = without_sprinkled_holes(before, 0.45)
    assert after.readings is before.depth
    inner, truth = after.depth[45:75, 25:55], step()
    assert not inner.any()  # a surface without depth stays without
    outside = np.ones(depth.shape, bool)
    outside[36:84, 16:64] = False
    assert (after.depth[outside] > 0).mean() > 0.995
    np.testing.assert_array_equal(after.depth[depth > 0], before.depth[depth > 0])
    assert set(np.unique(after.depth)) <= {np.float32(0), np.float32(0.8), np.float32(1.5)}  # no depth between
    away = outside & (np.abs(np.arange(160) - 79.5) > 4)[None] & (after.depth > 0)
    np.testing.assert_array_equal(after.depth[away], truth.astype(np.float32)[away])


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -1.0])
def test_missing_depth_is_missing_however_it_is_written(bad: float) -> None:
    depth = step()
    depth[np.random.default_rng(0).random(depth.shape) < 0.6] = bad
    filled = without_sprinkled_holes(frame_of(depth), 0.45).depth
    assert (filled > 0).mean() > 0.995
    assert np.isfinite(filled).all()


@pytest.mark.parametrize(("share", "least"), [(0.0, 0.45), (0.4, 0.45), (0.8, 1.0)])
def test_a_frame_with_few_holes_comes_back_as_it_is(share: float, least: float) -> None:
    depth = step()
    depth[np.random.default_rng(0).random(depth.shape) < share] = 0
    depth[:, 100:] = 0
    frame = frame_of(depth)
    assert without_sprinkled_holes(frame, least) is frame


def test_a_frame_without_depth_comes_back_as_it_is() -> None:
    frame = frame_of(np.zeros((20, 20)))
    assert without_sprinkled_holes(frame, 0.45).depth.any() == np.False_
