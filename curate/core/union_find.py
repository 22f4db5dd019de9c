"""Sets that grow together: which of many things belong to one another, when only pairs are told."""

from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar


class _Ordered(Hashable, Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


Member = TypeVar("Member", bound=_Ordered)


class UnionFind(Generic[Member]):
    """Sets of members; the smallest member of a set stands for it."""

    def __init__(self) -> None:
        self._parents: dict[Member, Member] = {}

    def join(self, one: Member, other: Member) -> None:
        """Make one set of the sets of these two."""
        low, high = sorted((self.smallest(one), self.smallest(other)))
        self._parents[high] = low

    def smallest(self, member: Member) -> Member:
        """The smallest of the set that the member is in: of its own, where it was not joined with another."""
        parents = self._parents
        while (parent := parents.setdefault(member, member)) != member:
            parents[member] = parents[parent]
            member = parent
        return member

    def all(self) -> dict[Member, Member]:
        """Each member with the smallest of its set, in the order in which they came."""
        return {member: self.smallest(member) for member in self._parents}
