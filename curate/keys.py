"""The keys of an entry, each made once: stages meet rows by them again and again, and making them costs most."""

import functools
from typing import TYPE_CHECKING

from curate.core.rows import SCENE, Message, Row
from curate.normalize import KEY_BYTES, chosen_text, join_keys, message_text, text_key

if TYPE_CHECKING:
    from curate.entries import Entry

_PROMPT, _ANSWER, _CONVERSATION = KEY_BYTES, 2 * KEY_BYTES, 3 * KEY_BYTES


def row_key(entry: "Entry") -> bytes:
    """The same bytes for rows that are exact duplicates: all messages with their roles, and the tools."""
    return entry.keys[:_PROMPT]


def prompt_key(entry: "Entry") -> bytes:
    """`text_key` of the row's prompt without system messages."""
    return prompt_part(entry.keys)


def prompt_part(keys: bytes) -> bytes:
    """The prompt's of a row's keys."""
    return keys[_PROMPT:_ANSWER]


def answer_key(entry: "Entry") -> bytes:
    """`text_key` of the row's last answer with its tool calls."""
    return entry.keys[_ANSWER:_CONVERSATION]


def chosen_key(entry: "Entry", on: str) -> bytes:
    """`text_key` of what duplicates are looked for in: `prompt`, `answer` or `conversation`."""
    if on == "prompt":
        return prompt_key(entry)
    if on == "answer":
        return answer_key(entry)
    return entry.keys[_CONVERSATION:] or text_key(chosen_text(entry.row, on))


def make_keys(row: Row, *, conversation: bool = False) -> bytes:
    """The keys of a row, one behind the other: those of the row, its prompt, its answer, and where asked the fourth."""
    keys = [_message_key(message) for message in row.messages]
    answer = next((at for at in range(len(keys) - 1, -1, -1) if row.messages[at].role == "assistant"), len(keys))
    turns = [at for at in range(answer) if row.messages[at].role not in SCENE]
    # One turn, the common case, is the prompt itself: no need to normalise its text again.
    prompt = keys[turns[0]] if len(turns) == 1 else text_key(chosen_text(row, "prompt"))
    last = keys[answer] if answer < len(keys) else text_key("")
    return (
        join_keys([message.role for message in row.messages], keys, row.tools)
        + prompt
        + last
        + (text_key(chosen_text(row, "conversation")) if conversation else b"")
    )


def _message_key(message: Message) -> bytes:
    content = message.content
    if message.tool_calls or not isinstance(content, str):
        return text_key(message_text(message))
    return _scene_key(content) if message.role in SCENE else text_key(content)


# Whole sources share a few system prompts.
_scene_key = functools.lru_cache(maxsize=256)(text_key)
