"""How good a ranking is in which some results are right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def average_precision(right: Sequence[bool]) -> float:
    """Mean, over the right results, of the share of right ones from the first result up to it; NaN where none is.

    As for person re-identification (Zheng et al., Scalable Person Re-identification, ICCV 2015), all right results
    being in the ranking.

    Args:
        right: whether each result is, best first.
    """
    ranks = np.flatnonzero(right) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else float("nan")
