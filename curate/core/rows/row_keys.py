"""Keys under which equal rows meet: 16 bytes for a row, and 16 for its prompt."""

import functools

from curate.core.digests import canonical_json
from curate.core.rows.row import SCENE, Row
from curate.core.rows.row_text import chosen_text, exact_key, message_text, normalized, text_key


def make_keys(row: Row) -> bytes:
    """The key of a row, the same for rows that are equal up to case and whitespace, then `text_key` of its prompt."""
    parts = []
    for message in row.messages:
        text = message_text(message)
        # Neither form holds line ends, nor does JSON: different rows give different text.
        parts += [role_head(message.role), scene(text) if message.role in SCENE else normalized(text)]
    if row.tools:
        parts.append(canonical_json(row.tools).decode())
    return exact_key("\n".join(parts)) + text_key(chosen_text(row, "prompt"))


def role_head(role: str) -> str:
    """A form of the role without line ends."""
    return repr(role)


@functools.lru_cache(maxsize=256)
def scene(text: str) -> str:
    """What stands for a system prompt: whole sources share a few, and they can be long."""
    return text_key(text).hex()
