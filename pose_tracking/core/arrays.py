"""Array types, and small things done to arrays in many places: valid depth, even subsampling, ROC AUC."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float: TypeAlias = NDArray[np.float64]
Float32: TypeAlias = NDArray[np.float32]
Int: TypeAlias = NDArray[np.int64]
Bool: TypeAlias = NDArray[np.bool_]
UInt8: TypeAlias = NDArray[np.uint8]


def valid_depth(depth: NDArray[np.floating]) -> Bool:
    """Which readings of a depth array, of any shape, in metres, are readings: finite and above zero."""
    return np.asarray(np.isfinite(depth) & (depth > 0))


def even_indices(length: int, count: int) -> Int:
    """(min(length, count),) indices into `length` items, spread evenly and rising; first and last are among them.

    With a `count` of 1 the first item is taken.
    """
    if length <= count:
        return np.arange(length)
    return np.linspace(0, length - 1, count).round().astype(np.int64)


def roc_auc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive's score is above a negative's, ties counting half.

    Args:
        positive, negative: (N,) and (M,) scores.

    Returns:
        0 to 1; NaN where either is empty or holds a NaN.
    """
    from scipy.stats import rankdata  # takes a while to import

    positive, negative = np.asarray(positive, float), np.asarray(negative, float)
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    wins = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(wins / (len(positive) * len(negative)))
