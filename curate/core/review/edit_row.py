"""A row as text that a reviewer changes, and back: messages as they read, the rest as JSON."""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from curate.core.rows.row import Message, Row
from curate.core.visible import escape_invisible, visible

PARENT = "parent"
"""The key under `meta` that says which row an edited one was made of, by its digest."""
_HEAD = re.compile(r"^=== (\w+) ===$", re.MULTILINE)
_REST = "row"


def as_text(row: Row) -> str:
    """The row with a header for each message; as JSON where its messages hold more than visible text, or such a
    header.
    """
    plain = all(
        isinstance(message.content, str) and message.tool_calls is None and message.reasoning_content is None
        for message in row.messages
    )
    hides = any(visible(message.text) != message.text for message in row.messages)
    if not plain or hides or any(_HEAD.search(message.text) for message in row.messages):
        return escape_invisible(msgspec.json.format(msgspec.json.encode(row), indent=2).decode())
    parts = [f"=== {message.role} ===\n{message.text}\n" for message in row.messages]
    rest = escape_invisible(msgspec.json.format(msgspec.json.encode(_rest(row)), indent=2).decode())
    return "".join([*parts, f"=== {_REST} ===\n{rest}\n"])


def from_text(text: str, row: Row) -> Row | Sequence[str]:
    """The row that the text describes, or what is wrong with it. `row` is what it was made of."""
    try:
        if text.lstrip().startswith("{"):
            return msgspec.json.decode(text, type=Row)
        return _from_parts(text, row)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        return [str(error)]


def with_parent(row: Row, digest: str) -> Row:
    """The row with the digest of the one that it was made of."""
    return msgspec.structs.replace(row, meta={**row.meta, PARENT: digest})


def _from_parts(text: str, row: Row) -> Row:
    heads = list(_HEAD.finditer(text))
    if not heads or heads[-1].group(1) != _REST or text[: heads[0].start()].strip():
        raise ValueError(f"keep the lines such as === user ===, and === {_REST} === as the last of them")
    messages = []
    for number, (head, following) in enumerate(itertools.pairwise(heads)):
        content = text[head.end() + 1 : following.start()].removesuffix("\n")
        old = row.messages[number] if number < len(row.messages) else None
        # What a message has beside its text stays, as long as the same role stands in its place.
        same = old if old is not None and old.role == head.group(1) else Message(head.group(1))
        messages.append(msgspec.structs.replace(same, content=content))
    rest = msgspec.json.decode(text[heads[-1].end() :], type=dict[str, Any])
    return msgspec.convert({**rest, "messages": msgspec.to_builtins(messages)}, Row)


def _rest(row: Row) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(row)
    fields.pop("messages")
    return fields
