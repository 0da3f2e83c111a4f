"""Probabilities as odds."""

from __future__ import annotations

import math

_CERTAIN = 1e-6  # a probability is not taken for closer to 0 or 1 than this


def log_odds(probability: float) -> float:
    """Natural logarithm of the odds of a probability, 0 to 1; finite."""
    bounded = min(max(probability, _CERTAIN), 1.0 - _CERTAIN)
    return math.log(bounded / (1.0 - bounded))
