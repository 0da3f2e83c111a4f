"""What people decide about identities: each decision is kept, and all is linked anew after it.

A caller that cannot wait until all is linked, such as a web page, hands in a `relink` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.store import DIFFERENT, SAME, Decision, GalleryStore, Proposal

from .config import LinkConfig
from .linker import LinkReport, link

Relink = Callable[[GalleryStore, LinkConfig | None], LinkReport]


def confirm(
    store: GalleryStore, a: int, b: int, config: LinkConfig | None = None, by: str = "", relink: Relink = link
) -> LinkReport:
    """Accept the proposal between two identities.

    Raises:
        ConfigError: there is none, or an identity does not exist.
    """
    proposal_between(store, a, b)
    return merge(store, a, b, config, by, relink)


def reject(
    store: GalleryStore, a: int, b: int, config: LinkConfig | None = None, by: str = "", relink: Relink = link
) -> LinkReport:
    """Say that two identities are two things.

    Raises:
        ConfigError: they are one, or one does not exist.
    """
    first, second = _two(store, a, b)
    # Each of one with each of the other: whatever may link them, none of it is to do so.
    store.decide([Decision(DIFFERENT, x, y, by=by) for x, y in product(first, second)])
    return relink(store, config)


def merge(
    store: GalleryStore, a: int, b: int, config: LinkConfig | None = None, by: str = "", relink: Relink = link
) -> LinkReport:
    """Make one identity of two, whatever was decided on them before; it keeps the older number.

    Raises:
        ConfigError: they are one, or one does not exist, or they are of two classes.
    """
    first, second = _two(store, a, b)
    names = [store.find(Filter(identity=number), limit=1)[0].class_name for number in (a, b)]
    if names[0] != names[1]:
        raise ConfigError(f"identity {a} is a {names[0]} and {b} a {names[1]}: one thing is of one class")
    # All of them: evidence against some must not take these out again.
    head, *others = sorted([*first, *second])
    store.decide([Decision(SAME, head, other, by=by) for other in others], _decided_between(store, first, second))
    return relink(store, config)


def split(
    store: GalleryStore,
    identity: int,
    sightings: Sequence[int],
    config: LinkConfig | None = None,
    by: str = "",
    relink: Relink = link,
) -> LinkReport:
    """Take sightings out of an identity; together they are another one from now on.

    Raises:
        ConfigError: the identity does not exist, has no such sighting, or nothing would stay.
    """
    members = _members(store, identity)
    foreign = sorted(set(sightings) - set(members))
    if foreign:
        raise ConfigError(f"identity {identity} has no sighting {foreign[0]}; it has {_listed(members)}")
    out, stay = sorted(set(sightings)), sorted(set(members) - set(sightings))
    if not out or not stay:
        raise ConfigError(f"identity {identity}: name some of its sightings to take out, not all: {_listed(members)}")
    decisions = [Decision(DIFFERENT, a, b, by=by) for a, b in product(out, stay)]
    decisions += [Decision(SAME, out[0], other, by=by) for other in out[1:]]
    store.decide(decisions)
    return relink(store, config)


def proposal_between(store: GalleryStore, a: int, b: int) -> Proposal:
    """The proposal that two identities are one.

    Raises:
        ConfigError: there is none, or an identity does not exist.
    """
    first, second = _two(store, a, b)
    for proposal in store.proposals():
        if {proposal.a, proposal.b} & set(first) and {proposal.a, proposal.b} & set(second):
            return proposal
    raise ConfigError(f"nothing proposes that identities {a} and {b} are one: use merge to make them one all the same")


def _decided_between(store: GalleryStore, first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of the one and the other that there are decisions on."""
    sides = set(first), set(second)
    pairs = [(d.a, d.b) for d in store.decisions()]
    return [(a, b) for a, b in pairs if (a in sides[0] and b in sides[1]) or (a in sides[1] and b in sides[0])]


def _two(store: GalleryStore, a: int, b: int) -> tuple[list[int], list[int]]:
    if a == b:
        raise ConfigError(f"identity {a} twice: name two identities")
    return _members(store, a), _members(store, b)


def _members(store: GalleryStore, identity: int) -> list[int]:
    members = sorted(s.id for s in store.find(Filter(identity=identity)))
    if not members:
        raise ConfigError(f"no identity {identity}: `pose-tracking gallery list` shows them")
    return members


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown + (", ..." if len(numbers) > 8 else "")
