"""How well the pose of a track usually fits the depth, so that a pose that slips off its object is noticed.

A pose that slides along a surface, or turns into another one, is still good enough to be believed for one more time,
every time. But it never fits as well as the right one did: the log-odds of its confidence fall and stay low, while
those of right poses hardly change from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pose_tracking.core.odds import log_odds

FORGET = 2.0  # seconds over which the usual fit follows what the view changes
_CERTAIN = 0.002  # confidences nearer to 0 or 1 differ by nothing that means anything


@dataclass(frozen=True)
class FitHistory:
    """The usual fit of one track since its last detection; empty where nothing was fitted since then.

    Attributes:
        usual: mean log-odds of the confidence, the last `FORGET` seconds counting most; NaN where there is none.
        count: fits that it is made of.
        is_doubted: whether the pose has slipped, and has not fitted as usual since.
    """

    usual: float = float("nan")
    count: int = 0
    is_doubted: bool = False

    def after(self, confidence: float, seconds: float) -> FitHistory:
        """With one more fit of some confidence, `seconds` after the last one."""
        fit, count = log_odds(confidence, _CERTAIN), self.count + 1
        if count == 1:
            return FitHistory(fit, count)
        share = max(1 / count, 1 - float(np.exp(-seconds / FORGET)))
        return FitHistory(self.usual + share * (fit - self.usual), count)

    def has_slipped(self, confidence: float, max_fall: float) -> bool:
        """Whether the log-odds of a new fit lie more than `max_fall` below the usual ones.

        Of a pose that is doubted already, half of that: where it ends up it may fit a little better again.
        """
        fall = self.usual - log_odds(confidence, _CERTAIN)
        return bool(self.count and fall > (max_fall / 2 if self.is_doubted else max_fall))

    def doubted(self) -> FitHistory:
        """The pose has slipped; that it fits worse is not to become usual."""
        return replace(self, is_doubted=True)


NO_FITS = FitHistory()
