"""Appearance memory of a track: its newest features, and the smallest cosine distance to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, Float32

Feature = Float32

_FEWEST = 4  # slots of a store


def normalize(features: NDArray) -> Feature:
    """(..., D) features to unit length; a zero vector stays zero and so is at distance 1 from everything."""
    features = np.asarray(features, np.float32)
    norm = np.sqrt(np.einsum("...i,...i->...", features, features))[..., None]
    has_length = norm > 0
    if has_length.all():
        return np.asarray(features / norm)
    return np.divide(features, norm, out=np.zeros_like(features), where=has_length)


class FeatureStore:
    """Room for the features of many galleries in one array, so that a frame's features are written in one go.

    Args:
        budget: most features of a gallery.
        size: of a feature.

    Attributes:
        features: (slots, budget, size); each gallery has one slot. Exchanged for a larger array where all are taken.
    """

    def __init__(self, budget: int, size: int) -> None:
        self.features: Feature = np.zeros((0, budget, size), np.float32)
        self._free: list[int] = []

    def take_slot(self) -> int:
        """A slot that is nobody else's until it is given back."""
        if not self._free:
            taken = len(self.features)
            grown = np.zeros((max(2 * taken, _FEWEST), *self.features.shape[1:]), np.float32)
            grown[:taken] = self.features
            self.features = grown
            self._free = list(range(len(grown) - 1, taken - 1, -1))
        return self._free.pop()

    def give_back(self, slot: int) -> None:
        """Let others have a slot."""
        self._free.append(slot)


# The stores of one tracker, by budget and size of their features.
Stores = dict[tuple[int, int], FeatureStore]


class Gallery:
    """The `budget` newest unit features of one track, in a ring buffer.

    Args:
        budget: most features.
        stores: of those whose features are written together (`add_each`).

    Attributes:
        budget: most features.
    """

    __slots__ = ("_count", "_slot", "_store", "_stores", "budget")

    def __init__(self, budget: int, stores: Stores | None = None) -> None:
        self.budget = budget
        self._stores: Stores = {} if stores is None else stores
        self._store: FeatureStore | None = None
        self._slot = self._count = 0

    def __del__(self) -> None:
        if self._store is not None:
            self._store.give_back(self._slot)

    def __len__(self) -> int:
        return min(self._count, self.budget)

    def extend(self, other: Gallery) -> None:
        """Keep those of another gallery, too, as if they were newer."""
        for feature in other.features:
            self.add(feature)

    def add(self, feature: NDArray) -> None:
        """Keep one more (D,) feature of unit length (see `normalize`), forgetting the oldest beyond the budget."""
        if self._store is None:
            kind = self.budget, len(feature)
            self._store = self._stores.setdefault(kind, FeatureStore(*kind))
            self._slot = self._store.take_slot()
        self._store.features[self._slot, self._count % self.budget] = feature
        self._count += 1

    @staticmethod
    def add_each(galleries: Sequence[Gallery], features: Feature) -> None:
        """`add` to each of K galleries, at least one, its own of (K, D) features."""
        store = galleries[0]._store
        if store is None or any(one._store is not store for one in galleries):
            for gallery, feature in zip(galleries, features, strict=True):
                gallery.add(feature)
            return
        slots = [one._slot for one in galleries]
        places = [one._count % one.budget for one in galleries]
        store.features[slots, places] = features
        for one in galleries:
            one._count += 1

    @property
    def features(self) -> Feature:
        """(len, D) unit features, in no particular order."""
        if self._store is None:
            return np.zeros((0, 0), np.float32)
        return self._store.features[self._slot, : len(self)]


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
