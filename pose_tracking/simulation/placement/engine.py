"""The loop behind every layout: things are put down one after the other, each at its first candidate that is free.

What differs between layouts is where they look for a place (`candidates`) and what must not meet (`separate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")
Placement = TypeVar("Placement")


def first_free(
    candidates: Iterable[Placement], placed: Sequence[Placement], separate: Callable[[Placement, Placement], bool]
) -> Placement | None:
    """The first of `candidates` that is separate from all of `placed`, or None where none is.

    No candidate is asked for after that: where they are drawn at random, as many are drawn as are looked at.
    """
    return next((one for one in candidates if all(separate(one, other) for other in placed)), None)


def place_all(
    things: Iterable[Thing],
    candidates: Callable[[Thing, list[Placement]], Iterable[Placement]],
    separate: Callable[[Placement, Placement], bool],
) -> list[Placement]:
    """Placements of `things` in this order; those none of whose candidates is free are left out.

    Args:
        things: what to put down.
        candidates: proposes places for a thing beside those already placed, as many as are worth trying.
        separate: whether two placements do not meet.
    """
    placed: list[Placement] = []
    for thing in things:
        found = first_free(candidates(thing, placed), placed, separate)
        if found is not None:
            placed.append(found)
    return placed
