"""States of many filters side by side: an array for each quantity, a row for each filter.

What a frame does to all of them takes a few calls then, where gathering them from a hundred objects takes longer than
the arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar, overload

import numpy as np

from pose_tracking.core.arrays import Float

Kind = TypeVar("Kind", bound="Row")


class Rows:
    """Arrays of which each row belongs to one owner.

    Attributes:
        arrays: (K, ...) each; exchanged for others, but never changed, so that what was handed out stays as it was.
        owners: the K owners in the order of their rows; empty as soon as one of them has its state elsewhere.
    """

    __slots__ = ("arrays", "owners")

    def __init__(self, arrays: Sequence[Float], owners: Sequence[Row] = ()) -> None:
        self.arrays = tuple(arrays)
        self.owners = list(owners)


class Row:
    """The state of one thing: a row of arrays that it may share with others.

    A copy of it keeps the state of its time, whatever becomes of the original, and changes nothing of that.

    Args:
        state: the arrays of its row.
    """

    __slots__ = ("row", "rows")

    def __init__(self, *state: Float) -> None:
        self.rows, self.row = Rows([values[None] for values in state]), 0

    def __copy__(self: Kind) -> Kind:
        other = object.__new__(type(self))
        for kind in type(self).__mro__:
            for name in kind.__dict__.get("__slots__", ()):
                setattr(other, name, getattr(self, name))
        if hasattr(self, "__dict__"):
            other.__dict__.update(self.__dict__)
        other.rows = Rows(self.rows.arrays)
        return other

    def part(self, index: int) -> Float:
        """The array at `index` of its state; not to be changed in place."""
        values: Float = self.rows.arrays[index][self.row]
        return values

    def replace(self, index: int, values: Float) -> None:
        """Change one array of its state."""
        state = [array[self.row : self.row + 1] for array in self.rows.arrays]
        state[index] = np.array(values, float)[None]
        self.move_to(Rows(state), 0)

    def stand_alone(self) -> None:
        """Share no arrays any more: what is kept for long must not keep all the others."""
        self.move_to(Rows([array[self.row : self.row + 1].copy() for array in self.rows.arrays]), 0)

    def move_to(self, rows: Rows, row: int) -> None:
        """Have its state elsewhere from now on."""
        self.rows.owners = []
        self.rows, self.row = rows, row


class Part:
    """An attribute of a `Row` that is one array of its state: read without a copy, and not to be changed in place.

    Args:
        index: of the array in the state.
    """

    def __init__(self, index: int) -> None:
        self._index = index

    @overload
    def __get__(self, one: None, kind: type) -> Part: ...
    @overload
    def __get__(self, one: Row, kind: type) -> Float: ...
    def __get__(self, one: Row | None, kind: type) -> Part | Float:
        return self if one is None else one.part(self._index)

    def __set__(self, one: Row, values: Float) -> None:
        one.replace(self._index, values)


def gather(owners: Sequence[Row], *indices: int) -> list[Float]:
    """(K, ...) arrays of the states of K owners, at least one, of the same kind; copies of them."""
    first = owners[0].rows
    if first.owners == owners:
        return [first.arrays[i].copy() for i in indices]
    return read(owners, *indices)


def read(owners: Sequence[Row], *indices: int) -> list[Float]:
    """The same, but not to be changed in place: no copies where all rows are taken."""
    first = owners[0].rows
    if first.owners == owners:
        return [first.arrays[i] for i in indices]
    rows = [one.row if one.rows is first else -1 for one in owners]
    where = np.array(rows)
    arrays: list[Float] = [first.arrays[i].take(where, axis=0) for i in indices]
    for k, row in enumerate(rows):
        if row < 0:  # it has its state elsewhere
            for values, i in zip(arrays, indices, strict=True):
                values[k] = owners[k].part(i)
    return arrays


def join(owners: Sequence[Row]) -> None:
    """Have the states of K owners, at least one, of the same kind, side by side, and no others beside them."""
    if owners[0].rows.owners != owners:
        _join(owners, {})


def put(owners: Sequence[Row], changes: Mapping[int, Float]) -> None:
    """Give K owners, at least one, new states.

    Args:
        owners: any, of the same kind.
        changes: index of an array of their states to (K, ...) values; what is not named stays. Taken as they are.
    """
    first = owners[0].rows
    if first.owners == owners:
        first.arrays = tuple([changes.get(i, array) for i, array in enumerate(first.arrays)])
        return
    rows = [one.row for one in owners if one.rows is first]
    if len(rows) < len(owners) or not first.owners:
        _join(owners, changes)
        return
    arrays, where = list(first.arrays), np.array(rows)
    for i, values in changes.items():
        arrays[i] = arrays[i].copy()
        arrays[i][where] = values
    first.arrays = tuple(arrays)


def _join(owners: Sequence[Row], changes: Mapping[int, Float]) -> None:
    kept = [i for i in range(len(owners[0].rows.arrays)) if i not in changes]
    state = {**changes, **dict(zip(kept, read(owners, *kept), strict=True))}
    joined = Rows([state[i] for i in sorted(state)], owners)
    for row, one in enumerate(owners):
        one.move_to(joined, row)
