"""The keys of an entry, each made once: stages meet rows by them again and again, and making them costs most."""

import functools
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.core.digests import canonical_json
from curate.core.rows.row import SCENE, Row
from curate.core.rows.row_text import KEY_BYTES, answer_text, chosen_text, message_text, normalized, text_key

if TYPE_CHECKING:
    from curate.table.row_ref import Entry

ROW, PROMPT, CHOSEN = range(3)
"""Which key of a row's keys is which: the third is there where `make_keys` was asked for it."""


def prompt_part(keys: bytes) -> bytes:
    """The prompt's of a row's keys: `text_key` of its prompt without system messages."""
    return keys[PROMPT * KEY_BYTES : CHOSEN * KEY_BYTES]


def answer_key(entry: "Entry") -> bytes:
    """`text_key` of the row's last answer with its tool calls."""
    return text_key(answer_text(entry.row))


def chosen_key(entry: "Entry", on: str) -> bytes:
    """`text_key` of what duplicates are looked for in: `prompt`, `answer` or `conversation`."""
    if on == "prompt":
        return prompt_part(entry.keys)
    return entry.keys[CHOSEN * KEY_BYTES :] or text_key(chosen_text(entry.row, on))


def make_keys(row: Row, on: str = "prompt") -> bytes:
    """The keys of a row, one behind the other: those of the row and its prompt, and of the text `on` where another."""
    heads = [role_head(message.role) for message in row.messages]
    given = [(message.role, message_text(message)) for message in row.messages]
    texts = [scene(text) if role in SCENE else normalized(text) for role, text in given]
    keys = _join_keys(heads, texts, row.tools) + text_key(chosen_text(row, "prompt"))
    return keys if on == "prompt" else keys + text_key(chosen_text(row, on))


def _join_keys(heads: Sequence[str], texts: Sequence[str], tools: object) -> bytes:
    """One key for messages with these roles (`role_head`) and normalized texts, and these tools."""
    # Neither holds line ends, nor does JSON: different rows give different text.
    parts = [text for pair in zip(heads, texts, strict=True) for text in pair]
    if tools:
        parts.append(canonical_json(tools).decode())
    whole = "\n".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(whole, digest_size=KEY_BYTES).digest()


def role_head(role: str) -> str:
    """A form of the role without line ends."""
    return repr(role)


@functools.lru_cache(maxsize=256)
def scene(text: str) -> str:
    """What stands for a system prompt: whole sources share a few, and they can be long."""
    return text_key(text).hex()
