"""Preference rows: there is a rejected answer, and it is another one than the chosen."""

import unicodedata
from collections.abc import Sequence

import msgspec

from curate.core.rows.preference_pair import is_pair, rejected_conversation
from curate.core.rows.row import Message, Row
from curate.recipe.rule_ids import Fault


def check_pair(row: Row) -> Fault | None:
    """The first fault of the row's rejected side, where it has one."""
    if not is_pair(row):
        return None
    try:
        rejected = rejected_conversation(row)
    except (msgspec.MsgspecError, TypeError) as error:
        return "no-rejected-answer", f"meta.rejected is neither text nor messages: {error}"
    last = rejected[-1] if rejected else None
    if last is None or last.role != "assistant" or not (last.text.strip() or last.tool_calls):
        return "no-rejected-answer", "meta.rejected holds no answer"
    if _read(rejected) == _read(row.messages):
        return "same-answers", "the rejected answer is the chosen one"
    return None


def _read(messages: Sequence[Message]) -> list[object]:
    """What a reader sees: ends of lines and ways to compose a letter aside. Case and indentation can be the point."""
    return [
        (message.role, _visible(message.text), _visible(message.reasoning_content or ""), message.tool_calls or None)
        for message in messages
    ]


def _visible(text: str) -> str:
    return "\n".join(line.rstrip() for line in unicodedata.normalize("NFC", text).strip().splitlines())
