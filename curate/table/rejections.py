"""Rejections by the thousand: of rows that repeat others as columns, made into objects where one is asked for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import eq
from typing import Any, NamedTuple, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.table.row_ref import Because, Entry, Rejection, encode_rejections
from curate.table.selection import lines_of, names, raws, sizes, spots, take, together

_BLOCK_ROWS = 512  # rejections that are objects at once: enough that encoding them is the cost, and not the calls


class Rule(msgspec.Struct, frozen=True):
    """What is said of rows that repeat another: `detail` is a format for its `name` and their `similarity`."""

    reason: str
    detail: str


class Others(msgspec.Struct, frozen=True):
    """Rows of earlier datasets that rows of this one repeat: their ids, and the datasets that they are of."""

    ids: list[str] = []
    datasets: list[str] = []


class Found(NamedTuple):
    """Which rows repeat which, in columns of shape (n,).

    The position of each row among its stage's, the position of the row kept instead (~k where that is the k-th of
    `Others`), the similarity from 0 to 1, and the number of the rule.
    """

    rows: NDArray[np.int64]
    instead: NDArray[np.int64]
    similarity: NDArray[np.float64]
    rule: NDArray[np.uint8]

    def taken(self, at: slice | NDArray[np.int64]) -> "Found":
        """Those at these places."""
        return Found(self.rows[at], self.instead[at], self.similarity[at], self.rule[at])


class _Several(Sequence[Rejection]):
    """Rejections that are equal to any sequence of the same."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as that of a list


class Repeats(_Several):
    """Rows that go because they repeat another; `rules` and `others` are what `found` has the numbers of."""

    def __init__(
        self, stage: str, entries: Sequence[Entry], found: Found, rules: Sequence[Rule], others: Others | None = None
    ) -> None:
        self.stage, self.found, self.rules, self.others = stage, found, rules, others or Others()
        self.entries = entries

    def __len__(self) -> int:
        return self.found.rows.size

    @overload
    def __getitem__(self, at: int) -> Rejection: ...
    @overload
    def __getitem__(self, at: slice) -> "Repeats": ...
    def __getitem__(self, at: int | slice) -> "Rejection | Repeats":
        if isinstance(at, slice):
            return Repeats(self.stage, self.entries, self.found.taken(at), self.rules, self.others)
        one = range(len(self))[at]
        return next(iter(self[one : one + 1]))

    def __iter__(self) -> Iterator[Rejection]:
        for part in _blocks_of(self):
            yield from part._made(part.rows)

    @property
    def rows(self) -> Sequence[Entry]:
        """The rows that go."""
        return take(self.entries, self.found.rows)

    def instead(self) -> tuple[list[str], list[str | None]]:
        """The ids of the rows that are kept instead, and of those of earlier datasets the datasets."""
        found = self.found.instead
        here = found >= 0
        known = iter(names(take(self.entries, found[here])))
        if here.all():
            return list(known), [None] * found.size
        ids = [next(known) if at >= 0 else self.others.ids[~at] for at in found.tolist()]
        return ids, [None if at >= 0 else self.others.datasets[~at] for at in found.tolist()]

    def with_texts(self) -> Iterable[Rejection]:
        """The rejections with the texts of their records in them."""
        return self._made([raw.decode("utf-8", "backslashreplace") for raw in raws(self.rows)])

    def _made(self, held: Iterable[Any]) -> Iterator[Rejection]:
        rows = self.rows
        because = map(Because, *self._because())
        rules = self.found.rule.tolist()
        for name, (path, line, offset), rule, kept, content in zip(
            names(rows), spots(rows), rules, because, held, strict=True
        ):
            said = self.rules[rule]
            best = kept.id if kept.dataset is None else f"{kept.id} of {kept.dataset}"
            yield Rejection(
                id=name, path=path, line=line, offset=offset, stage=self.stage, reason=said.reason,
                detail=said.detail.format(name=best, similarity=kept.similarity), because_of=kept, held=content,
            )  # fmt: skip

    def _because(self) -> tuple[list[str], list[float], list[str | None]]:
        ids, datasets = self.instead()
        return ids, self.found.similarity.tolist(), datasets


class Rejections(_Several):
    """Rejections of several stages, one stage's after the other's."""

    def __init__(self, *parts: Sequence[Rejection]) -> None:
        self.parts: list[Sequence[Rejection]] = []
        for part in parts:
            self.add(part)

    def add(self, more: Sequence[Rejection]) -> None:
        """Put these behind the others."""
        self.parts += [part for part in parts_of(more) if part]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @overload
    def __getitem__(self, at: int) -> Rejection: ...
    @overload
    def __getitem__(self, at: slice) -> "Rejections": ...
    def __getitem__(self, at: int | slice) -> "Rejection | Rejections":
        if isinstance(at, int):
            at = range(len(self))[at]
            return next(iter(self[at : at + 1]))
        first, last, step = at.indices(len(self))
        if step != 1:
            return Rejections([self[one] for one in range(first, last, step)])
        found, before = Rejections(), 0
        for part in self.parts:
            found.add(part[max(first - before, 0) : max(last - before, 0)])
            before += len(part)
        return found

    def __iter__(self) -> Iterator[Rejection]:
        for part in self.parts:
            yield from part


def count_reasons(rejections: Sequence[Rejection]) -> Counter[tuple[str, str]]:
    """How many there are of each stage and reason, in the order in which they come."""
    counts: Counter[tuple[str, str]] = Counter()
    for part in parts_of(rejections):
        if isinstance(part, Repeats):
            found, firsts, sizes_ = np.unique(part.found.rule, return_index=True, return_counts=True)
            for at in np.argsort(firsts).tolist():
                counts[part.stage, part.rules[int(found[at])].reason] += int(sizes_[at])
        else:
            counts.update((item.stage, item.reason) for item in part)
    return counts


def rejected_rows(rejections: Sequence[Rejection]) -> Sequence[Entry] | None:
    """The rows that are rejected; None where some of it never were rows."""
    found: list[Sequence[Entry]] = []
    for part in parts_of(rejections):
        rows = part.rows if isinstance(part, Repeats) else [item.held for item in part if isinstance(item.held, Entry)]
        if len(rows) < len(part):
            return None
        found.append(rows)
    return together(found)


def rejected_lines(rejections: Sequence[Rejection]) -> Iterator[bytes]:
    """The rejections as lines of JSON with their ends, many at a time."""
    for part in parts_of(rejections):
        for some in _blocks_of(part):
            yield encode_rejections(some.with_texts() if isinstance(some, Repeats) else some)


def sizes_by_rule(rejections: Sequence[Rejection]) -> dict[tuple[str, str], NDArray[np.int64]]:
    """How many bytes the records have that each stage left out for each reason, in the order in which they come."""
    found: dict[tuple[str, str], list[Any]] = {}
    for part in parts_of(rejections):
        if isinstance(part, Repeats):
            own = sizes(part.rows)
            rules, firsts = np.unique(part.found.rule, return_index=True)
            for rule in rules[np.argsort(firsts)].tolist():
                found.setdefault((part.stage, part.rules[rule].reason), []).append(own[part.found.rule == rule])
        else:
            for item in part:
                found.setdefault((item.stage, item.reason), []).append([item.size])
    return {rule: np.concatenate(some) for rule, some in found.items()}


def sizes_by_path(rejections: Sequence[Rejection]) -> dict[str, NDArray[np.int64]]:
    """How many bytes the records have that were left out of each file."""
    found: dict[str, list[Any]] = {}
    for part in parts_of(rejections):
        if isinstance(part, Repeats):
            own, (paths, of, _) = sizes(part.rows), lines_of(part.rows)
            for number in np.unique(of).tolist():
                found.setdefault(paths[number], []).append(own[of == number])
        else:
            for item in part:
                found.setdefault(item.path, []).append([item.size])
    return {path: np.concatenate(some) for path, some in found.items()}


def parts_of(rejections: Sequence[Rejection]) -> Sequence[Sequence[Rejection]]:
    """The parts that they are made of: `Repeats`, and others."""
    return rejections.parts if isinstance(rejections, Rejections) else [rejections]


def _blocks_of(part: Any) -> Iterator[Any]:
    for first in range(0, len(part), _BLOCK_ROWS):
        yield part[first : first + _BLOCK_ROWS]
