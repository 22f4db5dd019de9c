"""Keys under which equal rows meet: 16 bytes for a row, and 16 for its prompt."""

import functools

from curate.core.digests import canonical_json
from curate.core.rows.row import SCENE, Row
from curate.core.rows.row_text import exact_key, message_text, normalized, text_key


def make_keys(row: Row) -> bytes:
    """The key of a row, the same for rows that are equal up to case and whitespace, then `text_key` of its prompt."""
    parts, prompt = [], []
    asked = len(row.prompt)
    for at, message in enumerate(row.messages):
        text = message_text(message)
        if message.role in SCENE:
            parts += [role_head(message.role), scene(text)]
            continue
        text = normalized(text)
        # Neither form holds line ends, nor does JSON: different rows give different text.
        parts += [role_head(message.role), text]
        if at < asked and text:
            prompt.append(text)
    if row.tools:
        parts.append(canonical_json(row.tools).decode())
    # Texts that are normalised one by one and joined by a blank are their lines normalised as one text.
    return exact_key("\n".join(parts)) + exact_key(" ".join(prompt))


@functools.lru_cache(maxsize=64)
def role_head(role: str) -> str:
    """A form of the role without line ends."""
    return repr(role)


@functools.lru_cache(maxsize=256)
def scene(text: str) -> str:
    """What stands for a system prompt: whole sources share a few, and they can be long."""
    return text_key(text).hex()
