"""The pose stage of an object set in which some objects have a known shape and others have not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, PoseEstimate

if TYPE_CHECKING:
    from .config import PoseConfig
    from .stage import Checks, OwnStage


class ByGeometry:
    """Hands each instance to the stage that can tell its pose.

    Args:
        shaped: for the objects `known`, such as `PoseEstimator`.
        shapeless: for all others, such as `BoxEstimator`.
        known: ids of the objects whose shape is known.
    """

    def __init__(self, shaped: OwnStage, shapeless: OwnStage, known: frozenset[int]) -> None:
        self._shaped, self._shapeless, self._known = shaped, shapeless, known

    @property
    def config(self) -> PoseConfig:
        """Options of both."""
        return self._shaped.config

    @config.setter
    def config(self, config: PoseConfig) -> None:
        self._shaped.config = self._shapeless.config = config

    @property
    def checks(self) -> Checks | None:
        """Those of the objects whose shape is known."""
        return self._shaped.checks

    @property
    def predictor(self) -> Any:
        """What proposes poses of the objects whose shape is known."""
        return getattr(self._shaped, "predictor", None)

    def reset(self) -> None:
        """Forget what was learned of the frames before, where a stage remembers anything."""
        for stage in (self._shaped, self._shapeless):
            if hasattr(stage, "reset"):
                stage.reset()

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, Float] | None = None
    ) -> list[PoseEstimate | None]:
        """See `PoseStage.estimate`."""
        shaped = np.isin(instances.obj_ids, list(self._known))
        estimates: list[PoseEstimate | None] = [None] * len(instances)
        for stage, own in ((self._shaped, shaped), (self._shapeless, ~shaped)):
            if own.any():
                found = stage.estimate(frame, instances.select(own), predicted)
                for i, estimate in zip(np.flatnonzero(own).tolist(), found, strict=True):
                    estimates[i] = estimate
        return estimates
