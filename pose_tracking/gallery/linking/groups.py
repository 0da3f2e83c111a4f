"""Groups that grow by merging, some of which must stay apart (union-find with constraints)."""

from __future__ import annotations

from collections.abc import Iterable


class Groups:
    """Each member is a group of its own at first.

    Args:
        members: what is grouped.
    """

    def __init__(self, members: Iterable[int]) -> None:
        self._members: dict[int, list[int]] = {member: [member] for member in members}
        self._root: dict[int, int] = {member: member for member in self._members}
        self._apart: dict[int, set[int]] = {member: set() for member in self._members}

    def root(self, member: int) -> int:
        """What stands for the group of `member`, until it is merged."""
        return self._root[member]

    def keep_apart(self, a: int, b: int) -> bool:
        """From now on the groups of both cannot be merged; False where they are one already."""
        a, b = self._root[a], self._root[b]
        if a == b:
            return False
        self._apart[a].add(b)
        self._apart[b].add(a)
        return True

    def are_apart(self, a: int, b: int) -> bool:
        """Whether their groups must not be merged."""
        return self._root[b] in self._apart[self._root[a]]

    def merge(self, a: int, b: int) -> bool:
        """Make one group of two; False, and nothing changes, where they must stay apart."""
        a, b = self._root[a], self._root[b]
        if a == b:
            return True
        if b in self._apart[a]:
            return False
        if len(self._members[a]) < len(self._members[b]):
            a, b = b, a
        for member in self._members[b]:
            self._root[member] = a
        self._members[a] += self._members.pop(b)
        for other in self._apart.pop(b):
            self._apart[other].discard(b)
            self._apart[other].add(a)
            self._apart[a].add(other)
        return True

    def all(self) -> dict[int, list[int]]:
        """Members by what stands for their group."""
        return self._members
