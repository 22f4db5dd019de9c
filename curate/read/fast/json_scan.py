"""Parts of JSON text in machine code: strings, blanks, values to pass over. What is odd is left to others."""

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U8, U64, Number, compiled

_QUOTE, _SLASH, _COMMA, _COLON, _OPEN, _CLOSE, _FIRST, _LAST = (U8(ord(char)) for char in '"\\,:{}[]')
# One byte's pattern in all eight bytes of a machine word.
_ONES, _HIGHS = U64(0x0101010101010101), U64(0x8080808080808080)
_QUOTES, _SLASHES, _BLANKS = U64(0x2222222222222222), U64(0x5C5C5C5C5C5C5C5C), U64(0x2020202020202020)


@compiled
def past_blanks(data: NDArray[np.uint8], at: Number, end: Number) -> Number:
    """Where the blanks at `at` end."""
    while at < end and data[at] in (0x20, 0x09, 0x0A, 0x0D):
        at += 1
    return at


@compiled
def to_value(data: NDArray[np.uint8], at: Number, end: Number) -> Number:
    """Where the value begins whose key ends at `at`, -1 where none does."""
    at = end if at < 0 else past_blanks(data, at, end)
    if at >= end or data[at] != _COLON:
        return -1
    at = past_blanks(data, at + 1, end)
    return at if at < end else -1


@compiled
def is_null(data: NDArray[np.uint8], at: Number, end: Number) -> bool:
    """Does `at` have null?"""
    found: bool = (
        at + 4 <= end and data[at] == 0x6E and data[at + 1] == 0x75 and data[at + 2] == 0x6C and data[at + 3] == 0x6C
    )
    return found


@compiled
def word(data: NDArray[np.uint8], at: Number, end: Number) -> tuple[Number, Number, Number]:
    """The string at `at`: its first eight bytes and the next eight as numbers, and where it ends.

    That is -1 where it is no string of up to sixteen bytes without escapes.
    """
    head, tail = U64(0), U64(0)
    if at >= end or data[at] != _QUOTE:
        return head, tail, -1
    first = at + 1
    for place in range(first, min(first + 17, end)):
        byte = data[place]
        if byte == _QUOTE:
            return head, tail, place + 1
        if byte == _SLASH or byte < 0x20:
            break
        if place < first + 8:
            head = U64((head << U64(8)) | U64(byte))
        else:
            tail = U64((tail << U64(8)) | U64(byte))
    return head, tail, -1


@compiled
def past_value(data: NDArray[np.uint8], eights: NDArray[np.uint64], at: Number, end: Number) -> Number:
    """Where the value at `at` ends, of JSON that is known to be sound."""
    depth = 0
    while at < end:
        byte = data[at]
        if byte == _QUOTE:
            at, _, _ = string_end(data, eights, at, end)
            if at < 0:
                return -1
        elif byte in (_OPEN, _FIRST):
            depth += 1
        elif byte in (_CLOSE, _LAST):
            if not depth:
                return at
            depth -= 1
        elif byte == _COMMA and not depth:
            return at
        at += 1
    return -1


@compiled
def string_end(
    data: NDArray[np.uint8], eights: NDArray[np.uint64], at: Number, end: Number
) -> tuple[Number, Number, Number]:
    """Where the string at `at` has its closing quote, whether there are escapes before and bytes beyond ASCII.

    -1 where there is no string, it has no end, or has control characters as they are.
    """
    is_escaped, high = False, U64(0)
    if data[at] != _QUOTE:
        return -1, is_escaped, False
    # Unsigned places: for signed ones the compiler tests each access for Python's negative indices.
    here, stop = U64(at + 1), U64(end)
    while here < stop:
        shift = U64((here & U64(7)) << U64(3))
        block = here >> U64(3)
        piece = U64((eights[block] >> shift) | ((eights[block + U64(1)] << U64(1)) << (U64(63) - shift)))
        quotes, slashes = piece ^ _QUOTES, piece ^ _SLASHES
        # The high bit of each byte that is one of them; a borrow reaches only bytes above such a one.
        marks = U64(
            (((quotes - _ONES) & ~quotes) | ((slashes - _ONES) & ~slashes) | ((piece - _BLANKS) & ~piece)) & _HIGHS
        )
        if not marks:
            high |= piece
            here += U64(8)
            continue
        before = U64(((marks & (~marks + U64(1))) >> U64(7)) - U64(1))
        high |= piece & before
        here += U64(((before & _ONES) * _ONES) >> U64(56))
        if here >= stop:
            break
        if data[here] == _QUOTE:
            return np.int64(here), is_escaped, (high & _HIGHS) != U64(0)
        if data[here] != _SLASH:
            break
        is_escaped = True
        here += U64(2)
    return -1, is_escaped, False


@compiled
def unescape(data: NDArray[np.uint8], at: Number, end: Number, used: Number) -> tuple[Number, Number]:
    """Write the text without its escapes to data[used:]; where that ends, and whether ours would be the same escapes.

    -1 where they are no characters.
    """
    usual = True
    while at < end:
        byte = data[at]
        at += 1
        if byte == _SLASH:
            sign = data[at]
            at += 1
            if sign == 0x75:  # u
                usual = False
                code = _four_digits(data, at, end)
                at += 4
                if 0xD800 <= code < 0xDC00 and at + 6 <= end and data[at] == _SLASH and data[at + 1] == 0x75:
                    low = _four_digits(data, at + 2, end)
                    at += 6
                    code = 0x10000 + ((code - 0xD800) << 10) + low - 0xDC00 if 0xDC00 <= low < 0xE000 else -1
                if code < 0 or 0xD800 <= code < 0xE000:
                    return -1, usual
                used = _put_character(data, used, code)
                continue
            usual = usual and sign != 0x2F
            byte = _meant(sign)
            if not byte:
                return -1, usual
        data[used] = byte
        used += 1
    return used, usual


@compiled
def _meant(sign: Number) -> Number:
    """The character that a backslash and this sign stand for, 0 for none."""
    if sign in (0x22, 0x2F, 0x5C):
        return U8(sign)
    if sign == 0x6E:
        return U8(0x0A)
    return U8(8 if sign == 0x62 else 12 if sign == 0x66 else 13 if sign == 0x72 else 9 if sign == 0x74 else 0)


@compiled
def _four_digits(data: NDArray[np.uint8], at: Number, end: Number) -> Number:
    """The number that four hexadecimal digits are, -1 where they are none."""
    if at + 4 > end:
        return -1
    code: Number = 0
    for place in range(at, at + 4):
        byte = np.int64(data[place])
        letter = byte | 0x20
        digit = byte - 0x30 if 0x30 <= byte <= 0x39 else letter - 0x57 if 0x61 <= letter <= 0x66 else -1
        if digit < 0:
            return -1
        code = code * 16 + digit
    return code


@compiled
def _put_character(data: NDArray[np.uint8], used: Number, code: Number) -> Number:
    """Write a character's UTF-8 to data[used:] and return where it ends."""
    more = 0 if code < 0x80 else 1 if code < 0x800 else 2 if code < 0x10000 else 3
    lead = (0xF0 << (3 - more)) & 0xFF if more else 0
    data[used] = lead | (code >> (6 * more))
    for place in range(more):
        data[used + 1 + place] = 0x80 | ((code >> (6 * (more - 1 - place))) & 0x3F)
    return used + 1 + more
