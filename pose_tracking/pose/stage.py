"""What the pipeline needs of a pose estimator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, PoseEstimate

if TYPE_CHECKING:
    from .config import PoseConfig
    from .fitting.icp import IcpRefiner
    from .fitting.scoring import Verifier
    from .hypotheses.foretold import Foretold


class PoseStage(Protocol):
    """Gives the poses of detected instances: `PoseEstimator`, or a replacement for it.

    Attributes:
        config: options of the stage; may be replaced between two frames. Tracking on the depth goes by them, too.
    """

    config: PoseConfig

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, Float] | None = None
    ) -> list[PoseEstimate | None]:
        """Poses of N instances of a frame, in their order; None where there is none for an instance.

        Args:
            frame: the frame.
            instances: N instances of objects of the set.
            predicted: object ID to (T, 4, 4) poses at which its tracks expect it in this frame: a good place to begin.
        """
        ...


class Foreteller(PoseStage, Protocol):
    """A stage that can say a part of its answer before it is asked for all of it."""

    def foretell(self, frame: RGBDFrame, instances: Instances) -> Foretold | None:
        """What `estimate` would begin with; from any thread. None where that would not be the same."""
        ...

    def estimate(
        self,
        frame: RGBDFrame,
        instances: Instances,
        predicted: Mapping[int, Float] | None = None,
        foretold: Foretold | None = None,
    ) -> list[PoseEstimate | None]:
        """As of `PoseStage`, beginning with what was `foretold`."""
        ...


# What tracking on the depth shares with a stage.
Checks: TypeAlias = "tuple[IcpRefiner, Verifier]"


class OwnStage(PoseStage, Protocol):
    """A stage that a bundle builds.

    Attributes:
        checks: ICP and verification, for tracking on the depth to share; None where the stage has none.
    """

    @property
    def checks(self) -> Checks | None: ...
