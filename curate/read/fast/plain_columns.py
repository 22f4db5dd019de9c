"""Rows of nothing but text, the common case: what is asked of every row, worked out for thousands at once."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.digests import blake2b_of_each, canonical_json
from curate.core.numba_kernels import U8, U64, Number, call, compiled
from curate.core.rows.row import SCENE, Message, Row
from curate.core.rows.row_keys import (
    BESIDE,
    SHORT_WORDS,
    label_number,
    layout_number,
    role_head,
    row_tail,
    scene,
    scene_number,
)
from curate.core.rows.row_text import KEY_BYTES
from curate.dedup.shingle_words import is_word_by_itself
from curate.read.fast.chat_lines import OTHER, ROLES, Scanned
from curate.read.fast.gather_texts import gathered
from curate.table.text_buffer import TextBuffer
from curate.validate.rules.conversation import check_messages
from curate.validate.rules.text import is_clear

_SHAPES = 1024  # orders of roles that are remembered: datasets have a few, up to hundreds where talks are long
_TURN, _ANSWER, _SCENE, _NO_TURN = 0, 1, 2, 3  # what a role is, as machine code knows it


@dataclass(frozen=True, slots=True)
class PlainColumns:
    """What was worked out of n lines; of those that don't fit it means nothing, but for their prompts."""

    keys: NDArray[np.uint8]
    """The keys of each row and of its prompt, as `curate.core.rows.row_keys` makes them; shape (n, 2 * KEY_BYTES)."""
    lengths: NDArray[np.int64]
    """`text_lengths` of each row; shape (n, 2)."""
    is_clear: NDArray[np.bool_]
    """Is there surely nothing in the row that the rules of conversation, tools and text object to?"""
    prompts: TextBuffer
    """`chosen_text` of each row's prompt."""
    beside: NDArray[np.uint64]
    """`row_keys.beside` of each row; shape (n, BESIDE)."""


def plain_columns(
    scanned: Scanned, tools: Mapping[int, object], labels: Mapping[int, str], prompts: Mapping[int, str]
) -> PlainColumns:
    """What is asked of each of these rows; `tools` and `labels` are those of the rows that have some, by number.

    `prompts` are those of the lines that don't fit.
    """
    roles, lasts = scanned.roles, scanned.lasts
    is_scene = _KINDS[roles] == _SCENE
    more = _Side(scanned.data)
    forms, asked_forms = scanned.texts.copy(), scanned.texts.copy()
    odd = scanned.doubtful.copy()
    for at in np.flatnonzero(~scanned.ascii & ~is_scene).tolist():
        lowered = more.text(scanned.texts[at]).lower()
        forms[at] = more.put(" ".join(lowered.split()))
        asked_forms[at] = more.put(lowered)
    scenes = _put_scenes(scanned, np.flatnonzero(is_scene), more, (forms, odd))
    for at, prompt in prompts.items():
        asked_forms[lasts[at] - 1] = more.put(prompt.lower())
    tails = [row_tail(tools.get(at), labels.get(at)) for at in range(lasts.size)] if tools or labels else []
    clear, asked = np.empty(lasts.size, np.bool_), np.zeros(roles.size, np.bool_)
    data, tail = more.joined(), _laid_out(tails)
    longest = max(len(role_head(role)) for role in ROLES)
    sizes = np.maximum(forms[:, 1] - forms[:, 0], scanned.texts[:, 1] - scanned.texts[:, 0])
    most = int((sizes + longest + 2).sum()) + tail[0].size
    room = np.empty((3, most), U8)
    ends = np.empty((3, lasts.size), np.int64)
    shape = np.empty((lasts.size, 2), np.int64)
    places = (forms, scanned.texts)
    call(_work_out, data, places, (roles, _KINDS, lasts), _HEADS, tail, (room, ends, shape), (clear, asked))
    keys = np.stack([_keys(room[at], ends[at]) for at in (0, 1)], 1).reshape(-1, 2 * KEY_BYTES)
    beside = _beside(room[2], ends[2], shape, labels)
    beside[:, 0] = _scenes(scanned, is_scene, scenes, tools)
    clear &= _sums(odd, lasts) == 0
    clear &= _sound_orders(scanned)
    lengths = _lengths(scanned.lengths, is_scene, lasts)
    return PlainColumns(keys, lengths, clear, gathered(data, asked_forms, asked, lasts), beside)


def _keys(texts: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The keys of texts that stand one behind the other; shape (n, KEY_BYTES)."""
    return np.frombuffer(blake2b_of_each(texts.data, ends.tolist(), KEY_BYTES), U8).reshape(-1, KEY_BYTES)


def _beside(
    texts: NDArray[np.uint8], ends: NDArray[np.int64], shape: NDArray[np.int64], labels: Mapping[int, str]
) -> NDArray[np.uint64]:
    """`row_keys.beside` of the rows but for their scenes, from the forms of their answers."""
    same = np.frombuffer(blake2b_of_each(texts.data, ends.tolist(), 8), np.dtype("<u8"))
    words, indented = shape.T
    answered, is_short = words >= 0, words < SHORT_WORDS
    found = np.zeros((ends.size, BESIDE), U64)
    found[:, 1] = np.where(answered & is_short, same, U64(0))
    found[:, 2] = np.where(is_short, U64(0), np.maximum(same, U64(1)))
    for at, label in labels.items():
        found[at, 1] = _sum(found[at, 1], label_number(label))
    for at in np.flatnonzero((indented > 0) & ~is_short).tolist():
        form = texts[ends[at - 1] if at else 0 : ends[at]].tobytes().decode("utf-8", "surrogatepass")
        found[at, 1] = _sum(found[at, 1], layout_number(form))
    return found


def _sum(one: Number, other: int) -> np.uint64:
    return U64((int(one) + other) & ((1 << 64) - 1))


def _scenes(
    scanned: Scanned, is_scene: NDArray[np.bool_], texts: Mapping[int, str], tools: Mapping[int, object]
) -> NDArray[np.uint64]:
    """The number of each row's scene; `texts` are those of the messages that set one."""
    lasts = scanned.lasts
    found = np.zeros(lasts.size, U64)
    rows = np.searchsorted(lasts, np.flatnonzero(is_scene), side="right").tolist()
    of_row: dict[int, list[tuple[str, str]]] = {}
    for row, (at, text) in zip(rows, texts.items(), strict=True):
        of_row.setdefault(row, []).append((ROLES[scanned.roles[at]], text))
    for row in {**of_row, **tools}:
        found[row] = _scene_of(tuple(of_row.get(row, ())), canonical_json(tools[row]) if row in tools else b"")
    return found


@functools.lru_cache(maxsize=_SHAPES)
def _scene_of(messages: tuple[tuple[str, str], ...], tools: bytes) -> int:
    made = [Message(role, text) for role, text in messages]
    return scene_number(Row(id="", messages=made, tools=msgspec.json.decode(tools) if tools else None))


class _Side:
    """Bytes that are put behind those of the lines."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data, self._parts, self._size = data, list[bytes](), data.size

    def text(self, place: NDArray[np.int64]) -> str:
        """The text at this place of the lines."""
        return self._data[place[0] : place[1]].tobytes().decode()

    def put(self, text: str) -> tuple[int, int]:
        """Take in a text and say where it is."""
        self._parts.append(text.encode("utf-8", "surrogatepass"))
        first, self._size = self._size, self._size + len(self._parts[-1])
        return first, self._size

    def joined(self) -> NDArray[np.uint8]:
        """All bytes."""
        if not self._parts:
            return self._data
        return np.concatenate([self._data, np.frombuffer(b"".join(self._parts), U8)])


def _put_scenes(
    scanned: Scanned, at: NDArray[np.int64], more: _Side, out: tuple[NDArray[np.int64], NDArray[np.bool_]]
) -> dict[int, str]:
    """Put what stands for system prompts in their place, and mark as odd those that rules have to look at.

    Returns the text of each, by the number of its message.
    """
    forms, odd = out
    is_new = np.empty(at.size, np.bool_)
    call(_mark_new, scanned.data, scanned.texts[at], is_new)
    found = [more.text(place) for place in scanned.texts[at[is_new]]]
    known = {text: more.put(scene(text)) for text in dict.fromkeys(found)}
    of_each = np.cumsum(is_new) - 1
    forms[at] = np.array([known[text] for text in found], np.int64).reshape(-1, 2)[of_each]
    odd[at] = np.array([not _is_clear_scene(text) for text in found], np.bool_)[of_each]
    return {number: found[which] for number, which in zip(at.tolist(), of_each.tolist(), strict=True)}


@compiled
def _mark_new(data: NDArray[np.uint8], places: NDArray[np.int64], is_new: NDArray[np.bool_]) -> None:
    """Mark each text that is not the one before."""
    for number in range(len(places)):
        begin, size = places[number, 0], places[number, 1] - places[number, 0]
        before = places[number - 1, 0] if number else 0
        same = number > 0 and places[number - 1, 1] - before == size
        at = 0
        while same and at < size:
            same = data[before + at] == data[begin + at]
            at += 1
        is_new[number] = not same


def _laid_out(parts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return np.frombuffer(b"".join(parts), U8), np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))


def _sums(values: NDArray[np.int64] | NDArray[np.bool_], lasts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of the values of each row's messages."""
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])[lasts]
    return np.diff(sums, prepend=0)


def _lengths(sizes: NDArray[np.int64], is_scene: NDArray[np.bool_], lasts: NDArray[np.int64]) -> NDArray[np.int64]:
    turns = _sums(~is_scene, lasts)
    return np.stack([_sums(sizes, lasts), _sums(np.where(is_scene, 0, sizes), lasts) + np.maximum(turns - 1, 0)], 1)


def _sound_orders(scanned: Scanned) -> NDArray[np.bool_]:
    """Of which lines validation has nothing to say of messages with text by these roles."""
    _, firsts, of_each = np.unique(scanned.shapes, return_index=True, return_inverse=True)
    sound: NDArray[np.bool_] = np.array([_is_sound_order(_order(scanned, at)) for at in firsts.tolist()], np.bool_)[
        of_each
    ]
    for at in np.flatnonzero(scanned.shapes == 0).tolist():
        sound[at] = _is_sound_order(_order(scanned, at))
    return sound


def _order(scanned: Scanned, at: int) -> tuple[int, ...]:
    return tuple(scanned.roles[scanned.lasts[at - 1] if at else 0 : scanned.lasts[at]].tolist())


@functools.lru_cache(maxsize=256)
def _is_clear_scene(text: str) -> bool:
    return bool(text) and not text.isspace() and is_clear([text])


@functools.lru_cache(maxsize=_SHAPES)
def _is_sound_order(numbers: tuple[int, ...]) -> bool:
    """Has validation nothing to say of messages with text by the roles with these numbers?"""
    if OTHER in numbers:
        return False
    roles = [ROLES[number] for number in numbers]
    like = Row(id="", messages=[Message(role, "text") for role in roles])
    return "tool" not in roles and check_messages(like) is None


# What each role is to machine code, and how it stands in keys.
_KINDS = np.array(
    [*(_SCENE if role in SCENE else _ANSWER if role == "assistant" else _TURN for role in ROLES), _NO_TURN], U8
)
_HEADS = _laid_out([*(role_head(role).encode() for role in ROLES), b""])


@compiled
def _work_out(
    data: NDArray[np.uint8],
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    roles: tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]],
    heads: tuple[NDArray[np.uint8], NDArray[np.int64]],
    tails: tuple[NDArray[np.uint8], NDArray[np.int64]],
    texts: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]],
    told: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    """Write what each row's keys are made of, and say whether its texts are clear and which messages are its prompt.

    Args:
        data: the bytes that all places are in.
        places: the places of the messages' texts, or of what stands for them, and of the texts as they are; (m, 2).
        roles: each message's role, what kind each role is, and how many messages the rows up to each have.
        heads: what stands for each role.
        tails: what stands for each row's tools and label.
        texts: room for what the keys are made of, (3, bytes), for where each row's ends there, (3, n), and for the
            words of each row's answer, -1 for no answer, and whether lines of it are indented, (n, 2).
            First what stands for the whole row, then for its prompt, then for its answer.
        told: room for whether each row's texts are clear, of those that are ASCII, and for which messages are asked.
    """
    clear, asked = told
    room, ends, shape = texts
    whole, prompt, whole_ends, prompt_ends = room[0], room[1], ends[0], ends[1]
    answers, answers_used = room[2], 0
    forms, as_they_are = places
    of_message, kinds, lasts = roles
    tail_data, tail_ends = tails
    first, used, prompt_used = 0, 0, 0
    for row in range(lasts.size):
        last = lasts[row]
        answer = last
        for message in range(first, last):
            if kinds[of_message[message]] == _ANSWER:
                answer = message
        begin, prompt_begin = used, prompt_used
        is_fine: Number = True
        shape[row, 0], shape[row, 1] = -1, 0
        for message in range(first, last):
            if used > begin:
                whole[used] = 0xFF
                used += 1
            role = of_message[message]
            used = _copied(heads[0], heads[1], role, whole, used)
            whole[used] = 0xFF
            used += 1
            end, fine = _normalized(data, forms[message, 0], forms[message, 1], whole, used)
            is_fine = is_fine and fine
            if message < answer and kinds[role] != _SCENE:
                asked[message] = True
                if end > used and prompt_used > prompt_begin:
                    prompt[prompt_used] = 0x20
                    prompt_used += 1
                for at in range(U64(used), U64(end)):
                    prompt[U64(prompt_used)] = whole[at]
                    prompt_used += 1
            if kinds[role] == _ANSWER:
                begins, stops = as_they_are[message, 0], as_they_are[message, 1]
                end, words, indented = _answer_form(data, begins, stops, whole, used)
                if message == answer:
                    shape[row, 0], shape[row, 1] = words, indented
                    for at in range(U64(used), U64(end)):
                        answers[U64(answers_used)] = whole[at]
                        answers_used += 1
            used = end
        first = last
        clear[row] = is_fine
        # What a tail begins with parts it from messages: without one there is nothing to part.
        if tail_ends.size:
            used = _copied(tail_data, tail_ends, row, whole, used)
        whole_ends[row], prompt_ends[row], ends[2, row] = used, prompt_used, answers_used


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


@compiled
def _answer_form(
    data: NDArray[np.uint8], begin: Number, end: Number, out: NDArray[np.uint8], used: Number
) -> tuple[Number, Number, Number]:
    """Write `answer_form` of a text to out[used:]; where it ends there, its words, and whether lines are indented.

    The words are at least as many as `is_short` counts up to its limit.
    """
    first, here = U64(used), U64(used)
    words, indented, in_word, blanks_from = 0, 0, False, U64(begin)
    at, stop = U64(begin), U64(end)
    while at < stop:
        byte = data[at]
        if byte == 0x20 or 0x09 <= byte <= 0x0D:
            at += U64(1)
            in_word = False
            continue
        # The blanks since the last word: at the start of the text nothing stays of them, else what follows a line end.
        if here > first:
            last_line = blanks_from
            for blank in range(blanks_from, at):
                if data[blank] == 0x0A:
                    last_line = blank + U64(1)
            has_line_end = last_line > blanks_from
            for blank in range(blanks_from, last_line):
                if data[blank] == 0x0A:
                    out[here] = 0x0A
                    here += U64(1)
            if not has_line_end and at > blanks_from:
                out[here] = 0x20
                here += U64(1)
                last_line = at
            for blank in range(last_line, at):
                out[here] = data[blank]
                here += U64(1)
                if has_line_end and (data[blank] == 0x20 or data[blank] == 0x09):
                    indented = 1
        if not in_word:
            words += 1
            in_word = True
        width = U64(1) if byte < 0xC2 else U64(2) if byte < 0xE0 else U64(3) if byte < 0xF0 else U64(4)
        char = np.int64(byte)
        for more in range(U64(0), width):
            out[here] = data[at + more]
            here += U64(1)
            if more:
                char = (char << 8) | np.int64(data[at + more])
        if width > 2 and is_word_by_itself(char):
            words += 1
        at += width
        blanks_from = at
    return np.int64(here), words, indented
