"""Where a camera is whose pose is not given."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.arrays import Float


@dataclass(frozen=True, eq=False)
class MeasuredCamera:
    """A camera's place as far as its motion was measured from frame to frame: it drifts.

    Attributes:
        pose: (4, 4) ``T_start_camera`` in this frame, optical frames, metres.
        lost: how often its way was lost until now: places before and after cannot be compared.
    """

    pose: Float
    lost: int = 0
