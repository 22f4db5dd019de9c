"""Rows of nothing but text, the common case: what is asked of every row, worked out for thousands at once."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from curate.blake2b import digest, room_for
from curate.core.digests import canonical_json
from curate.core.machine_code import U8, U64, Number, call, compiled
from curate.core.normalize import KEY_BYTES, normalized, text_key
from curate.core.rows import SCENE, Message, Row
from curate.rules.conversation import check_messages
from curate.rules.text import is_clear

_SHAPES = 1024  # orders of roles that are remembered: datasets have a few, up to hundreds where talks are long
_LINE_END = b"\n"
_TURN, _ANSWER, _SCENE = 0, 1, 2  # what a role is, as machine code knows it


@dataclass(frozen=True, slots=True)
class WorkedOut:
    """What was worked out of n rows."""

    keys: NDArray[np.uint8]
    """The keys of each row and of its prompt, as `curate.keys` makes them; shape (n, 2 * KEY_BYTES)."""
    lengths: NDArray[np.int64]
    """`text_lengths` of each row; shape (n, 2)."""
    sound: NDArray[np.bool_]
    """Is there surely nothing in the row that the rules of conversation, tools and text object to?"""
    prompts: list[str]
    """`chosen_text` of each row's prompt."""


def is_plain(row: Row) -> bool:
    """Are the row's messages nothing but text?"""
    for message in row.messages:
        if message.tool_calls or not isinstance(message.content, str):
            return False
    return bool(row.messages)


def all_plain(rows: Sequence[Row]) -> bool:
    """Are all of these rows plain, as most pieces of most files are? Quicker than asking each."""
    messages = [message for row in rows for message in row.messages]
    calls = [message.tool_calls for message in messages]
    lists = [row.messages for row in rows]
    return not any(calls) and all(lists) and set(map(type, [message.content for message in messages])) <= {str}


def work_out(rows: Sequence[Row]) -> WorkedOut:
    """What is asked of each of these rows, all of them plain."""
    orders = [tuple([message.role for message in row.messages]) for row in rows]
    texts: list[str] = [message.content for row in rows for message in row.messages]  # type: ignore[misc]  # plain
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    lasts = np.cumsum(np.fromiter(map(len, orders), np.int64, len(orders)))
    roles = list(chain.from_iterable(orders))
    numbers = {role: number for number, role in enumerate(dict.fromkeys(roles))}
    of_message = np.fromiter(map(numbers.__getitem__, roles), np.int64, len(roles))
    kinds = np.array([_SCENE if role in SCENE else _ANSWER if role == "assistant" else _TURN for role in numbers], U8)
    is_scene = kinds[of_message] == _SCENE if numbers else np.zeros(0, np.bool_)
    odd = np.zeros(len(texts), np.bool_)
    parts = list(texts)
    for at in np.flatnonzero(is_scene).tolist():
        parts[at] = scene(texts[at])
        odd[at] = not _is_clear_scene(texts[at])
    data, ends = _encoded(parts, odd)
    heads, head_ends = _laid_out([role_head(role).encode("utf-8", "surrogatepass") for role in numbers])
    tails, tail_ends = _laid_out([_LINE_END + canonical_json(row.tools) if row.tools else b"" for row in rows])
    keys = np.empty((len(rows), 2 * KEY_BYTES), U8)
    clear = np.empty(len(rows), np.bool_)
    asked = np.empty((len(rows), 2), np.int64)
    call(
        _work_out, (data, ends), (of_message, kinds, lasts), (heads, head_ends), (tails, tail_ends),
        keys.view(U64), clear, asked,
    )  # fmt: skip
    clear &= _sums(odd, lasts) == 0
    clear &= np.fromiter(map(_is_sound_order, orders), np.bool_, len(orders))
    return WorkedOut(keys, _lengths(sizes, is_scene, lasts), clear, _prompts(texts, asked, is_scene))


def _encoded(parts: list[str], odd: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The texts' bytes and where each ends. Those that are not ASCII are normalized here, and marked as odd."""
    whole = "".join(parts)
    if whole.isascii():
        return np.frombuffer(whole.encode(), U8), np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
    made: list[bytes] = []
    for at, text in enumerate(parts):
        if text.isascii():
            made.append(text.encode())
        else:
            odd[at] = True
            made.append(normalized(text).encode("utf-8", "surrogatepass"))
    return _laid_out(made)


def _laid_out(parts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return np.frombuffer(b"".join(parts), U8), np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))


def _sums(values: NDArray[np.int64] | NDArray[np.bool_], lasts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of the values of each row's messages."""
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])[lasts]
    return np.diff(sums, prepend=0)


def _lengths(sizes: NDArray[np.int64], is_scene: NDArray[np.bool_], lasts: NDArray[np.int64]) -> NDArray[np.int64]:
    turns = _sums(~is_scene, lasts)
    return np.stack([_sums(sizes, lasts), _sums(np.where(is_scene, 0, sizes), lasts) + np.maximum(turns - 1, 0)], 1)


def _prompts(texts: list[str], asked: NDArray[np.int64], is_scene: NDArray[np.bool_]) -> list[str]:
    """The turns before the last answer. One, the common case, is the prompt itself."""
    found = [texts[first] if count == 1 else "" for first, count in asked.tolist()]
    for row in np.flatnonzero(asked[:, 1] > 1).tolist():
        first, left = asked[row].tolist()
        several: list[str] = []
        while len(several) < left:
            if not is_scene[first]:
                several.append(texts[first])
            first += 1
        found[row] = "\n".join(several)
    return found


def join_keys(heads: Sequence[str], texts: Sequence[str], tools: object) -> bytes:
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


@functools.lru_cache(maxsize=256)
def _is_clear_scene(text: str) -> bool:
    return bool(text) and not text.isspace() and is_clear([text])


@functools.lru_cache(maxsize=_SHAPES)
def _is_sound_order(roles: tuple[str, ...]) -> bool:
    """Has validation nothing to say of messages with text by these roles?"""
    like = Row(id="", messages=[Message(role, "text") for role in roles])
    return "tool" not in roles and check_messages(like) is None


@compiled
def _work_out(
    texts: tuple[NDArray[np.uint8], NDArray[np.int64]],
    roles: tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]],
    heads: tuple[NDArray[np.uint8], NDArray[np.int64]],
    tails: tuple[NDArray[np.uint8], NDArray[np.int64]],
    keys: NDArray[np.uint64],
    clear: NDArray[np.bool_],
    asked: NDArray[np.int64],
) -> None:
    """Write each row's keys, whether its texts are clear (of those that are ASCII), and where its prompt is.

    That is the number of its first message, and how many messages it has.
    """
    data, ends = texts
    of_message, kinds, lasts = roles
    head_data, head_ends = heads
    tail_data, tail_ends = tails
    size = _most_bytes(ends, lasts, head_ends, tail_ends)
    whole_eights, prompt_eights, state = room_for(size), room_for(size), np.empty(8, np.uint64)
    whole, prompt = whole_eights.view(np.uint8), prompt_eights.view(np.uint8)
    first = 0
    for row in range(lasts.size):
        last = lasts[row]
        answer = last
        for message in range(first, last):
            if kinds[of_message[message]] == _ANSWER:
                answer = message
        used, prompt_used = 0, 0
        is_fine: Number = True
        asked[row, 0], asked[row, 1] = first, 0
        for message in range(first, last):
            if used:
                whole[used] = 0x0A
                used += 1
            role = of_message[message]
            used = _copied(head_data, head_ends, role, whole, used)
            whole[used] = 0x0A
            used += 1
            begin = ends[message - 1] if message else 0
            end, fine = _normalized(data, begin, ends[message], whole, used)
            is_fine = is_fine and fine
            if message < answer and kinds[role] != _SCENE:
                if not asked[row, 1]:
                    asked[row, 0] = message
                asked[row, 1] += 1
                if end > used and prompt_used:
                    prompt[prompt_used] = 0x20
                    prompt_used += 1
                prompt[prompt_used : prompt_used + end - used] = whole[used:end]
                prompt_used += end - used
            used = end
        first = last
        clear[row] = is_fine
        # The line end that a tail begins with parts it from messages: without one there is nothing to part.
        used = _copied(tail_data, tail_ends, row, whole, used)
        digest(whole, whole_eights, used, 16, state)
        keys[row, 0], keys[row, 1] = state[0], state[1]
        digest(prompt, prompt_eights, prompt_used, 16, state)
        keys[row, 2], keys[row, 3] = state[0], state[1]


@compiled
def _most_bytes(
    ends: NDArray[np.int64],
    lasts: NDArray[np.int64],
    head_ends: NDArray[np.int64],
    tail_ends: NDArray[np.int64],
) -> Number:
    """At least as many bytes as what stands for any one row has."""
    longest_head = 0
    for role in range(head_ends.size):
        longest_head = max(longest_head, head_ends[role] - (head_ends[role - 1] if role else 0))
    most, first = 0, 0
    for row in range(lasts.size):
        last = lasts[row]
        size = ends[last - 1] - (ends[first - 1] if first else 0) if last > first else 0
        size += tail_ends[row] - (tail_ends[row - 1] if row else 0)
        most = max(most, size + (last - first) * (longest_head + 2))
        first = last
    return most


@compiled
def _copied(
    data: NDArray[np.uint8], ends: NDArray[np.int64], number: Number, out: NDArray[np.uint8], used: Number
) -> Number:
    """Copy a part of `data` to out[used:] and return where it ends there."""
    for at in range(U64(ends[number - 1] if number else 0), U64(ends[number])):
        out[U64(used)] = data[at]
        used += 1
    return used


@compiled
def _normalized(
    data: NDArray[np.uint8], begin: Number, end: Number, out: NDArray[np.uint8], used: Number
) -> tuple[Number, Number]:
    """Write `normalized` of ASCII text to out[used:]; return where it ends there, and whether the text is clear.

    Clear is what is not blank and has none of the characters that `is_clear` looks for. What is beyond ASCII is copied.
    """
    # Unsigned places: for signed ones the compiler tests each access for Python's negative indices.
    first, before, waiting = U64(used), U8(0), False
    here: Number = first
    fine: Number = True
    for at in range(U64(begin), U64(end)):
        byte = data[at]
        # What `str.split` splits ASCII by.
        if byte <= 0x20 and (byte == 0x20 or 0x09 <= byte <= 0x0D or 0x1C <= byte <= 0x1F):
            waiting = here > first
            before = byte
            continue
        if waiting:
            out[here] = 0x20
            here += U64(1)
            waiting = False
        if byte == 0x00 or byte == 0x3C or byte == 0x5B or (byte == 0x7B and before == 0x7B):  # noqa: PLR1714 - quicker
            fine = False
        before = byte
        out[here] = U8(byte | 0x20) if U8(byte - U8(0x41)) < U8(26) else byte
        here += U64(1)
    return np.int64(here), fine and here > first
