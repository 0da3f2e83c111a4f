"""The core of a mask is what OpenCV's erosion leaves of it, where there is depth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pose_tracking.pose.fitting.mask_core import core_of

SHAPE = (60, 80)


def eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    for size in (7, 5, 3):
        core = cv2.erode(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
        if core.sum() >= 0.3 * mask.sum():
            return core
    return mask


@pytest.mark.parametrize("seed", range(30))
def test_it_is_the_mask_eroded_as_far_as_enough_is_left(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, np.uint8)
    for _ in range(rng.integers(1, 4)):  # some reach over the edges of the picture, some are thin
        middle, size = rng.integers((0, 0), (80, 60)).tolist(), rng.integers(1, 20, 2).tolist()
        cv2.ellipse(mask, middle, size, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    depth = np.ones(SHAPE, np.float32)
    depth[rng.random(SHAPE) < 0.2] = rng.choice([0.0, -1.0, np.nan, np.inf])
    core, count = core_of(mask > 0, depth, (0, 0))
    np.testing.assert_array_equal(core, eroded(mask > 0) & np.isfinite(depth) & (depth > 0))
    assert count == core.sum()


def test_a_part_of_the_picture_has_the_depth_of_its_place() -> None:
    depth = np.zeros(SHAPE, np.float32)
    depth[30:, 40:] = 1.0
    mask = np.zeros((20, 20), bool)
    mask[4:16, 4:16] = True
    core, count = core_of(mask, depth, (20, 30))
    # Of 12 pixels 8 are within a rim of 2, and the first four of these have no depth.
    assert count == core.sum() == 16
    assert core[10:14, 10:14].all()


def test_of_no_mask_there_is_none() -> None:
    core, count = core_of(np.zeros((5, 5), bool), np.ones((5, 5), np.float32), (0, 0))
    assert (count, core.any()) == (0, False)
