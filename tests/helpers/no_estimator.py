"""A pose stage for pipelines that are not to ask for a pose."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.pose.config import PoseConfig


class NoEstimator:
    """Fails the test that asks it for a pose."""

    config = PoseConfig()

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, np.ndarray] | None = None
    ) -> list[PoseEstimate | None]:
        raise AssertionError("no pose can be told without depth")
