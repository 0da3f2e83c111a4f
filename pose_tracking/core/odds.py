"""Probabilities as odds."""

from __future__ import annotations

import math


def log_odds(probability: float, certain: float = 1e-6) -> float:
    """Natural logarithm of the odds of a probability, 0 to 1, that is not taken for closer to either than `certain`."""
    bounded = min(max(probability, certain), 1.0 - certain)
    return math.log(bounded / (1.0 - bounded))
