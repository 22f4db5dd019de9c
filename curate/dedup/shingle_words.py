"""The words and the numbers of many texts as 64-bit hashes, eight bytes at a time, without making them objects.

Words are what whitespace and control characters separate, letters lowercased. Languages that write without spaces (Han,
Kana, Thai, Lao, Khmer, Burmese, Tibetan) have no such words: there each character is a word, so that a run of three
words is a run of three characters.

Sentence marks, quotes and brackets at a word's ends are no part of it, so that "(has failed)." says "has failed". All
else is: operators, signs, currency, what stands within a word. Words of nothing but sentence marks are none. Leaked
items are found by words without accents and apostrophes too (`curate.core.text.leaks.hashed_words`).
"""

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U8, U64, Number, compiled
from curate.dedup.word_marks import CLOSING, OPENING

WORD, AUTO, CHARACTER = 0, 1, 2

_START = U64(0xCBF29CE484222325)
# An odd factor is a bijection, and the fold after it brings the high bits down: words up to eight bytes never collide.
_FACTOR = U64(0xD6E8FEB86659FD93)
# One byte's pattern in all eight bytes of a machine word.
_ONES, _HIGHS = U64(0x0101010101010101), U64(0x8080808080808080)
_BLANKS = U64(0x2121212121212121)  # the byte after the blank
_FROM_A, _PAST_Z = U64(0x3F3F3F3F3F3F3F3F), U64(0x2525252525252525)  # 0x80 - "A" and 0x80 - "Z" - 1
_FROM_0, _PAST_9 = U64(0x5050505050505050), U64(0x4646464646464646)  # 0x80 - "0" and 0x80 - "9" - 1


_NONE, _OPENS, _CLOSES, _BRACKET = U8(0), U8(1), U8(2), U8(4)
_ASCII_MARKS = np.zeros(256, U8)
for _char in "\"'`":
    _ASCII_MARKS[ord(_char)] = _OPENS | _CLOSES
for _char in ".,;:!?":
    _ASCII_MARKS[ord(_char)] = _CLOSES
for _char in "([{":
    _ASCII_MARKS[ord(_char)] = _OPENS | _BRACKET
for _char in ")]}":
    _ASCII_MARKS[ord(_char)] = _CLOSES | _BRACKET


@compiled
def write_words(
    data: NDArray[np.uint8],
    eights: NDArray[np.uint64],
    at: Number,
    end: Number,
    cut: tuple[int, bool],
    out: NDArray[np.uint64],
) -> Number:
    """Write the hashes of the words of the text in data[at:end] to `out` and return how many there are.

    `eights` is `data` as 64-bit numbers, lowest byte first; data[end - 1] is a separator. `cut` says of what unit words
    are, and whether marks at their ends belong to them.
    """
    unit, with_marks = cut
    count = 0
    # Unsigned positions: for signed ones the compiler tests each access for Python's negative indices.
    here, stop = U64(at), U64(end)
    while here < stop:
        if unit != CHARACTER:
            # Most words are of ASCII, with at most one mark behind them: those are had at once, eight bytes at a time.
            word, last = _START, here
            piece = _eight(eights, last)
            # The high bit of each byte that is blank or no ASCII; a borrow reaches only bytes above such a one.
            marks = U64(((piece - _BLANKS) | piece) & _HIGHS)
            while not marks:
                word = mixed_word(word, _lower(piece))
                last += U64(8)
                piece = _eight(eights, last)
                marks = U64(((piece - _BLANKS) | piece) & _HIGHS)
            before = _bytes_before(marks)
            last += U64(((before & _ONES) * _ONES) >> U64(56))
            if last > here and data[last] <= 0x20:
                kind = _NONE
                if not with_marks:
                    kind = (_ASCII_MARKS[data[here]] & _OPENS) | (_ASCII_MARKS[data[last - U64(1)]] & _CLOSES)
                    two = last > here + U64(1) and before > U64(0xFF)
                    if kind == _CLOSES and two and not _ASCII_MARKS[data[last - U64(2)]]:
                        before, kind = before >> U64(8), _NONE
                if not kind:
                    out[count] = mixed_word(word, _lower(piece & before)) if before else word
                    count += 1
                    here = last + U64(1)
                    continue
        byte = data[here]
        blank = U64(1) if byte <= 0x20 else U64(0) if byte < 0xC2 else U64(space_bytes(data, here, stop))
        if blank:
            here += blank
            continue
        if unit == CHARACTER or (unit == AUTO and byte >= 0xE0):
            char, width = _character(data, here)
            if unit == CHARACTER or is_word_by_itself(char):
                out[count] = mixed_word(_START, char)
                count += 1
                here += width
                continue
        begin, here = here, _word_end(data, eights, here, stop, unit)
        last = here
        if not with_marks:
            begin, last = _bare(data, begin, last)
        if begin < last:
            out[count] = _word_hash(data, eights, begin, last)
            count += 1
    return count


@compiled
def _character(data: NDArray[np.uint8], at: Number) -> tuple[Number, Number]:
    """The bytes of the character at a place as a number, first byte highest, and how many there are."""
    byte = data[at]
    width = U64(1) if byte < 0xC2 else U64(2) if byte < 0xE0 else U64(3) if byte < 0xF0 else U64(4)
    char = U64(byte | 0x20) if U8(byte - U8(0x41)) < U8(26) else U64(byte)
    for more in range(U64(1), width):
        char = U64((char << U64(8)) | U64(data[at + more]))
    return char, width


@compiled
def _eight(eights: NDArray[np.uint64], at: Number) -> Number:
    """The eight bytes from a place on, lowest first."""
    shift = U64((at & U64(7)) << U64(3))
    block = at >> U64(3)
    return U64((eights[block] >> shift) | ((eights[block + U64(1)] << U64(1)) << (U64(63) - shift)))


@compiled
def _bytes_before(marks: Number) -> Number:
    """All bits of the bytes before the first of which the high bit is set; of all bytes where there is none."""
    return U64(((marks & (~marks + U64(1))) >> U64(7)) - U64(1))


@compiled
def _lower(piece: Number) -> Number:
    """Eight bytes of ASCII with small letters."""
    capitals = U64((piece + _FROM_A) & ~(piece + _PAST_Z) & _HIGHS)
    return U64(piece | (capitals >> U64(2)))


@compiled
def _word_end(data: NDArray[np.uint8], eights: NDArray[np.uint64], at: Number, stop: Number, unit: int) -> Number:
    here = U64(at)
    while here < stop:
        piece = _eight(eights, here)
        # The high bit of each byte that is blank or no ASCII; a borrow reaches only bytes above such a one.
        marks = U64(((piece - _BLANKS) | piece) & _HIGHS)
        if not marks:
            here += U64(8)
            continue
        here += U64(((_bytes_before(marks) & _ONES) * _ONES) >> U64(56))
        byte = data[here]
        if byte <= 0x20 or (byte >= 0xC2 and space_bytes(data, here, stop)):
            return here
        char, width = _character(data, here)
        if unit == AUTO and is_word_by_itself(char):
            return here
        here += width
    return U64(stop)


@compiled
def _bare(data: NDArray[np.uint8], at: Number, end: Number) -> tuple[Number, Number]:
    """The word without the marks at its ends. Of nothing but marks, what has a bracket stays as it is: it is code."""
    begin, last = U64(at), U64(end)
    bracket = U8(0)
    while begin < last:
        width, kind = _mark(data, begin, last, OPENING)
        if not kind & _OPENS:
            break
        bracket |= kind & _BRACKET
        begin += width
    while begin < last:
        start = last - U64(1)
        while start > begin and 0x80 <= data[start] < 0xC0:
            start -= U64(1)
        width, kind = _mark(data, start, last, CLOSING)
        if not kind & _CLOSES or start + width != last:
            break
        bracket |= kind & _BRACKET
        last = start
    return (U64(at), U64(end)) if begin == last and bracket else (begin, last)


@compiled
def _mark(data: NDArray[np.uint8], at: Number, end: Number, wide: tuple[int, ...]) -> tuple[Number, Number]:
    """How many bytes the mark at a place has, and what it is; those that are not ASCII are looked for in `wide`."""
    byte = data[at]
    if byte < 0x80:
        return U64(1), _ASCII_MARKS[byte]
    char, width = _character(data, at)
    if width < 4 and at + width <= end:  # no mark has four bytes
        for mark in wide:
            if char == U64(mark):
                return width, _OPENS | _CLOSES
    return width, _NONE


@compiled
def _word_hash(data: NDArray[np.uint8], eights: NDArray[np.uint64], at: Number, end: Number) -> Number:
    word, here = _START, U64(at)
    while here < end:
        piece = _eight(eights, here)
        before = _bytes_before(U64(piece & _HIGHS))
        left = end - here
        if left < U64(8):
            before &= (U64(1) << (left << U64(3))) - U64(1)
        if before:
            word = mixed_word(word, _lower(piece & before))
            here += U64(((before & _ONES) * _ONES) >> U64(56))
            continue
        char, width = _character(data, here)
        word = mixed_word(word, char)
        here += width
    return word


@compiled
def numbers_of(data: NDArray[np.uint8], eights: NDArray[np.uint64], at: Number, end: Number) -> Number:
    """A hash of the numbers in a text, in whatever order, 0 where there are none. Names can end with digits."""
    found, any_digit = U64(0), U64(0)
    for block in range(at >> 3, (end + 7) >> 3):  # the eights that the text is in: neighbours do no harm
        low = eights[block] & ~_HIGHS
        any_digit |= eights[block] | ((low + _FROM_0) & ~(low + _PAST_9))
    if not any_digit & _HIGHS:
        return found
    here, stop = U64(at), U64(end)
    while here < stop:
        piece = _eight(eights, here)
        low = piece & ~_HIGHS
        if not (piece | ((low + _FROM_0) & ~(low + _PAST_9))) & _HIGHS:
            here += U64(8)
            continue
        width, digit = _digit(data, here, stop)
        if not width:
            here += U64(1)
            continue
        if here > U64(at) and (U8((data[here - U64(1)] | 0x20) - U8(0x61)) < U8(26) or data[here - U64(1)] == 0x5F):
            while width:  # behind a letter: a part of a name
                here += width
                width, digit = _digit(data, here, stop)
            continue
        number = _START
        if here > U64(at) and data[here - U64(1)] == 0x2D and _is_sign(data, U64(at), here - U64(1)):
            number = mixed_word(number, U64(0x2D))
        while width:
            number = mixed_word(number, digit)
            here += width
            width, digit = _digit(data, here, stop)
            if not width and here < stop and data[here] in (0x2C, 0x2E, 0x2F, 0x3A):
                width, digit = _digit(data, here + U64(1), stop)
                if width:
                    number = mixed_word(number, U64(data[here]))
                    here += U64(1)
        found += number
    return found


@compiled
def _is_sign(data: NDArray[np.uint8], first: Number, at: Number) -> bool:
    """Does the - at a place stand where a negative number begins?"""
    if at == first:
        return True
    byte = data[at - U64(1)]
    return byte <= 0x20 or byte in (0x24, 0x28, 0x2C, 0x3A, 0x3D, 0x5B)


@compiled
def _digit(data: NDArray[np.uint8], at: Number, end: Number) -> tuple[Number, Number]:
    """How many bytes the digit at a place has, 0 where there is none, and the digit: ASCII, Arabic, Indic or wide."""
    if at >= end:
        return U64(0), U64(0)
    byte = data[at]
    if U8(byte - U8(0x30)) < U8(10):
        return U64(1), U64(byte)
    if byte < 0xC2 or at + U64(2) >= end:
        return U64(0), U64(0)
    second, third = data[at + U64(1)], data[at + U64(2)]
    if (byte == 0xD9 and 0xA0 <= second <= 0xA9) or (byte == 0xDB and 0xB0 <= second <= 0xB9):
        return U64(2), U64(0x30 + (second & 0x0F))
    if byte == 0xE0 and second == 0xA5 and 0xA6 <= third <= 0xAF:
        return U64(3), U64(0x30 + third - 0xA6)
    if byte == 0xEF and second == 0xBC and 0x90 <= third <= 0x99:
        return U64(3), U64(0x30 + third - 0x90)
    return U64(0), U64(0)


@compiled
def mixed_word(word: Number, piece: Number) -> Number:
    """The hash of a word with one more piece of it."""
    mixed = U64((word ^ piece) * _FACTOR)
    return U64(mixed ^ (mixed >> U64(32)))


@compiled
def is_word_by_itself(char: Number) -> bool:
    """Whether the character with these UTF-8 bytes (first byte highest) is of a script that writes without spaces."""
    if char < 0xE0B880:
        return False
    if char < 0xE10000:
        return True  # Thai and Lao U+0E00 to U+0EFF, Tibetan U+0F00 to U+0FFF
    found: bool = (
        0xE18080 <= char <= 0xE1829F  # Burmese U+1000 to U+109F
        or 0xE19E80 <= char <= 0xE19FBF  # Khmer U+1780 to U+17FF
        or 0xE38180 <= char <= 0xE383BF  # Kana U+3040 to U+30FF
        or 0xE39080 <= char <= 0xE9BFBF  # Han U+3400 to U+9FFF
        or 0xEFA480 <= char <= 0xEFABBF  # Han U+F900 to U+FAFF
        or 0xF0A08080 <= char <= 0xF0B3BFBF  # Han U+20000 to U+33FFF
    )
    return found


@compiled
def space_bytes(data: NDArray[np.uint8], at: Number, end: Number) -> Number:
    """How many bytes the whitespace at `at` takes, 0 where there is none. Control characters separate words too."""
    byte = data[at]
    if byte <= 0x20:
        return 1
    if byte < 0xC2:
        return 0
    if byte == 0xC2:  # U+0085, U+00A0
        return 2 if at + 1 < end and (data[at + 1] == 0x85 or data[at + 1] == 0xA0) else 0
    if at + 2 >= end:
        return 0
    second, third = data[at + 1], data[at + 2]
    if byte == 0xE2 and second == 0x80:  # U+2000 to U+200A, U+2028, U+2029, U+202F
        return 3 if 0x80 <= third <= 0x8A or third in (0xA8, 0xA9, 0xAF) else 0
    if (byte == 0xE2 and second == 0x81 and third == 0x9F) or (byte == 0xE3 and second == 0x80 and third == 0x80):
        return 3  # U+205F, U+3000
    return 3 if byte == 0xE1 and second == 0x9A and third == 0x80 else 0  # U+1680
