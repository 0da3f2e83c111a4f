"""Re-identification by a person: which other identities look like one, within cameras, an area and a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose_tracking.core.arrays import Float32, even_indices
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sighting import StoredSighting
from pose_tracking.gallery.store import DIFFERENT, GalleryReader

MOST_CROPS = 6  # of the identity that are asked with: each is one search
MOST_FOUND = 512  # sightings that are looked at before those of the identity itself are left out


@dataclass(frozen=True, eq=False)
class Candidate:
    """Another identity that may be the same thing.

    Attributes:
        sighting: that of it which looks most alike.
        distance: cosine distance, 0 to 2.
        score: 1 for the same looks, 0.5 at the gate of the embedding; no probability.
        count: how many of its sightings are among those found.
        is_rejected: whether a person has said that it is another thing.
        note: what speaks against it, for people; mostly empty.
    """

    sighting: StoredSighting
    distance: float
    score: float
    count: int
    is_rejected: bool
    note: str


def score_of(distance: float, gate: float) -> float:
    """The score of a cosine distance, as linking has it: 1 for the same looks, 0.5 at the gate, not below 0."""
    return max(0.0, 1.0 - 0.5 * distance / max(gate, 1e-6))


def candidates(
    store: GalleryReader, members: Sequence[StoredSighting], where: Filter, limit: int = 24
) -> list[Candidate]:
    """Identities that look like some sightings, most alike first, those that were rejected last.

    Args:
        store: where to look.
        members: the sightings of one identity.
        where: cameras, area and time; the class is that of the members.
        limit: most results.

    Raises:
        StoreError: the store cannot be read.
    """
    kind, looks = store.embedding, _looks(store, members)
    if kind is None or not len(looks):
        return []
    own = members[0].identity
    asked = replace(where, classes=(members[0].class_name,))
    found = store.nearest(looks, asked, min(MOST_FOUND, 4 * limit + len(members)))
    best: dict[int | None, list[tuple[float, StoredSighting]]] = {}
    for match in found:
        if match.sighting.identity != own:
            best.setdefault(match.sighting.identity, []).append((match.distance, match.sighting))
    rejected = _rejected(store, members)
    out = [
        Candidate(
            each[0][1], each[0][0], score_of(each[0][0], kind.gate), len(each), identity in rejected,
            _against(members, [s for _, s in each]),
        )
        for identity, each in best.items()
        if identity is not None
    ]  # fmt: skip
    return sorted(out, key=lambda c: (c.is_rejected, c.distance))[:limit]


def _looks(store: GalleryReader, members: Sequence[StoredSighting]) -> Float32:
    """(Q, D): the best crops of sightings spread over the identity."""
    chosen = [members[i].id for i in even_indices(len(members), MOST_CROPS)]
    of = [vectors for _, vectors in sorted(store.embeddings(chosen).items())]
    if not of:
        return np.zeros((0, 1), np.float32)
    each = max(1, MOST_CROPS // len(of))
    return np.concatenate([vectors[:each] for vectors in of])


def _rejected(store: GalleryReader, members: Iterable[StoredSighting]) -> set[int | None]:
    """Identities that people have said to be other things."""
    own = {s.id for s in members}
    others = {
        d.b if d.a in own else d.a for d in store.decisions() if d.kind == DIFFERENT and (d.a in own) != (d.b in own)
    }
    return {s.identity for s in store.find(Filter(ids=tuple(others)))} if others else set()


def _against(members: Sequence[StoredSighting], found: Sequence[StoredSighting]) -> str:
    for a in found:
        for b in members:
            if a.camera == b.camera and a.key != b.key and a.start_ns <= b.end_ns and b.start_ns <= a.end_ns:
                return f"both seen by {a.camera} at one time"
    return ""
