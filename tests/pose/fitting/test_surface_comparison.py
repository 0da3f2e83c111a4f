from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_scenes import STEPS, meshes, random_pose, render

from pose_tracking.core.depth_noise import DepthNoise, DepthNoiseConfig
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.pose.config import VerificationConfig
from pose_tracking.pose.fitting.surface_comparison import SurfaceComparison, compare_surface

DIAMETER = 0.15
POSE = random_pose(np.random.default_rng(3))


def compared(frame: RGBDFrame, pose: np.ndarray = POSE, max_rays: int | None = None) -> SurfaceComparison:
    noise = DepthNoise(DepthNoiseConfig())
    raycaster = MeshRaycaster(meshes()[STEPS])
    return compare_surface(VerificationConfig(), noise, raycaster, DIAMETER, frame, pose, max_rays)


def test_every_pixel_agrees_or_says_why_not() -> None:
    """Left of the object something is in front of it, right of it the wall is seen, below nothing is read."""
    frame, (mask,) = render([(STEPS, POSE)])
    rows, cols = np.nonzero(mask)
    depth = frame.depth.copy()
    left, right, low = (np.quantile(x, q) for x, q in ((cols, 0.2), (cols, 0.8), (rows, 0.8)))
    depth[:, : int(left)], depth[:, int(right) :], depth[int(low) :] = 0.4, 1.1, np.nan
    result = compared(replace(frame, depth=depth))
    kinds = np.stack([result.agrees, result.hidden, result.void, result.blind])
    assert (kinds.sum(0) == 1).all()
    assert (result.hidden == ((result.cols < int(left)) & (result.rows < int(low)))).all()
    assert (result.blind == (result.rows >= int(low))).all()
    assert result.void[(result.cols >= int(right)) & (result.rows < int(low))].all()
    assert result.agrees.mean() > 0.4
    x0, y0, x1, y1 = result.box()
    assert x0 >= int(left)
    assert x1 <= int(right)
    assert y1 <= int(low)
    assert y0 == result.rows[result.agrees].min()


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -1.0])
def test_missing_depth_is_missing_however_it_is_written(bad: float) -> None:
    frame, _ = render([(STEPS, POSE)])
    assert compared(replace(frame, depth=np.full_like(frame.depth, bad))).blind.all()


def test_few_rays_are_spread_over_the_object() -> None:
    frame, (mask,) = render([(STEPS, POSE)])
    every, few = compared(frame), compared(frame, max_rays=200)
    assert every.step == 1
    assert len(every.rows) == pytest.approx(mask.sum(), rel=0.02)
    assert few.step > 1
    assert len(few.rows) <= 250
    assert len(few.rows) * few.step**2 == pytest.approx(mask.sum(), rel=0.2)
    np.testing.assert_allclose(few.box(), every.box(), atol=few.step + 1)


def test_an_object_out_of_the_picture_has_no_pixels() -> None:
    frame, _ = render([])
    for translation in ([5.0, 0, 0.7], [0, 0, -0.7]):
        result = compared(frame, make_transform(np.eye(3), translation))
        assert not result.in_picture
        assert len(result.rows) == len(result.behind) == len(result.hits.depth) == 0
    assert compared(frame).in_picture


@pytest.mark.parametrize("shift", [(0.0, 0.0), (-0.25, 0.0), (0.2, 0.2)])
@pytest.mark.parametrize("max_rays", [None, 200])
def test_a_part_of_a_mask_is_cut_out_of_the_whole(shift: tuple[float, float], max_rays: int | None) -> None:
    """Also at the edge of the image."""
    pose = POSE.copy()
    pose[:2, 3] += shift
    frame, _ = render([(STEPS, POSE)])
    result, shape = compared(frame, pose, max_rays), frame.depth.shape
    which = np.arange(len(result.rows)) % 3 > 0
    part, (top, left) = result.painted_part(which, shape)
    whole = np.zeros(shape, bool)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    np.testing.assert_array_equal(whole, result.painted(which, shape))
    assert whole.any()
