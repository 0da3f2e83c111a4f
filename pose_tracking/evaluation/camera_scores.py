"""Scores of identities over several cameras: pairs of sightings, and searches from one room in another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sighting import StoredSighting
from pose_tracking.gallery.store import GalleryReader
from pose_tracking.training.appearance.identity_scores import DIFFERENT, tint_difference

from .metrics.retrieval import average_precision

Truth = tuple[int, int] | None  # seed and instance id; None: nothing that is there
# What is searched for, by what else is about.
SEARCHES = {
    "only_one": "the only one of its class",
    "differs_in_color": f"one whose colours differ by {DIFFERENT:.0%} from all its copies",
    "have_copies": "one of several copies",
}
# Colour matrix (3, 3) of what each is made of, as far as it is known.
Tints = Mapping[tuple[int, int], np.ndarray]


@dataclass
class Counts:
    """Pairs of sightings of two cameras, and searches from one room for what is in another.

    Attributes:
        linked, linked_right, same: pairs of overlapping cameras that have one identity, those of them that are one
            thing, and all that are.
        silent, silent_right: the same of cameras apart; these were linked without being asked.
        same_apart, proposed_right: pairs of cameras apart that are one thing, and those of them that are proposed.
        sightings, false: number of sightings, and of those of nothing that is there.
        searches: of each search from another room, by what else is about (`SEARCHES`): whether the first result is the
            very thing, whether it is of its class, and the average precision.
    """

    linked: int = 0
    linked_right: int = 0
    same: int = 0
    silent: int = 0
    silent_right: int = 0
    same_apart: int = 0
    proposed_right: int = 0
    sightings: int = 0
    false: int = 0
    searches: dict[str, list[tuple[bool, bool, float]]] = field(default_factory=lambda: {name: [] for name in SEARCHES})


def count_pairs(
    store: GalleryReader, truth: dict[int, Truth], rooms: Mapping[str, int], counts: Counts, tints: Tints | None = None
) -> None:
    """Compare the identities of a store with who each sighting is of, by number; `rooms` of the cameras by name."""
    sightings = sorted(store.find(Filter()), key=lambda s: s.id)
    identity = {s.id: s.identity for s in sightings}
    proposed = {frozenset((identity[p.a], identity[p.b])) for p in store.proposals()}
    counts.sightings += len(sightings)
    counts.false += sum(truth[s.id] is None for s in sightings)
    for a, b in combinations(sightings, 2):
        if a.camera == b.camera:
            continue
        is_same = truth[a.id] is not None and truth[a.id] == truth[b.id]
        is_linked = a.identity == b.identity
        if rooms[a.camera] == rooms[b.camera]:
            counts.same += is_same
            counts.linked += is_linked
            counts.linked_right += is_linked and is_same
        else:
            counts.same_apart += is_same
            counts.silent += is_linked
            counts.silent_right += is_linked and is_same
            counts.proposed_right += is_same and frozenset((a.identity, b.identity)) in proposed
    _search(store, sightings, truth, rooms, counts, tints or {})


def _search(
    store: GalleryReader,
    sightings: Sequence[StoredSighting],
    truth: dict[int, Truth],
    rooms: Mapping[str, int],
    counts: Counts,
    tints: Tints,
) -> None:
    """Search the first room for what is seen in each other one, by looks alone."""
    first = [s for s in sightings if rooms[s.camera] == 0]
    cameras = tuple(sorted({s.camera for s in first}))
    instances: dict[str, set[Truth]] = defaultdict(set)
    for s in sightings:
        if truth[s.id] is not None:
            instances[s.class_name].add(truth[s.id])
    for s in sightings:
        vectors = store.embeddings([s.id]).get(s.id)
        if s in first or truth[s.id] is None or vectors is None:
            continue
        if not any(truth[other.id] == truth[s.id] for other in first):
            continue
        matches = store.nearest(vectors, Filter(cameras=cameras), len(first))
        right = [truth[m.sighting.id] == truth[s.id] for m in matches]
        kind = _kind_of_search(truth[s.id], instances[s.class_name], tints)
        is_class = any(m.sighting.class_name == s.class_name for m in matches[:1])
        # What has no picture cannot be found: a miss.
        precision = average_precision(right) if any(right) else 0.0
        counts.searches[kind].append((any(right[:1]), is_class, precision))


def _kind_of_search(own: Truth, of_class: Iterable[Truth], tints: Tints) -> str:
    """Which of `SEARCHES` one is for `own` among all of its class."""
    others = [other for other in of_class if other != own]
    if not others:
        return "only_one"
    known = own in tints and all(other in tints for other in others)
    differs = known and all(tint_difference(tints[own], tints[o]) >= DIFFERENT for o in others)  # type: ignore[index]
    return "differs_in_color" if differs else "have_copies"


def scores_of(counts: Counts) -> dict[str, Any]:
    """The figures of counts."""

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    searches = {}
    kinds = {**counts.searches, "differ_in_looks": counts.searches["only_one"] + counts.searches["differs_in_color"]}
    for name, found in kinds.items():
        searches[name] = {
            "searches": len(found),
            "rank_1": share(sum(f[0] for f in found), len(found)),
            "rank_1_class": share(sum(f[1] for f in found), len(found)),
            "map": float(np.mean([f[2] for f in found])) if found else None,
        }
    return {
        "sightings": counts.sightings,
        "false_sightings": counts.false,
        "overlapping": {
            "pairs": counts.same,
            "precision": share(counts.linked_right, counts.linked),
            "recall": share(counts.linked_right, counts.same),
        },
        "apart": {
            "pairs": counts.same_apart,
            "silent": counts.silent,
            "silent_wrong": counts.silent - counts.silent_right,
            "proposed": counts.proposed_right,
        },
        "search": searches,
    }


def format_scores(scores: dict[str, Any]) -> str:
    """The scores as text."""

    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    overlapping, apart = scores["overlapping"], scores["apart"]
    lines = [
        f"{len(scores['seeds'])} worlds, {scores['views']} views, {scores['rooms']} rooms, {scores['frames']} frames "
        f"of each camera: {scores['sightings']} sightings, {scores['false_sightings']} of nothing",
        f"embedding: {scores['embedding']}",
        f"overlapping cameras, {overlapping['pairs']} pairs of one thing: precision {text(overlapping['precision'])}, "
        f"recall {text(overlapping['recall'])}",
        f"cameras apart, {apart['pairs']} pairs of one thing: {apart['silent']} linked without being asked, "
        f"{apart['silent_wrong']} of them wrong; {apart['proposed']} of the pairs proposed",
    ]
    for name, label in {**SEARCHES, "differ_in_looks": "the first two"}.items():
        found = scores["search"][name]
        lines.append(
            f"search by looks across rooms for {label}, {found['searches']} searches: rank-1 {text(found['rank_1'])} "
            f"(right class {text(found['rank_1_class'])}), mAP {text(found['map'])}"
        )
    return "\n".join(lines)
