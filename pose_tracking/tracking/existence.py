"""Whether there is such an object as a track follows: what the detector's looks say, as log-odds by Bayes' rule.

A detection adds the log-odds of its pose confidence: that is how surely the frame shows the object in that pose. A look
that misses what is in clear view takes away a constant. The constant is small, since a detector that has missed a view
of an object misses it again in the next frame. A pose recovered where a track was expected adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .config import TrackingConfig

_MOST_CONFIDENT = 1.0 - 1e-6
_ROUNDING = 1e-9  # as many denials as low detections come to 0 but for this


def after_detections(log_odds: Sequence[float], confidences: Sequence[float], config: TrackingConfig) -> list[float]:
    """The log-odds of several after a detection of each.

    Args:
        log_odds: those before.
        confidences: of the poses, 0 to 1. However low, a detection makes up for one denial: it passed all checks.
        config: the weight of a denial, and the most that is believed.
    """
    believed = np.minimum(np.maximum(np.array(confidences, float), 0.5), _MOST_CONFIDENT)
    gains = np.maximum(np.log(believed / (1.0 - believed)), config.denial_evidence)
    after: list[float] = np.minimum(np.array(log_odds, float) + gains, config.most_evidence).tolist()
    return after


def after_denial(log_odds: float, config: TrackingConfig) -> float:
    """The log-odds after a look of the detector that did not find what it should have.

    Args:
        log_odds: those before.
        config: the weight of a denial.
    """
    return log_odds - config.denial_evidence


def is_refuted(log_odds: float) -> bool:
    """Whether it is as likely as not that nothing is there."""
    return log_odds <= _ROUNDING
