"""The texts of a row that duplicates are looked for in, and keys under which equal texts meet."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from curate.core.digests import canonical_json
from curate.core.rows import SCENE, Message, Row

KEY_BYTES = 16  # 128 bits: two different texts share a key by chance once in 10^19 datasets of a billion rows


def chosen_text(row: Row, on: str) -> str:
    """The row's `prompt`, `answer` or `conversation` as text, without system messages."""
    if on == "answer":
        return answer_text(row)
    messages = row.prompt if on == "prompt" else row.messages
    return "\n".join(message_text(message) for message in messages if message.role not in SCENE)


def answer_text(row: Row) -> str:
    """The last assistant message as text, with its tool calls."""
    for message in reversed(row.messages):
        if message.role == "assistant":
            return message_text(message)
    return ""


def message_text(message: Message) -> str:
    """The message's text, followed by its tool calls as JSON."""
    if not message.tool_calls:
        return message.text
    return f"{message.text}\n{canonical_json(message.tool_calls).decode()}"


def text_lengths(row: Row) -> tuple[int, int]:
    """The characters of all messages together, and those of the row's conversation as `chosen_text` has it."""
    whole = conversation = turns = 0
    for message in row.messages:
        size = len(message.content) if isinstance(message.content, str) else len(message.text)
        if message.tool_calls:
            size += 1 + len(canonical_json(message.tool_calls).decode())
        whole += size
        if message.role not in SCENE:
            turns += 1
            conversation += size
    return whole, conversation + max(turns - 1, 0)


def normalized(text: str) -> str:
    """The same text for texts that differ in case and whitespace alone."""
    return " ".join(text.lower().split())


def text_key(text: str) -> bytes:
    """The same 16 bytes for texts that differ in case and whitespace alone."""
    return exact_key(normalized(text))


def exact_key(text: str) -> bytes:
    """The same 16 bytes for equal texts alone."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


def first_of_each(found: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each key the position of the first that is equal to it. Shape of the keys: (n, KEY_BYTES)."""
    firsts = np.arange(len(found))
    heads = found.reshape(-1, KEY_BYTES).view(np.uint64)[:, 0]
    order = np.argsort(heads, kind="stable")
    same = np.flatnonzero(heads[order[1:]] == heads[order[:-1]])
    seen: dict[bytes, int] = {}
    for at in np.unique(order[np.concatenate([same, same + 1])]).tolist():
        firsts[at] = seen.setdefault(found[at].tobytes(), at)
    return firsts
