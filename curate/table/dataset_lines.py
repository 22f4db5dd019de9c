"""Rows as a dataset's lines, from wherever they are kept."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import call, copy_parts
from curate.table.row_ref import Entry
from curate.table.selection import Chosen

_LINES = 4096  # lines that are joined at once, where they are not copied
# Lines that are written at once: enough that a thread rarely has to wait for the interpreter's lock between them.
_BLOCK_BYTES = 8 << 20


def blocks(entries: Sequence[Entry]) -> Iterator[memoryview]:
    """The rows as a dataset's lines with their ends, many at a time; each block holds until the next is asked for."""
    if not isinstance(entries, Chosen):
        for first in range(0, len(entries), _LINES):
            yield memoryview(
                b"".join([line for entry in entries[first : first + _LINES] for line in (entry.line, b"\n")])
            )
        return
    room = np.empty(0, np.uint8)
    ends = np.cumsum(_line_sizes(entries))
    first = 0
    while first < ends.size:
        limit = _BLOCK_BYTES + (ends[first - 1] if first else 0)
        last = max(first + 1, int(np.searchsorted(ends, limit, "right")))
        size, room = _write_lines(entries[first:last], room)
        yield room[:size].data
        first = last


def _line_sizes(entries: Chosen) -> NDArray[np.int64]:
    """How many bytes each line has with its end."""
    spooled = entries.column("line_sizes")
    found: NDArray[np.int64] = np.where(spooled, spooled, entries.column("raw_sizes")) + 1
    return found


def _write_lines(entries: Chosen, room: NDArray[np.uint8]) -> tuple[int, NDArray[np.uint8]]:
    """Write the lines into the room, or a larger one, and return how many bytes they are."""
    spooled, sizes = entries.column("line_sizes"), _line_sizes(entries)
    ends = np.cumsum(sizes)
    if ends[-1] > room.size:
        room = np.empty(int(ends[-1]), np.uint8)
    batches = entries.whole.places(entries.numbers)[0]
    lines, _ = entries.whole.batches[0].stores()
    if spooled.any():
        at = np.flatnonzero(spooled)
        call(copy_parts, lines.view(), entries.column("line_starts")[at], sizes[at], (ends - sizes)[at], room)
    verbatim = np.flatnonzero(spooled == 0)
    starts = entries.column("raw_starts")[verbatim]
    out = room.data
    given = zip(verbatim.tolist(), batches[verbatim].tolist(), starts.tolist(), ends[verbatim].tolist(), strict=True)
    for row, batch, start, end in given:
        size = int(sizes[row])
        out[end - size : end] = entries.whole.batches[batch].stores()[1].read(start, size - 1) + b"\n"
    return int(ends[-1]), room
