"""The value of a row's field as the name of a class: what balancing groups rows by."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from curate.core.digests import canonical_json
from curate.core.errors import ConfigError, DataError
from curate.core.rows.row import Row
from curate.core.rows.row_text import chosen_text
from curate.recipe.balance_mix import LENGTH_EDGES, LENGTHS
from curate.table.row_table import NO_VALUE
from curate.table.selection import RowSelection
from curate.table.stage import Measured

OWN_FIELDS = ("label", "source", "origin", "group")


def classes(
    rows: RowSelection, by: str, columns: Measured, edges: Sequence[float] = (), length_in: str = "words"
) -> list[str]:
    """The class of each row. Raises: ConfigError where no row has the field, DataError for text where edges are set."""
    value = field_value(by, columns, length_in)
    values = [row.label for row in rows] if by == "label" else list(map(value, rows.rows))
    if values and all(found is None for found in values):
        raise ConfigError(
            f"no row has a field {by!r}", where="balance", fix="name a field that rows have, such as label or meta.KEY"
        )
    steps = list(edges) or (list(LENGTH_EDGES) if by in LENGTHS else [])
    if not steps:
        return [class_name(found) for found in values]
    return [_bucket(found, steps, by, name) for found, name in zip(values, rows.ids(), strict=True)]


def field_value(by: str, columns: Measured, length_in: str = "words") -> Callable[[Row], Any]:
    """The function that gives a row's value of the field, None where it has none: its own, else what was measured.

    Raises: ConfigError for a name that is no field, or tokens that were not counted.
    """
    if by in LENGTHS:
        return _length(by, columns, length_in)
    if by in OWN_FIELDS:
        return lambda row: getattr(row, by)
    # The screen of this name measures how sure it is, not which language it is.
    is_in_meta = by == "language" or by.startswith("meta.")
    if by in columns and not is_in_meta:
        column = columns[by]
        return lambda row: column.get(row.id)
    path = by.removeprefix("meta.").split(".")
    if not is_in_meta:
        known = ", ".join([*OWN_FIELDS, "language", *LENGTHS, *columns])
        raise ConfigError(f"{by!r} is not a field", where="balance", fix=f"use meta.KEY or one of: {known}")
    return lambda row: _dig(row.meta, path)


def _length(by: str, columns: Measured, length_in: str) -> Callable[[Row], int | None]:
    on = LENGTHS[by]
    if length_in == "tokens":
        # Whole rows are counted in tokens by whoever renders them; a part of a row has no count of its own.
        if "tokens" not in columns or by != "length":
            what = "tokens are counted for whole rows only" if by != "length" else "no tokens were counted"
            raise ConfigError(f"{by} in tokens: {what}", where="balance", fix="use length_in: words")
        tokens = columns["tokens"]
        return lambda row: tokens.get(row.id)
    if length_in == "characters":
        return lambda row: len(chosen_text(row, on))
    return lambda row: count_words(chosen_text(row, on))


def count_words(text: str) -> int:
    """How many runs of characters without whitespace the text has."""
    return len(text.split())


def _dig(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def class_name(value: Any) -> str:
    """The value as the name of a class: text as it is, anything else as JSON."""
    if value is None:
        return NO_VALUE
    return value if isinstance(value, str) else canonical_json(value).decode()


def _bucket(value: Any, edges: Sequence[float], by: str, row_id: str) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{by} is {value!r}, not a number", where=row_id, fix="take the edges out of the rule")
    index = bisect_right(edges, value)
    if index == 0:
        return f"<{edges[0]:g}"
    if index == len(edges):
        return f">={edges[-1]:g}"
    return f"{edges[index - 1]:g}-{edges[index]:g}"
