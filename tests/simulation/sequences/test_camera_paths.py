"""The hand that holds the camera."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.simulation.sequences.camera_paths import HandheldPath
from pose_tracking.simulation.sequences.trajectories import LOOP


@pytest.mark.parametrize("seed", range(3))
def test_the_camera_looks_at_the_table_all_the_time(seed):
    path = HandheldPath.random(np.random.default_rng(seed), 1.0, 1.0)
    for t in np.arange(0, LOOP, 0.7):
        pose = path.pose(t)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        np.testing.assert_allclose(pose, path.pose(t + LOOP), atol=1e-9)
        hit = pose[:3, 3] - pose[:3, 2] * pose[2, 3] / pose[2, 2]
        assert np.linalg.norm(hit) < 0.25
        # The lane frame is that of the picture: its first axis points to the right, its second away.
        right, away = path.towards.T
        assert pose[:2, 0] @ right > 0.9
        assert pose[:2, 2] @ away > 0.5
