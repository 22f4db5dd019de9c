"""A record: what stands on one line of a file, or in one of its rows, with its place."""

from typing import Any

import msgspec

# A row of chat is kilobytes, the longest context of a model a few megabytes; what is longer is no row, and may not fit.
MAX_LINE_BYTES = 16 << 20


class Record(msgspec.Struct, frozen=True):
    """One record: its line from 1, its byte offset, its bytes; `fields` where it isn't JSON; `fault` where it is none.

    In Parquet, which has no lines, the line is the record's number and the offset counts records from 0. In a
    compressed file the offset is that in the text it holds.
    """

    number: int
    offset: int
    raw: bytes
    fields: dict[str, Any] | None = None
    fault: tuple[str, str] | None = None
    start: int = -1
    """Where `raw` itself starts: in a file's first line that may be after a byte order mark."""
