"""Appearance memory of a track: its newest features, and the smallest cosine distance to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Feature = NDArray[np.float32]


def normalize(features: NDArray) -> Feature:
    """(..., D) features to unit length; a zero vector stays zero and so is at distance 1 from everything."""
    features = np.asarray(features, np.float32)
    norm = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.divide(features, norm, out=np.zeros_like(features), where=norm > 0)


class Gallery:
    """The `budget` newest unit features of one track, in a ring buffer."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._features: Feature | None = None
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, self._budget)

    def add(self, feature: NDArray) -> None:
        """Keep one more (D,) feature, forgetting the oldest beyond the budget."""
        feature = normalize(feature)
        if self._features is None:
            self._features = np.zeros((min(8, self._budget), feature.shape[-1]), np.float32)
        if self._count == len(self._features) < self._budget:
            grown = np.zeros((min(2 * self._count, self._budget), feature.shape[-1]), np.float32)
            grown[: self._count] = self._features
            self._features = grown
        self._features[self._count % self._budget] = feature
        self._count += 1

    @property
    def features(self) -> Feature:
        """(len, D) unit features, in no particular order."""
        if self._features is None:
            return np.zeros((0, 0), np.float32)
        return self._features[: len(self)]


def smallest_cosine_distances(galleries: Sequence[Gallery], features: NDArray) -> NDArray[np.float64]:
    """(T, N) smallest cosine distance of each of (N, D) features to each gallery; 1 for an empty gallery."""
    features = normalize(features)
    out = np.ones((len(galleries), len(features)))
    filled = [i for i, gallery in enumerate(galleries) if len(gallery)]
    if not filled or not len(features):
        return out
    # One product over all galleries: with hundreds of tracks the loop would cost more than the arithmetic.
    similarity = np.concatenate([galleries[i].features for i in filled]) @ features.T
    starts = np.cumsum([0] + [len(galleries[i]) for i in filled[:-1]])
    out[filled] = 1.0 - np.maximum.reduceat(similarity, starts, axis=0)
    return np.maximum(out, 0.0)
