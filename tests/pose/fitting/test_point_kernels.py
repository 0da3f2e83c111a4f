"""The measured points of an instance, beside the same in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.arrays import valid_depth
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.pose.config import IcpConfig
from pose_tracking.pose.fitting.icp import object_points

CAMERA = CameraIntrinsics.of_view(64, 48, 60.0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.0, 0.002, 0.4])
def test_points_are_those_of_the_mask_near_their_median(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.normal(1.0, 0.05, (48, 64)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.2] = rng.choice([0, -1, np.nan, np.inf])
    mask = rng.random(depth.shape) < share
    depth.flags.writeable = mask.flags.writeable = False  # as those of a message may be
    frame = RGBDFrame(np.zeros((48, 64, 3), np.uint8), depth, CAMERA)
    rows, cols = np.nonzero(mask & valid_depth(depth))
    wanted = CAMERA.backproject_pixels(rows, cols, depth[rows, cols].astype(float))
    if len(wanted):
        near = np.linalg.norm(wanted - np.median(wanted, axis=0), axis=1) < IcpConfig().cut_radius * 0.3
        assert not len(wanted) > 50 or 0 < near.sum() < len(near)
        wanted = wanted[near]
    found = object_points(frame, mask, 0.3, IcpConfig(), count=10_000)
    np.testing.assert_array_equal(found, wanted.reshape(-1, 3))
