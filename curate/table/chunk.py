"""Rows on their way into a table: what is known of some thousand of them, and the columns that are made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import Row
from curate.core.rows.row_keys import BESIDE, beside, make_keys
from curate.core.rows.row_text import KEY_BYTES, chosen_text, text_lengths
from curate.table.byte_store import ByteSpool
from curate.table.text_buffer import TextBuffer, text_buffer


class ChunkRows:
    """n rows that enter a table together. What a column is made of is worked out when a maker asks for it.

    Reading by machine code has a subclass that knows most of it without making the rows.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows: Sequence[Row] = rows

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def ids(self) -> list[str]:
        """The rows' ids."""
        return [row.id for row in self.rows]

    @cached_property
    def labels(self) -> Mapping[int, str]:
        """The labels of the rows that have one, by position."""
        return {at: row.label for at, row in enumerate(self.rows) if row.label is not None}

    @cached_property
    def groups(self) -> Mapping[int, str]:
        """The groups of the rows that have one, by position. An empty text is none: rows without one are no group."""
        return {at: row.group for at, row in enumerate(self.rows) if row.group and not row.group.isspace()}

    @cached_property
    def objects(self) -> Mapping[int, Row]:
        """Rows that may say more than plain text, an origin and messages, by position: here all of them."""
        return dict(enumerate(self.rows))

    @cached_property
    def is_plain(self) -> NDArray[np.bool_]:
        """Which rows are known to say nothing but that; shape (n,)."""
        return np.zeros(len(self), np.bool_)

    @cached_property
    def is_clear(self) -> NDArray[np.bool_]:
        """Which rows are known to break none of the usual rules of conversation, tools and text; shape (n,)."""
        return np.zeros(len(self), np.bool_)

    @cached_property
    def message_counts(self) -> NDArray[np.int64]:
        """How many messages each row has; shape (n,)."""
        return np.array([len(row.messages) for row in self.rows], np.int64)

    @cached_property
    def is_synthetic(self) -> NDArray[np.bool_]:
        """Which rows have the origin `synthetic`; shape (n,)."""
        return np.array([row.origin == "synthetic" for row in self.rows], np.bool_)

    @cached_property
    def keys(self) -> NDArray[np.uint8]:
        """`row_keys.make_keys` of each row: first the key of the row, then that of its prompt; (n, 2 * KEY_BYTES)."""
        return np.frombuffer(b"".join(map(make_keys, self.rows)), np.uint8).reshape(-1, 2 * KEY_BYTES)

    @property
    def row_keys(self) -> NDArray[np.uint8]:
        """Equal for rows that are exact duplicates; (n, KEY_BYTES)."""
        return self.keys[:, :KEY_BYTES]

    @property
    def prompt_keys(self) -> NDArray[np.uint8]:
        """Equal for rows whose prompts are compared as one text; (n, KEY_BYTES)."""
        return self.keys[:, KEY_BYTES:]

    @property
    def draw_keys(self) -> NDArray[np.uint8]:
        """What the split draws by where a row has no group; (n, KEY_BYTES).

        They are the prompts' keys as they have always been. What rows are compared by may change; if these did, rows
        would change sides.
        """
        return self.keys[:, KEY_BYTES:]

    @cached_property
    def beside(self) -> NDArray[np.uint64]:
        """`row_keys.beside` of each row; (n, BESIDE)."""
        return np.array(list(map(beside, self.rows)), np.uint64).reshape(-1, BESIDE)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The characters of each row's messages, and those of its conversation; (n, 2)."""
        return np.array(list(map(text_lengths, self.rows)), np.int64).reshape(-1, 2)

    def texts(self, on: str) -> TextBuffer:
        """Each row's `prompt`, `answer` or `conversation`."""
        return text_buffer([chosen_text(row, on) for row in self.rows])


class ColumnMaker(Protocol):
    """Makes a column for a stage: one array for each chunk of rows. Equal makers make equal columns."""

    @property
    def name(self) -> str:
        """The column's name in the table."""

    def make(self, rows: ChunkRows) -> NDArray[Any]:
        """The column for these n rows: shape (n,) or (n, k)."""


class PackMaker(Protocol):
    """Makes what has no fixed width, such as sketches: some bytes for each chunk of rows."""

    @property
    def name(self) -> str:
        """Its name in the table."""

    def pack(self, rows: ChunkRows) -> bytes:
        """The bytes for these rows."""


@dataclass(frozen=True, slots=True)
class Makers:
    """What stages want to know of every row, made while the rows are at hand."""

    columns: tuple[ColumnMaker, ...] = ()
    packs: tuple[PackMaker, ...] = ()


NO_MAKERS = Makers()


class UnreadRecord(msgspec.Struct, frozen=True):
    """A record that is no row: its line in the chunk from 1, its byte offset, what it is, and what it calls itself."""

    line: int
    offset: int
    raw: bytes
    reason: str
    detail: str
    id: str | None


@dataclass(slots=True)
class ChunkColumns:
    """What a process hands over of a chunk: n rows in columns, and the records that are none."""

    ids: list[str]
    labels: Mapping[int, str]
    groups: Mapping[int, str]
    columns: dict[str, NDArray[Any]]
    """`line` (from the first line of the chunk), `offset`, `raw_start`, `raw_size`, `line_start`, `line_size` and what
    `make_columns` makes. `raw_start` is a place in the file, or in the spool where records are not in it as they are.
    `line_start` and `line_size` (without line end) are places in the spool of the rows that their records don't say
    word for word; the sizes of the others are 0."""
    packs: dict[str, tuple[int, int]]
    """Where in the spool what each `PackMaker` made starts, and its size."""
    unread: list[UnreadRecord] = field(default_factory=list)
    lines_read: int = 0
    records: int = 0
    kept_keys: Mapping[str, int] = field(default_factory=dict)
    """In how many rows a key was kept in `meta` because rows have no field for it, by its name."""


def make_columns(
    rows: ChunkRows, makers: Makers, spool: ByteSpool
) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[int, int]]]:
    """The columns of these rows that every table has and those that stages asked for, and the places of packs."""
    columns: dict[str, NDArray[Any]] = {}
    columns["row_key"], columns["prompt_key"], columns["lengths"] = rows.row_keys, rows.prompt_keys, rows.lengths
    columns["is_made"] = np.zeros(len(rows), np.bool_)
    columns["is_made"][[at for at, row in rows.objects.items() if "synthetic" in row.meta]] = True
    for maker in makers.columns:
        columns[maker.name] = maker.make(rows)
    packs = {}
    for packer in makers.packs if len(rows) else ():
        data = packer.pack(rows)
        packs[packer.name] = spool.add(data), len(data)
    return columns, packs
