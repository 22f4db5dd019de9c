"""Lines of plain chat taken apart by machine code: where messages and fields are, without making them objects.

Taken apart is what `msgspec` would read as a row, and what is common: known keys, each once, and texts. Every other
line is left to those who look closer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U8, U64, Number, call, compiled
from curate.read.fast.json_scan import is_null, past_blanks, past_value, string_end, to_value, unescape, word

ROLES = ("system", "developer", "user", "assistant", "tool")
"""The roles that have a number; what has another is left to those who look closer."""
_TOOL_ROLE = ROLES.index("tool")
OTHER = len(ROLES)
"""What stands for the role of the one message that a line which was not taken apart is said to have."""
ID, LABEL, SOURCE, GROUP = range(4)
"""The fields of a row that are text, as `Scanned.fields` has them."""
GIVEN_GOLD, GIVEN_SYNTHETIC = 1, 2

# The columns of what machine code writes of a line, and of a message.
_FITS, _ORIGINS, _LASTS, _SHAPE, _FIELDS, _ROW_NUMBERS = 0, 1, 2, 3, 4, 12
_LENGTH, _BEYOND, _DOUBTFUL, _TEXT, _WRITTEN, _MESSAGE_NUMBERS = 1, 2, 3, 4, 6, 8
_LEAST_MESSAGE = len('{"role":"user","content":""}')
_CODED_MESSAGES = 20  # as many roles as a number of 64 bits holds

_COMMA, _OPEN, _CLOSE, _FIRST, _LAST = (U8(ord(char)) for char in ",{}[]")


def _head(text: str) -> np.uint64:
    """What `word` makes of the first eight bytes of a text."""
    return U64(int.from_bytes(text.encode()[:8], "big"))


_ID, _LABEL, _SOURCE, _GROUP = map(_head, ("id", "label", "source", "group"))
_MESSAGES, _TOOLS, _ORIGIN, _META = map(_head, ("messages", "tools", "origin", "meta"))
_ROLE, _CONTENT, _NAME, _WEIGHT = map(_head, ("role", "content", "name", "weight"))
_TOOL_CALL, _CALLS_END, _CALL_ID_END = map(_head, ("tool_call", "ls", "l_id"))
_GOLD, _SYNTHETIC, _SYNTHETIC_END = map(_head, ("gold", "synthetic", "c"))
_SYSTEM, _DEVELOPER, _USER, _ASSISTANT, _TOOL = map(_head, ROLES)
_DEVELOPER_END, _ASSISTANT_END = map(_head, "rt")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What n lines say that have m messages together. Places are those in `data`, whose lines stand at its start."""

    data: NDArray[np.uint8]
    fits: NDArray[np.bool_]
    """Was the line taken apart?"""
    fields: NDArray[np.int64]
    """Where each of `ID`, `LABEL`, `SOURCE` and `GROUP` starts and ends, -1 where the line has none; (n, 4, 2)."""
    origins: NDArray[np.int64]
    """`GIVEN_GOLD`, `GIVEN_SYNTHETIC`, or 0 where the line has no origin."""
    lasts: NDArray[np.int64]
    """How many messages the lines up to each have: what does not fit is said to have one, of the role `OTHER`."""
    shapes: NDArray[np.int64]
    """A number for the roles of each line's messages in their order, 0 where there are too many."""
    roles: NDArray[np.int64]
    """The number of each message's role; shape (m,), as of all that follow."""
    texts: NDArray[np.int64]
    """Where its text starts and ends, without escapes; (m, 2)."""
    written: NDArray[np.int64]
    """Where its text starts and ends as a line of ours has it; (m, 2). -1 where it would be written otherwise."""
    lengths: NDArray[np.int64]
    """Its characters."""
    ascii: NDArray[np.bool_]
    """Is its text ASCII?"""
    doubtful: NDArray[np.bool_]
    """Has it letters that text which was decoded wrongly has, or characters that stand for lost ones?"""


def room_for_lines(size: int) -> NDArray[np.uint8]:
    """Room for `size` bytes of lines, and behind them for what taking them apart writes."""
    # Twice, for a text without its escapes is never longer; a string that has no end is ended by the zeros between.
    room = np.empty((2 * size + 64) // 8 * 8, U8)
    room[size : size + 24] = 0
    return room


def scan(data: NDArray[np.uint8], size: int, places: NDArray[np.int64], *, strict: bool) -> Scanned:
    """Take apart the lines at these places, (n, 2), within the first `size` bytes of `data` (`room_for_lines`).

    Where it is not `strict`, the lines are known to be rows: then fields with anything in them are passed over, and
    the id may be missing. Bytes are known to be UTF-8.
    """
    most = len(places) + size // _LEAST_MESSAGE
    rows, messages = np.empty((len(places), _ROW_NUMBERS), np.int64), np.empty((most, _MESSAGE_NUMBERS), np.int64)
    found = call(_scan, data, data.view(np.dtype("<u8")), size, places, strict, rows, messages)
    fits, origins, lasts, shapes = rows.T[:_FIELDS].copy()
    roles, lengths, beyond, doubtful = messages[:found].T[:_TEXT].copy()
    texts, written = messages[:found, _TEXT:_WRITTEN].copy(), messages[:found, _WRITTEN:].copy()
    fields = rows[:, _FIELDS:].reshape(-1, 4, 2).copy()
    return Scanned(
        data, fits > 0, fields, origins, lasts, shapes, roles, texts, written, lengths, beyond == 0, doubtful > 0
    )


@compiled
def _scan(
    data: NDArray[np.uint8], eights: NDArray[np.uint64], size: int, places: NDArray[np.int64], strict: bool,
    rows: NDArray[np.int64], messages: NDArray[np.int64],
) -> Number:  # fmt: skip
    """Write what each line and each message says to `rows` and `messages`; how many messages there are."""
    count, used = np.int64(0), np.int64(size + 24)
    for row in range(len(places)):
        for column in range(_FIELDS):
            rows[row, column] = 0
        for column in range(_FIELDS, _ROW_NUMBERS):
            rows[row, column] = -1
        last, more = _row(data, eights, places[row], strict, rows[row], messages, (count, used))
        if last > count and (not strict or rows[row, _FIELDS] < rows[row, _FIELDS + 1]):
            rows[row, _FITS], used = 1, more
            shape = np.int64(0)
            for message in range(count, last):
                shape = shape * 8 + messages[message, 0] + 1
            rows[row, _SHAPE] = shape if last - count <= _CODED_MESSAGES else 0
            count = last
        else:
            for column in range(_MESSAGE_NUMBERS):
                messages[count, column] = 0
            messages[count, 0] = OTHER
            count += 1
        rows[row, _LASTS] = count
    return count


@compiled
def _row(
    data: NDArray[np.uint8], eights: NDArray[np.uint64], place: NDArray[np.int64], strict: bool,
    told: NDArray[np.int64], messages: NDArray[np.int64], filled: tuple[Number, Number],
) -> tuple[Number, Number]:  # fmt: skip
    """Take one line apart; how many messages and bytes are filled then, 0 messages where it doesn't fit."""
    at, end = place[0], place[1]
    count, used = filled
    seen = 0
    at = past_blanks(data, at, end)
    if at >= end or data[at] != _OPEN:
        return 0, used
    while True:
        key, tail, at = word(data, past_blanks(data, at + 1, end), end)
        bit = _bit(key)
        at = to_value(data, at, end)
        if at < 0 or tail or not bit or seen & bit:
            return 0, used
        seen |= bit
        if key == _MESSAGES:
            at, count, used = _messages(data, eights, (at, end), strict, messages, (count, used))
        elif key not in (_ID, _META) and is_null(data, at, end):
            at += 4
        elif key == _ORIGIN:
            head, tail, at = word(data, at, end)
            told[_ORIGINS] = GIVEN_GOLD if head == _GOLD and not tail else GIVEN_SYNTHETIC
            if told[_ORIGINS] == GIVEN_SYNTHETIC and (head != _SYNTHETIC or tail != _SYNTHETIC_END):
                return 0, used
        elif key in (_TOOLS, _META):
            at = -1 if strict else past_value(data, eights, at, end)
        else:
            field = ID if key == _ID else LABEL if key == _LABEL else SOURCE if key == _SOURCE else GROUP
            stop, is_escaped, _ = string_end(data, eights, at, end)
            # Ids and labels with escapes are rare, and whoever needs them has to undo those.
            if stop < 0 or (strict and is_escaped):
                return 0, used
            told[_FIELDS + 2 * field], told[_FIELDS + 2 * field + 1] = at + 1, stop
            at = stop + 1
        at = -1 if at < 0 else past_blanks(data, at, end)
        if at < 0 or at >= end:
            return 0, used
        if data[at] != _COMMA:
            break
    if data[at] != _CLOSE or past_blanks(data, at + 1, end) < end:
        return 0, used
    return (count if count > filled[0] else 0), used


@compiled
def _bit(key: Number) -> Number:
    """One bit for each key of a row, 0 for any other."""
    bit = 0
    for number, known in enumerate((_ID, _LABEL, _SOURCE, _GROUP, _MESSAGES, _TOOLS, _ORIGIN, _META)):
        if key == known:
            bit = 1 << number
    return bit


@compiled
def _messages(
    data: NDArray[np.uint8], eights: NDArray[np.uint64], place: tuple[Number, Number], strict: bool,
    messages: NDArray[np.int64], filled: tuple[Number, Number],
) -> tuple[Number, Number, Number]:  # fmt: skip
    """Take a list of messages apart; where it ends, -1 where it doesn't fit, and how much is filled then."""
    at, end = place
    count, used = filled
    if at >= end or data[at] != _FIRST:
        return -1, count, used
    while True:
        at = past_blanks(data, at + 1, end)
        if at >= end or data[at] != _OPEN or count + 1 >= len(messages):
            return -1, count, used
        at, used = _message(data, eights, (at, end), strict, messages, (count, used))
        if at < 0:
            return -1, count, used
        count += 1
        at = past_blanks(data, at, end)
        if at >= end or data[at] != _COMMA:
            break
    return (at + 1 if at < end and data[at] == _LAST else -1), count, used


@compiled
def _message(
    data: NDArray[np.uint8], eights: NDArray[np.uint64], place: tuple[Number, Number], strict: bool,
    messages: NDArray[np.int64], filled: tuple[Number, Number],
) -> tuple[Number, Number]:  # fmt: skip
    """Take a message apart; where it ends, -1 where it doesn't fit, and how many bytes are filled then."""
    at, end = place
    count, used = filled
    role, has_text = -1, False
    while True:
        key, tail, at = word(data, past_blanks(data, at + 1, end), end)
        at = to_value(data, at, end)
        if at < 0:
            return -1, used
        if key == _ROLE and not tail and role < 0:
            head, tail, at = word(data, at, end)
            role = _role(head, tail)
            if role < 0 or (strict and role == _TOOL_ROLE):  # what a tool's result answers takes a closer look
                return -1, used
        elif key == _CONTENT and not tail and not has_text:
            at, used = _content(data, eights, (at, end), messages, (count, used))
            has_text = True
        elif _is_other(key, tail) and is_null(data, at, end):
            at += 4
        elif not strict and _is_other(key, tail) and (key != _TOOL_CALL or tail != _CALLS_END):
            at = past_value(data, eights, at, end)
        else:
            return -1, used
        at = -1 if at < 0 else past_blanks(data, at, end)
        if at < 0 or at >= end:
            return -1, used
        if data[at] != _COMMA:
            break
    messages[count, 0] = role
    return (at + 1 if data[at] == _CLOSE and role >= 0 and has_text else -1), used


@compiled
def _role(head: Number, tail: Number) -> Number:
    """The number of a role, -1 where it has none."""
    if tail:
        is_answer = head == _ASSISTANT and tail == _ASSISTANT_END
        return 3 if is_answer else 1 if head == _DEVELOPER and tail == _DEVELOPER_END else -1
    return 2 if head == _USER else 0 if head == _SYSTEM else 4 if head == _TOOL else -1


@compiled
def _is_other(key: Number, tail: Number) -> bool:
    """Is it a key of a message that says neither who speaks nor what?"""
    if tail:
        return key == _TOOL_CALL and tail in (_CALLS_END, _CALL_ID_END)
    return key in (_NAME, _WEIGHT)


@compiled
def _content(
    data: NDArray[np.uint8], eights: NDArray[np.uint64], place: tuple[Number, Number],
    messages: NDArray[np.int64], filled: tuple[Number, Number],
) -> tuple[Number, Number]:  # fmt: skip
    """Take in a message's text; where it ends, -1 where it is none, and how many bytes are filled then."""
    at, end = place
    count, used = filled
    stop, is_escaped, is_beyond = string_end(data, eights, at, end)
    if stop < 0:
        return -1, used
    first, last = at + 1, stop
    message = messages[count]
    message[_WRITTEN], message[_WRITTEN + 1] = first, last
    if is_escaped:
        first = used
        last, usual = unescape(data, at + 1, stop, used)
        if last < 0:
            return -1, used
        used = last
        if not usual:
            message[_WRITTEN] = -1
    message[_TEXT], message[_TEXT + 1] = first, last
    message[_LENGTH], message[_BEYOND], message[_DOUBTFUL] = last - first, 0, 0
    if is_escaped or is_beyond:
        message[_LENGTH], message[_BEYOND], message[_DOUBTFUL] = _characters(data, first, last)
    return stop + 1, used


@compiled
def _characters(data: NDArray[np.uint8], begin: Number, end: Number) -> tuple[Number, Number, Number]:
    """How many characters the text has, whether some are beyond ASCII, and whether it is doubtful; 1 stands for yes."""
    length, beyond, doubtful = 0, 0, 0
    for at in range(begin, end):
        byte = data[at]
        if byte < 0x80:
            length += 1
            continue
        beyond = 1
        length += (byte & 0xC0) != 0x80
        # U+00C2, C3, D0, D1, E2, EF and F0 begin what bytes of UTF-8 become, one character for each.
        doubtful |= byte == 0xC3 and data[at + 1] in (0x82, 0x83, 0x90, 0x91, 0xA2, 0xAF, 0xB0)
        doubtful |= byte == 0xEF and data[at + 1] == 0xBF and data[at + 2] == 0xBD
    return length, beyond, doubtful
