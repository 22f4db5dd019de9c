"""Rows as a Parquet table, for tools that read no JSON Lines: one schema for every dataset, whatever its rows hold."""

from collections.abc import Iterable
from typing import Any

import msgspec

from curate.core.parquet import parquet_bytes
from curate.core.rows.row import Row, message_dicts


def rows_as_parquet(rows: Iterable[Row]) -> bytes:
    """The rows as a Parquet file: a message's text is `content`, and what has no fixed shape is JSON text.

    That is: content in parts (`content_parts`), `tool_calls`, `tools` and `meta`; what is absent is null. Read with a
    recipe, the file gives the same rows again.
    """
    import polars as pl

    text = pl.String
    names = ("role", "content", "content_parts", "tool_calls", "tool_call_id", "name")
    message = pl.Struct({**dict.fromkeys(names, text), "weight": pl.Float64})
    fields = dict.fromkeys(("id", "messages", "tools", "label", "source", "origin", "group", "meta"), text)
    schema: dict[str, Any] = {**fields, "messages": pl.List(message)}
    return parquet_bytes([pl.DataFrame([_fields(row) for row in rows], schema=schema, orient="row")])


def _fields(row: Row) -> dict[str, object]:
    plain = {name: getattr(row, name) for name in ("id", "label", "source", "origin", "group")}
    messages = [_message(message) for message in message_dicts(row.messages)]
    return {**plain, "messages": messages, "tools": _json(row.tools), "meta": _json(row.meta or None)}


def _message(message: dict[str, object]) -> dict[str, object]:
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    return {
        **message,
        "content": content if parts is None else None,
        "content_parts": _json(parts),
        "tool_calls": _json(message.get("tool_calls")),
    }


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value, order="deterministic").decode()
