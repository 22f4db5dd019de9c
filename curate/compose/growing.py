"""Conversations that grow: rows of which one says all that another says, and then goes on.

a   user, assistant
b   user, assistant, user, assistant        a and b stand on one side: what a answers is learned from b too
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from curate.core.digests import canonical_json
from curate.core.rows.row import Row
from curate.core.rows.row_text import KEY_BYTES, message_text, normalized
from curate.table.chunk import ChunkRows
from curate.table.selection import RowSelection

_LONG = 4  # messages: one answer, and a turn after it that is answered too


@dataclass(frozen=True)
class Openings:
    """How a conversation of several answers begins, as a column: what stands for the prompt of its first answer.

    It is the head of the prompt's key that a row would have which ends there; 0 for rows of one answer.
    """

    name: ClassVar[str] = "opening"

    def make(self, rows: ChunkRows) -> NDArray[np.uint64]:
        """The openings of these rows, shape (n,)."""
        begun: dict[int, Row] = {}
        for at in np.flatnonzero(rows.message_counts >= _LONG).tolist():
            row = rows.rows[at]
            first = next((place for place, one in enumerate(row.messages, 1) if one.role == "assistant"), 0)
            if 0 < first < len(row.messages):
                begun[at] = replace(row, messages=row.messages[: first - 1])  # without an answer all is the prompt
        found = np.zeros(len(rows), np.uint64)
        if begun:
            found[list(begun)] = _heads(ChunkRows(list(begun.values())).prompt_keys)
        return found


def find_beginnings(rows: RowSelection) -> dict[int, int]:
    """The position of each row that begins with another -> that of the shortest row which it begins with."""
    openings = rows.values(Openings())
    is_long = openings > 0
    if not is_long.any():
        return {}
    # Only rows that open alike are looked at: a short one is its own opening.
    heads = np.where(is_long, openings, _heads(rows.column("prompt_key")))
    _, of, sizes = np.unique(heads, return_inverse=True, return_counts=True)
    looked_at = np.flatnonzero((sizes[of] > 1) & np.isin(heads, openings[is_long])).tolist()
    some = rows.rows
    whole: dict[bytes, int] = {}
    found: dict[int, int] = {}
    for at in looked_at:
        *_, last = _prefixes(some[at])
        if (first := whole.setdefault(last, at)) != at:
            found[at] = first
    for at in looked_at:
        shortest = next(whole[prefix] for prefix in _prefixes(some[at]) if prefix in whole)
        if shortest != at:
            found[at] = shortest
    return found


def _heads(keys: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of each key as a number, never 0."""
    heads = np.ascontiguousarray(keys[:, :8]).view("<u8")[:, 0].astype(np.uint64)
    return np.maximum(heads, np.uint64(1))


def _prefixes(row: Row) -> Iterator[bytes]:
    """A digest of the tools and the first message, of these and the second, and so on to the whole row."""
    state = hashlib.blake2b(canonical_json(row.tools or []), digest_size=KEY_BYTES)
    for message in row.messages:
        state.update(canonical_json([message.role, normalized(message_text(message))]))
        yield state.digest()
