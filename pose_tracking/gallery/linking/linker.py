"""Links sightings into identities.

In this order, each step bound by those before it: what people have decided; parts of one track; one place at one time;
one place one after the other; looks. What two tracks of one camera see at one time, what is apart in the map at one
time, and what could not have got there, are different things. An ambiguous link is not made but proposed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sighting import StoredSighting
from pose_tracking.gallery.store import SAME, Decision, GalleryStore, Proposal

from .clocks import clock_notes
from .config import LinkConfig
from .groups import Groups
from .looks import are_like_copies, distances_between
from .places import (
    Comparison,
    Ends,
    Verdict,
    compare_at_one_time,
    compare_one_after_the_other,
    is_out_of_reach,
    may_be_one_place,
)

PLACE, REST, LOOKS = "place", "rest", "looks"


@dataclass
class LinkReport:
    """What linking has come to.

    Attributes:
        sightings, identities: their numbers.
        links: number of links made, by reason.
        proposals: number of proposals.
        notes: what people should look at, one line each.
    """

    sightings: int = 0
    identities: int = 0
    links: Counter[str] = field(default_factory=Counter)
    proposals: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Pair:
    """Two sightings whose places were compared."""

    a: int
    b: int
    place: Comparison
    reason: str


def link(store: GalleryStore, config: LinkConfig | None = None) -> LinkReport:
    """Link all sightings of a store anew; identities keep their numbers as far as they keep their sightings."""
    config = config or LinkConfig()
    sightings = {s.id: s for s in store.find(Filter())}
    decisions = [d for d in store.decisions() if d.a in sightings and d.b in sightings]
    report = LinkReport(sightings=len(sightings))
    groups = Groups(sorted(sightings))
    proposals: list[Proposal] = []
    _decided(groups, decisions)
    for tracked in _by(sightings.values(), lambda s: s.key):
        for a, b in zip(tracked, tracked[1:], strict=False):
            report.links["track"] += groups.merge(a.id, b.id)
    for alike in _by(sightings.values(), lambda s: s.class_name):
        pairs = _compared(alike, groups, config)
        proposals += _link_places(groups, pairs, config, report)
        proposals += _link_looks(store, groups, alike, config, report)
    identities = _numbered(groups, sightings, store.last_identity)
    kept = _worth_proposing(groups, proposals, config)
    store.link(identities, kept)
    report.identities, report.proposals = len(set(identities.values())), len(kept)
    report.notes = clock_notes(list(sightings.values()))
    return report


def _decided(groups: Groups, decisions: list[Decision]) -> None:
    """What people have decided; of two that contradict each other the later one."""
    for decision in reversed(decisions):
        (groups.merge if decision.kind == SAME else groups.keep_apart)(decision.a, decision.b)


def _by(sightings: Iterable[StoredSighting], key: Callable[[StoredSighting], Any]) -> Iterator[list[StoredSighting]]:
    """Sightings of one key, by their beginning."""
    found: dict[Any, list[StoredSighting]] = defaultdict(list)
    for sighting in sightings:
        found[key(sighting)].append(sighting)
    for _, each in sorted(found.items()):
        yield sorted(each, key=lambda s: (s.start_ns, s.id))


def _compared(alike: list[StoredSighting], groups: Groups, config: LinkConfig) -> list[_Pair]:
    """Compare the places of sightings of one class, by rising start, and keep apart what must be."""
    pairs, ends = [], [Ends.of(sighting) for sighting in alike]
    for i, a in enumerate(alike):
        size, latest = float(a.size.max()), a.end_ns + config.rest_seconds * 1e9
        for j in range(i + 1, len(alike)):
            b = alike[j]
            if b.start_ns > latest:
                break
            if a.key == b.key:
                continue
            if b.start_ns <= a.end_ns:
                if a.camera == b.camera:
                    groups.keep_apart(a.id, b.id)
                    continue
                place, reason = compare_at_one_time(a, b, config), PLACE
                if place is not None and place.verdict is Verdict.APART:
                    groups.keep_apart(a.id, b.id)
            else:
                if is_out_of_reach(ends[i], ends[j], (b.start_ns - a.end_ns) * 1e-9, config):
                    groups.keep_apart(a.id, b.id)
                if not may_be_one_place(ends[i], ends[j], size, config):
                    continue
                place, reason = compare_one_after_the_other(a, b, config), REST
            if place is not None and place.verdict is not Verdict.APART:
                pairs.append(_Pair(a.id, b.id, place, reason))
    return pairs


def _link_places(groups: Groups, pairs: list[_Pair], config: LinkConfig, report: LinkReport) -> list[Proposal]:
    """Merge what is in one place, the surest first; returns what is not sure enough."""
    proposals = []
    partners: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for pair in pairs:
        partners[pair.a].append((pair.b, pair.place.likelihood))
        partners[pair.b].append((pair.a, pair.place.likelihood))

    def is_clear(of: int, to: int, likelihood: float) -> bool:
        """Whether nothing that is known to be another thing than `to` could be `of` as well."""
        rivals = [p for other, p in partners[of] if other != to and groups.are_apart(other, to)]
        return likelihood >= config.clearly * max(rivals, default=0.0)

    # Judged before anything is merged, so that the order of merging decides nothing.
    judged = [
        (pair, pair.place.verdict is Verdict.SAME
         and is_clear(pair.a, pair.b, pair.place.likelihood) and is_clear(pair.b, pair.a, pair.place.likelihood))
        for pair in pairs
    ]  # fmt: skip
    for pair, is_sure in sorted(judged, key=lambda j: (j[0].reason == REST, j[0].place.distance, j[0].a, j[0].b)):
        if groups.root(pair.a) == groups.root(pair.b):
            continue
        if is_sure and groups.merge(pair.a, pair.b):
            report.links[pair.reason] += 1
        else:
            proposals.append(Proposal(pair.a, pair.b, pair.place.likelihood, pair.reason))
    return proposals


def _link_looks(
    store: GalleryStore, groups: Groups, alike: list[StoredSighting], config: LinkConfig, report: LinkReport
) -> list[Proposal]:
    """Merge groups of one class that look alike where no copies are about; returns what could be as well."""
    kind = store.embedding
    members = list(_by(alike, lambda s: groups.root(s.id)))
    if kind is None or len(members) < 2:
        return []
    gate = kind.gate if config.looks_gate is None else config.looks_gate
    vectors = store.embeddings([s.id for s in alike])
    distances = distances_between(
        [np.concatenate(v) if (v := [vectors[s.id] for s in m if s.id in vectors]) else None for m in members]
    )
    heads = [m[0].id for m in members]
    different = np.array([[groups.are_apart(a, b) for b in heads] for a in heads])
    doubtful = are_like_copies(distances <= gate + config.looks_margin, different)
    found = []
    for i, j in zip(*np.nonzero(np.triu(distances <= gate, 1)), strict=True):
        gap = _seconds_between(members[i], members[j])
        if different[i, j] or gap > config.looks_seconds or not _same_size(members[i][0], members[j][0], config):
            continue
        found.append((float(distances[i, j]), heads[i], heads[j], gap > 0 and not (doubtful[i] or doubtful[j])))
    proposals = []
    for distance, a, b, is_sure in sorted(found):
        if groups.root(a) == groups.root(b):
            continue
        if is_sure and groups.merge(a, b):
            report.links[LOOKS] += 1
        else:
            proposals.append(Proposal(a, b, max(0.0, 1 - 0.5 * distance / max(gate, 1e-6)), LOOKS))
    return proposals


def _seconds_between(a: list[StoredSighting], b: list[StoredSighting]) -> float:
    """Shortest time from a sighting of one group to one of the other; 0 where they overlap."""
    return min(max(x.start_ns - y.end_ns, y.start_ns - x.end_ns, 0) * 1e-9 for x in a for y in b)


def _same_size(a: StoredSighting, b: StoredSighting, config: LinkConfig) -> bool:
    first, second = np.sort(a.size), np.sort(b.size)
    return bool((np.abs(first - second) <= config.size_tolerance * np.maximum(first, second)).all())


def _numbered(groups: Groups, sightings: dict[int, StoredSighting], last: int) -> dict[int, int]:
    """A number for each group: that which its oldest sightings had, if no other group has it."""
    taken: set[int] = set()
    out: dict[int, int] = {}
    for members in sorted(sorted(m) for m in groups.all().values()):
        had = [n for m in members if (n := sightings[m].identity) is not None and n not in taken]
        if had:
            number = had[0]
        else:
            last += 1
            number = last
        taken.add(number)
        out |= dict.fromkeys(members, number)
    return out


def _worth_proposing(groups: Groups, proposals: list[Proposal], config: LinkConfig) -> list[Proposal]:
    """The best proposal between each two groups that may still be one, and a few for each group."""
    counts: Counter[int] = Counter()
    seen: set[frozenset[int]] = set()
    kept = []
    for proposal in sorted(proposals, key=lambda p: (-p.score, p.a, p.b)):
        roots = groups.root(proposal.a), groups.root(proposal.b)
        pair = frozenset(roots)
        if len(pair) == 1 or pair in seen or groups.are_apart(proposal.a, proposal.b):
            continue
        seen.add(pair)
        if max(counts[root] for root in roots) < config.proposals:
            counts.update(roots)
            kept.append(proposal)
    return kept
