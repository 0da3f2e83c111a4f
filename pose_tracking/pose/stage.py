"""What the pipeline needs of a pose estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, PoseEstimate

if TYPE_CHECKING:
    from .config import PoseConfig


class PoseStage(Protocol):
    """Gives the poses of detected instances: `PoseEstimator`, or a replacement for it.

    Attributes:
        config: options of the stage; may be replaced between two frames. Tracking on the depth goes by them, too.
    """

    config: PoseConfig

    def estimate(self, frame: RGBDFrame, instances: Instances) -> list[PoseEstimate | None]:
        """Poses of N instances of a frame, in their order; None where there is none for an instance."""
        ...
