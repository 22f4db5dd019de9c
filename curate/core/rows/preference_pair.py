"""The rejected side of a preference row, which `meta.rejected` holds beside the row's messages, the chosen side."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from curate.core.rows.row import REJECTED, SCENE, Message, Row


def is_pair(row: Row) -> bool:
    """Has the row a rejected side, if an empty one? A flag or a number of that name is something else."""
    return REJECTED in row.meta and not isinstance(row.meta[REJECTED], bool | int | float)


def rejected_conversation(row: Row) -> list[Message]:
    """The messages with the rejected answer: given as its text, as one or more messages, or as a whole conversation.

    Empty where there is no such answer. Raises: msgspec.ValidationError for a side of another shape.
    """
    rejected: Any = row.meta.get(REJECTED)
    if isinstance(rejected, str):
        return [*row.prompt, Message("assistant", rejected)]
    if isinstance(rejected, dict):
        rejected = [rejected]
    messages = msgspec.convert(rejected or [], list[Message])
    if not messages or messages[0].role in ("assistant", "tool"):
        return [*row.prompt, *messages] if messages else []
    scene = [] if messages[0].role in SCENE else [message for message in row.messages[:1] if message.role in SCENE]
    return [*scene, *messages]


def compared_sides(row: Row, rejected: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """The chosen and the rejected conversation as preferences are learned: what both begin with has no weight."""
    pairs = zip(row.messages, rejected, strict=False)
    common = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(row.messages), len(rejected)))
    start = [replace(one, weight=0) if one.role == "assistant" else one for one in row.messages[:common]]
    return [*start, *row.messages[common:]], [*start, *rejected[common:]]
