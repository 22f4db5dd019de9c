"""Lines that were taken apart, written as `encode_rows` writes their rows, with what their source adds."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U8, U64, Number, call, compiled
from curate.core.sources.source import Source
from curate.read.fast.chat_lines import GIVEN_SYNTHETIC, GROUP, ID, LABEL, ROLES, SOURCE, Scanned

# What stands between what is copied; roles, and what the source adds, follow.
_PARTS = (
    *(b'{"id":"', b'","messages":[', b'"},', b',"label":"', b',"source":"', b',"group":"', b',"origin":"synthetic"'),
    *(b',"meta":{"source":"', b"}"),
)
_START, _MESSAGES, _NEXT, _LABEL, _SOURCE, _GROUP, _SYNTHETIC, _META, _META_END = range(len(_PARTS))
_ADDED_LABEL, _ADDED_SOURCE, _FIRST_ROLE = range(len(_PARTS), len(_PARTS) + 3)
_LINE_END, _QUOTE, _SLASH = U8(0x0A), U8(0x22), U8(0x5C)
_DIGITS = np.frombuffer(b"0123456789abcdef", U8)


def is_verbatim(scanned: Scanned, source: Source) -> NDArray[np.bool_]:
    """Is the line what its row is written as: does it say all that the source would add?"""
    given = scanned.fields[:, :, 0] >= 0
    origin = (scanned.origins > 0) | (source.origin == "gold")
    label = given[:, LABEL] | (source.label is None)
    verbatim: NDArray[np.bool_] = given[:, ID] & given[:, SOURCE] & ~_names_another(scanned, source) & origin & label
    return verbatim


def _names_another(scanned: Scanned, source: Source) -> NDArray[np.bool_]:
    """Does the line name a source that isn't this one, whose name its row gets?"""
    starts, ends = scanned.fields[:, SOURCE].T
    if not source.names_rows:
        return np.zeros(starts.size, np.bool_)
    name = np.frombuffer(source.name.encode(), U8)
    another: NDArray[np.bool_] = starts >= 0
    alike = np.flatnonzero(ends - starts == name.size)
    another[alike] &= (scanned.data[starts[alike, None] + np.arange(name.size)] != name).any(axis=1)
    return another


def rewritten(
    scanned: Scanned, wanted: NDArray[np.bool_], source: Source
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The rows of the wanted lines, all of which fit, as lines with their ends, and the size of each without it.

    Sizes are 0 for the others.
    """
    label = b"" if source.label is None else b',"label":' + msgspec.json.encode(source.label)
    added = (label, b',"source":' + msgspec.json.encode(source.name))
    roles = [b'{"role":"%b","content":"' % role.encode() for role in ROLES]
    parts = [*_PARTS, *added, *roles]
    ends = np.cumsum([len(part) for part in parts])
    sizes = np.zeros(wanted.size, np.int64)
    # What was there is never longer than what is written of it: no line has more blanks or escapes than it had.
    more = sum(map(len, added)) + sum(len(_PARTS[part]) for part in (_SYNTHETIC, _META, _META_END)) + 2
    room = np.empty(scanned.data.size + more * wanted.size, U8)
    between = (np.frombuffer(b"".join(parts), U8), ends)
    of_rows = (scanned.fields, scanned.origins, scanned.lasts, _names_another(scanned, source))
    of_messages = (scanned.roles, scanned.texts, scanned.written)
    is_synthetic = source.origin == "synthetic"
    used = call(_rewrite, scanned.data, between, wanted, is_synthetic, of_rows, of_messages, (room, sizes))
    return room[:used], sizes


@compiled
def _rewrite(
    data: NDArray[np.uint8], parts: tuple[NDArray[np.uint8], NDArray[np.int64]], wanted: NDArray[np.bool_],
    is_synthetic: bool, of_rows: tuple[Number, ...], of_messages: tuple[Number, ...], out: tuple[Number, ...],
) -> Number:  # fmt: skip
    fields, origins, lasts, another = of_rows
    roles, texts, written = of_messages
    room, sizes = out
    used = U64(0)
    for row in range(wanted.size):
        if not wanted[row]:
            continue
        first = used
        used = _put(parts, _START, room, used)
        used = _copied(data, fields[row, ID, 0], fields[row, ID, 1], room, used)
        used = _put(parts, _MESSAGES, room, used)
        for message in range(lasts[row - 1] if row else 0, lasts[row]):
            used = _put(parts, _FIRST_ROLE + roles[message], room, used)
            if written[message, 0] >= 0:
                used = _copied(data, written[message, 0], written[message, 1], room, used)
            else:
                used = _escaped(data, texts[message, 0], texts[message, 1], room, used)
            used = _put(parts, _NEXT, room, used)
        room[used - U64(1)] = 0x5D  # the last comma becomes the end of the list
        for field, key, added in ((LABEL, _LABEL, _ADDED_LABEL), (SOURCE, _SOURCE, _ADDED_SOURCE)):
            if fields[row, field, 0] < 0 or (field == SOURCE and another[row]):
                used = _put(parts, added, room, used)
            else:
                used = _field(data, fields[row, field], parts, key, (room, used))
        if origins[row] == GIVEN_SYNTHETIC or (is_synthetic and not origins[row]):
            used = _put(parts, _SYNTHETIC, room, used)
        if fields[row, GROUP, 0] >= 0:
            used = _field(data, fields[row, GROUP], parts, _GROUP, (room, used))
        if another[row]:
            used = _field(data, fields[row, SOURCE], parts, _META, (room, used))
            used = _put(parts, _META_END, room, used)
        room[used], room[used + U64(1)] = 0x7D, _LINE_END
        used += U64(2)
        sizes[row] = used - first - U64(1)
    return used


@compiled
def _field(
    data: NDArray[np.uint8], place: NDArray[np.int64], parts: tuple[Number, ...], key: int, out: tuple[Number, Number]
) -> Number:
    room, used = out
    used = _put(parts, key, room, used)
    used = _copied(data, place[0], place[1], room, used)
    room[used] = _QUOTE
    return used + U64(1)


@compiled
def _put(parts: tuple[Number, ...], number: int, room: NDArray[np.uint8], used: Number) -> Number:
    data, ends = parts
    return _copied(data, ends[number - 1] if number else 0, ends[number], room, used)


@compiled
def _copied(data: NDArray[np.uint8], begin: Number, end: Number, room: NDArray[np.uint8], used: Number) -> Number:
    """Copy data[begin:end] to room[used:] and return where it ends there."""
    for at in range(U64(begin), U64(end)):
        room[used] = data[at]
        used += U64(1)
    return used


@compiled
def _escaped(data: NDArray[np.uint8], begin: Number, end: Number, room: NDArray[np.uint8], used: Number) -> Number:
    """Write the text as JSON text has it, with the escapes that it needs and no others; return where it ends."""
    for at in range(U64(begin), U64(end)):
        byte = data[at]
        if byte >= 0x20 and byte != _QUOTE and byte != _SLASH:  # noqa: PLR1714 - quicker
            room[used] = byte
            used += U64(1)
            continue
        room[used] = _SLASH
        sign = _sign(byte)
        room[used + U64(1)] = sign
        used += U64(2)
        if sign == 0x75:  # u
            room[used], room[used + U64(1)] = 0x30, 0x30
            room[used + U64(2)], room[used + U64(3)] = _DIGITS[byte >> 4], _DIGITS[byte & 15]
            used += U64(4)
    return used


@compiled
def _sign(byte: Number) -> Number:
    """What stands behind the backslash for this character."""
    if byte in (_QUOTE, _SLASH):
        return byte
    if byte == 0x0A:
        return U8(0x6E)
    return U8(0x62 if byte == 8 else 0x66 if byte == 12 else 0x72 if byte == 13 else 0x74 if byte == 9 else 0x75)
