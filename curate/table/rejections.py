"""What was left out and why, in columns: made into objects, or lines of `rejected.jsonl`, where somebody reads them.

block   stage  records     rule  detail                 instead  similarity
0       read   not-json 1  0     "expected ',' ..."
1       near   row 4       0     (by the rule's format)  0        0.91
               row 9       1                             ~2       1.0        <- row 2 of an earlier dataset
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, Self, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.table.byte_store import ByteSpool
from curate.table.row_table import Place, RowTable
from curate.table.selection import RowSelection

_AT_ONCE = 512  # rejections that are objects at once: enough that encoding them is the cost, and not the calls
# The rule of a block that has a detail of its own for each row.
_OWN_DETAIL = "{detail}"


class Because(msgspec.Struct, frozen=True, omit_defaults=True):
    """The row that is kept instead of a rejected one, and how similar they are (1 = the same).

    `dataset` names the earlier dataset that it stands in, where it is not a row of this one.
    """

    id: str
    similarity: float
    dataset: str | None = None


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A record that is left out, as a line of `rejected.jsonl`: which, from where, by which stage and rule, and why.

    `raw` is the record's text; bytes that aren't UTF-8 are shown as `\\xff`.
    """

    id: str | None
    path: str
    line: int
    offset: int
    stage: str
    reason: str
    detail: str
    because_of: Because | None = None
    raw: str


_encoder = msgspec.json.Encoder()


def encode_rejection(rejection: Rejection) -> bytes:
    """The rejection as one line of JSON, without its end."""
    return _encoder.encode(rejection)


def reject_raw(place: Place, raw: bytes, stage: str, reason: str, detail: str, **more: Any) -> Rejection:
    """The rejection of bytes that may not be a row at all."""
    return Rejection(
        **{"id": None, **more}, path=place.path, line=place.line, offset=place.offset, stage=stage, reason=reason,
        detail=printable(detail), raw=raw.decode("utf-8", "backslashreplace"),
    )  # fmt: skip


def printable(detail: str) -> str:
    """The text with half characters escaped, so that it can be written as UTF-8."""
    return detail if detail.isascii() else detail.encode("utf-8", "backslashreplace").decode()


class Rule(msgspec.Struct, frozen=True):
    """Why rows go. `detail` is a format for the `name` of the row kept instead and the `similarity` to it."""

    reason: str
    detail: str = _OWN_DETAIL


class OtherRows(msgspec.Struct, frozen=True):
    """Rows that are kept instead and are of no table: their ids, and the earlier datasets that they are of, if any."""

    ids: list[str] = []
    datasets: list[str | None] = []


class Instead(NamedTuple):
    """The rows kept instead: their numbers in `table`, ~k for the k-th of `others`; and the similarities, 0 to 1."""

    table: RowTable
    numbers: NDArray[np.int64]
    similarity: NDArray[np.float64]
    others: OtherRows = OtherRows()

    def taken(self, at: Any) -> "Instead":
        """Those at these places."""
        return self._replace(numbers=self.numbers[at], similarity=self.similarity[at])

    def names(self) -> tuple[list[str], list[str | None]]:
        """Their ids, and the datasets of those that are of an earlier one."""
        here = self.numbers >= 0
        known = iter(self.table.ids(self.numbers[here]))
        others = self.others
        ids = [next(known) if at >= 0 else others.ids[~at] for at in self.numbers.tolist()]
        return ids, [None if at >= 0 else others.datasets[~at] for at in self.numbers.tolist()]


class Records(Protocol):
    """What was left out: rows of a table (`RowSelection`), or records that are in none (`LooseRecords`)."""

    def __len__(self) -> int: ...

    def take(self, positions: Any, /) -> Self:
        """Those at these positions."""

    def ids(self) -> Sequence[str | None]:
        """What each calls itself."""

    def places(self) -> tuple[list[str], NDArray[Any], NDArray[Any]]:
        """Paths, which of them is each one's, and its line there."""

    def offsets(self) -> NDArray[Any]:
        """The byte offset of each in its file."""

    def raws(self) -> list[bytes]:
        """The bytes of each."""

    def sizes(self) -> NDArray[Any]:
        """How many bytes each has."""


class LooseRecords:
    """Records of one file that are rows of no table; their bytes are in a spool."""

    def __init__(self, spool: ByteSpool, path: str, items: Sequence[tuple[str | None, int, int, int, int]]) -> None:
        """`items` are id, line, byte offset, and start and size in the spool."""
        self._spool, self._path, self._items = spool, path, items

    def __len__(self) -> int:
        return len(self._items)

    def take(self, positions: Any) -> "LooseRecords":
        """Those at these positions."""
        return LooseRecords(self._spool, self._path, [self._items[at] for at in np.asarray(positions).tolist()])

    def ids(self) -> list[str | None]:
        """What each calls itself."""
        return [item[0] for item in self._items]

    def places(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
        """The path, which is that of each, and its line there."""
        return [self._path], np.zeros(len(self), np.int64), np.array([item[1] for item in self._items], np.int64)

    def offsets(self) -> NDArray[np.int64]:
        """The byte offset of each in its file."""
        return np.array([item[2] for item in self._items], np.int64)

    def raws(self) -> list[bytes]:
        """The bytes of each."""
        return [self._spool.read(start, size) for *_, start, size in self._items]

    def sizes(self) -> NDArray[np.int64]:
        """How many bytes each has."""
        return np.array([item[4] for item in self._items], np.int64)


@dataclass(frozen=True, slots=True)
class Block:
    """What one stage left out: n records, and for each the number of its rule among `rules`, shape (n,).

    `details` are the texts of records whose rule has no format; `instead` is there where other rows are kept instead.
    """

    stage: str
    records: Records
    rules: Sequence[Rule]
    rule: NDArray[np.integer[Any]]
    details: Sequence[str] | None = None
    instead: Instead | None = None

    def __len__(self) -> int:
        return self.rule.size

    def taken(self, at: NDArray[np.int64]) -> "Block":
        """The part of it at these positions."""
        details = [self.details[one] for one in at.tolist()] if self.details is not None else None
        instead = self.instead.taken(at) if self.instead is not None else None
        return Block(self.stage, self.records.take(at), self.rules, self.rule[at], details, instead)

    def made(self) -> list[Rejection]:
        """The rejections as objects."""
        records, paths_of = self.records, self.records.places()
        paths, of, lines = paths_of
        because: Iterable[Because | None] = [None] * len(self)
        if self.instead is not None:
            ids, datasets = self.instead.names()
            because = map(Because, ids, self.instead.similarity.tolist(), datasets)
        details = self.details if self.details is not None else [""] * len(self)
        made = []
        for name, path, line, offset, rule, detail, kept, raw in zip(
            records.ids(), of.tolist(), lines.tolist(), records.offsets().tolist(), self.rule.tolist(), details,
            because, records.raws(), strict=True,
        ):  # fmt: skip
            said = self.rules[rule]
            text = detail if said.detail == _OWN_DETAIL else _worded(said.detail, kept)
            made.append(
                Rejection(
                    id=name, path=paths[path], line=line, offset=offset, stage=self.stage, reason=said.reason,
                    detail=text, because_of=kept, raw=raw.decode("utf-8", "backslashreplace"),
                )
            )  # fmt: skip
        return made


def _worded(form: str, kept: Because | None) -> str:
    if kept is None:
        return form
    name = kept.id if kept.dataset is None else f"{kept.id} of {kept.dataset}"
    return form.format(name=name, similarity=kept.similarity)


class Rejections(Sequence[Rejection]):
    """What several stages left out, one block after the other; also each as an object."""

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self.blocks = [block for block in blocks if len(block)]

    @classmethod
    def of_rows(
        cls,
        stage: str,
        rows: RowSelection,
        why: Sequence[tuple[str, str]],
        because: Sequence[tuple[str, float, str | None]] | None = None,
    ) -> "Rejections":
        """Rows of a table that a stage leaves out, with the reason and the detail of each.

        `because` says for each which row of another dataset or suite stands for it: id, similarity, dataset.
        """
        numbers: dict[str, int] = {}
        rule = np.array([numbers.setdefault(reason, len(numbers)) for reason, _ in why], np.int32)
        instead = None
        if because is not None:
            others = OtherRows([name for name, _, _ in because], [dataset for _, _, dataset in because])
            similarity = np.array([found for _, found, _ in because], np.float64)
            instead = Instead(rows.table, ~np.arange(len(because)), similarity, others)
        details = [printable(detail) for _, detail in why]
        return cls([Block(stage, rows, list(map(Rule, numbers)), rule, details, instead)])

    def __add__(self, others: "Rejections") -> "Rejections":
        return Rejections([*self.blocks, *others.blocks])

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    @overload
    def __getitem__(self, at: int) -> Rejection: ...
    @overload
    def __getitem__(self, at: slice) -> list[Rejection]: ...
    def __getitem__(self, at: int | slice) -> "Rejection | list[Rejection]":
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        left = range(len(self))[at]
        for block in self.blocks:
            if left < len(block):
                return block.taken(np.array([left])).made()[0]
            left -= len(block)
        raise IndexError(at)

    def __iter__(self) -> Iterator[Rejection]:
        for some in self._parts():
            yield from some.made()

    def _parts(self) -> Iterator[Block]:
        for block in self.blocks:
            for first in range(0, len(block), _AT_ONCE):
                yield block.taken(np.arange(first, min(first + _AT_ONCE, len(block))))

    def lines(self) -> Iterator[bytes]:
        """The rejections as lines of JSON with their ends, many at a time."""
        for some in self._parts():
            yield _encoder.encode_lines(some.made())

    def without(self, positions: Iterable[int]) -> "Rejections":
        """The rejections but those at these positions."""
        stays, before, left = np.ones(len(self), np.bool_), 0, []
        stays[list(positions)] = False
        for block in self.blocks:
            left.append(block.taken(np.flatnonzero(stays[before : before + len(block)])))
            before += len(block)
        return Rejections(left)

    def ids(self) -> list[str | None]:
        """What each rejected record calls itself."""
        return [name for block in self.blocks for name in block.records.ids()]

    def numbers(self) -> NDArray[np.int64] | None:
        """The rejected rows' numbers in their table; None where some of it never were rows of one."""
        found = [np.empty(0, np.int64)]
        for block in self.blocks:
            if not isinstance(block.records, RowSelection):
                return None
            found.append(block.records.numbers)
        return np.concatenate(found)

    def reasons(self) -> Counter[tuple[str, str]]:
        """How many there are of each stage and reason, in the order in which they come."""
        counts: Counter[tuple[str, str]] = Counter()
        for block in self.blocks:
            for rule, at in _by_rule(block):
                counts[block.stage, rule.reason] += at.size
        return counts

    def sizes_by_rule(self) -> dict[tuple[str, str], NDArray[np.int64]]:
        """How many bytes the records have that each stage left out for each reason, in the order in which they come."""
        found: dict[tuple[str, str], list[NDArray[np.int64]]] = {}
        for block in self.blocks:
            sizes = block.records.sizes()
            for rule, at in _by_rule(block):
                found.setdefault((block.stage, rule.reason), []).append(sizes[at])
        return {rule: np.concatenate(some) for rule, some in found.items()}

    def sizes_by_path(self) -> dict[str, NDArray[np.int64]]:
        """How many bytes the records have that were left out of each file."""
        found: dict[str, list[NDArray[np.int64]]] = {}
        for block in self.blocks:
            sizes, (paths, of, _) = block.records.sizes(), block.records.places()
            for number in np.unique(of).tolist():
                found.setdefault(paths[number], []).append(sizes[of == number])
        return {path: np.concatenate(some) for path, some in found.items()}

    def reworded(
        self, clean: Callable[[Sequence[Rejection]], Sequence[Rejection]], spool: ByteSpool, at_once: int
    ) -> "Rejections":
        """The rejections as `clean` leaves them: what it changes of some stands in blocks of its own."""
        found: list[Block] = []
        for block in self.blocks:
            for first in range(0, len(block), at_once):
                some = block.taken(np.arange(first, min(first + at_once, len(block))))
                old = some.made()
                found += _with_changes(some, old, clean(old), spool)
        return Rejections(found)


def _by_rule(block: Block) -> Iterator[tuple[Rule, NDArray[np.int64]]]:
    """The rules of a block and the positions of their records, in the order in which rules come."""
    found, firsts = np.unique(block.rule, return_index=True)
    for rule in found[np.argsort(firsts)].tolist():
        yield block.rules[rule], np.flatnonzero(block.rule == rule)


def _with_changes(
    block: Block, old: Sequence[Rejection], new: Sequence[Rejection], spool: ByteSpool
) -> Iterator[Block]:
    """The parts of a block, in order: those whose rejections are as they were, and those that are others now."""
    is_new = np.array([one is not other for one, other in zip(old, new, strict=True)], np.bool_)
    edges = [0, *(np.flatnonzero(is_new[1:] != is_new[:-1]) + 1).tolist(), is_new.size]
    for first, last in pairwise(edges):
        if not is_new[first]:
            yield block.taken(np.arange(first, last))
            continue
        for path, some in _by_path(new[first:last]):
            yield _loose(path, some, block, spool)


def _by_path(rejections: Sequence[Rejection]) -> Iterator[tuple[str, list[Rejection]]]:
    some: list[Rejection] = []
    for one in rejections:
        if some and one.path != some[-1].path:
            yield some[-1].path, some
            some = []
        some.append(one)
    yield some[-1].path, some


def _loose(path: str, rejections: Sequence[Rejection], block: Block, spool: ByteSpool) -> Block:
    """Rejections that are objects as a block: what they are of stands in the spool."""
    raws = [one.raw.encode("utf-8", "replace") for one in rejections]
    items = [
        (one.id, one.line, one.offset, spool.add(raw), len(raw)) for one, raw in zip(rejections, raws, strict=True)
    ]
    numbers: dict[str, int] = {}
    rule = np.array([numbers.setdefault(one.reason, len(numbers)) for one in rejections], np.int32)
    instead = None
    if block.instead is not None:
        kept = [one.because_of for one in rejections if one.because_of is not None]
        others = OtherRows([one.id for one in kept], [one.dataset for one in kept])
        similarity = np.array([one.similarity for one in kept], np.float64)
        instead = Instead(block.instead.table, ~np.arange(len(kept)), similarity, others)
    details = [one.detail for one in rejections]
    return Block(block.stage, LooseRecords(spool, path, items), list(map(Rule, numbers)), rule, details, instead)
