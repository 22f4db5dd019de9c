"""The rejected side of a preference row, which `meta.rejected` holds beside the row's messages, the chosen side."""

from typing import Any

import msgspec

from curate.core.rows.row import SCENE, Message, Row


def is_pair(row: Row) -> bool:
    """Has the row a rejected side, if an empty one? A flag or a number of that name is something else."""
    return "rejected" in row.meta and not isinstance(row.meta["rejected"], bool | int | float)


def rejected_conversation(row: Row) -> list[Message]:
    """The messages with the rejected answer: given as its text, as one or more messages, or as a whole conversation.

    Empty where there is no such answer. Raises: msgspec.ValidationError for a side of another shape.
    """
    rejected: Any = row.meta.get("rejected")
    if isinstance(rejected, str):
        return [*row.prompt, Message("assistant", rejected)]
    if isinstance(rejected, dict):
        rejected = [rejected]
    messages = msgspec.convert(rejected or [], list[Message])
    if not messages or messages[0].role in ("assistant", "tool"):
        return [*row.prompt, *messages] if messages else []
    scene = [] if messages[0].role in SCENE else [message for message in row.messages[:1] if message.role in SCENE]
    return [*scene, *messages]
