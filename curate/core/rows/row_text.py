"""The texts of a row that duplicates are looked for in, and keys under which equal texts meet."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from curate.core.digests import canonical_json
from curate.core.rows.row import SCENE, Message, Row

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


def exact_key(text: str | bytes) -> bytes:
    """The same 16 bytes for equal texts alone."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=KEY_BYTES).digest()


def first_of_each(found: NDArray[np.uint8], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of the numbers, which name keys, the position of the first whose key is equal.

    Shape of the keys: (n, KEY_BYTES). Where they are on disk, all but the first half of each is looked at only where
    those of two keys are equal.
    """
    heads = found[:, :8].view(np.uint64)[:, 0][numbers]
    return first_of_equal(heads, lambda some: [found[number].tobytes() for number in numbers[some].tolist()])


def first_of_equal(
    heads: NDArray[np.uint64], contents: Callable[[NDArray[np.int64]], Sequence[str | bytes]]
) -> NDArray[np.int64]:
    """For each position the first that has the same content; `contents` is asked only of some whose heads are equal."""
    firsts = np.arange(heads.size)
    order = np.argsort(heads, kind="stable")
    heads = heads[order]
    same = np.flatnonzero(heads[1:] == heads[:-1])
    some = np.unique(order[np.concatenate([same, same + 1])])
    del heads, order  # eight bytes a row each
    if some.size:
        seen: dict[str | bytes, int] = {}
        for at, content in zip(some.tolist(), contents(some), strict=True):
            firsts[at] = seen.setdefault(content, at)
    return firsts
