"""Which of several rows that repeat each other stays: an order that does not depend on where they stood."""

from collections.abc import Callable, Sequence
from typing import Any

from curate.core.rows import Row, encode_row
from curate.entries import Entry


def preference(prefer: Sequence[str]) -> Callable[[Entry], tuple[Any, ...]]:
    """A sort key: gold before synthetic, then by `prefer`, then by content; the smallest is kept."""
    rules = [_RULES[name] for name in prefer if name != "gold"]

    def key(entry: Entry) -> tuple[Any, ...]:
        row = entry.row
        return (row.origin != "gold", *(rule(row) for rule in rules), encode_row(row))

    return key


def _length(row: Row) -> int:
    return sum(len(message.text) for message in row.messages)


_RULES: dict[str, Callable[[Row], int]] = {"longest": lambda row: -_length(row), "shortest": _length}
