"""Appearance memory of a track: its newest features, and the smallest cosine distance to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, Float32

Feature = Float32


def normalize(features: NDArray) -> Feature:
    """(..., D) features to unit length; a zero vector stays zero and so is at distance 1 from everything."""
    features = np.asarray(features, np.float32)
    norm = np.sqrt(np.einsum("...i,...i->...", features, features))[..., None]
    has_length = norm > 0
    if has_length.all():
        return np.asarray(features / norm)
    return np.divide(features, norm, out=np.zeros_like(features), where=has_length)


class Gallery:
    """The `budget` newest unit features of one track, in a ring buffer."""

    __slots__ = ("_budget", "_count", "_features")

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._features: Feature | None = None
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, self._budget)

    def extend(self, other: Gallery) -> None:
        """Keep those of another gallery, too, as if they were newer."""
        for feature in other.features:
            self.add(feature)

    def add(self, feature: NDArray) -> None:
        """Keep one more (D,) feature of unit length (see `normalize`), forgetting the oldest beyond the budget."""
        features = self._features
        if features is None or self._count == len(features) < self._budget:
            features = self._features = self._grown(feature.shape[-1])
        features[self._count % self._budget] = feature
        self._count += 1

    def _grown(self, size: int) -> Feature:
        grown = np.zeros((min(max(2 * self._count, 8), self._budget), size), np.float32)
        if self._features is not None:
            grown[: self._count] = self._features
        return grown

    @property
    def features(self) -> Feature:
        """(len, D) unit features, in no particular order."""
        if self._features is None:
            return np.zeros((0, 0), np.float32)
        return self._features[: len(self)]


def smallest_cosine_distances(galleries: Sequence[Gallery], features: NDArray, wanted: Bool | None = None) -> Float:
    """Smallest cosine distance of each of (N, D) features to each of T galleries.

    Args:
        galleries: T galleries.
        features: (N, D); need not be normalised.
        wanted: (T, N) pairs that matter; the others are not computed. None: all.

    Returns:
        (T, N) distances, 0 to 2; 1 for an empty gallery and for pairs that are not wanted.
    """
    features = normalize(features)
    out = np.ones((len(galleries), len(features)))
    rows = range(len(galleries)) if wanted is None else np.flatnonzero(wanted.any(axis=1)).tolist()
    for row in rows:
        of_gallery = galleries[row].features
        columns = slice(None) if wanted is None else np.flatnonzero(wanted[row])
        if len(of_gallery) and len(features):
            out[row, columns] = 1.0 - (of_gallery @ features[columns].T).max(axis=0)
    return np.maximum(out, 0.0)
