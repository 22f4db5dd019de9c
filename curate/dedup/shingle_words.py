"""The words of many texts as 64-bit hashes, eight bytes at a time, without making them objects.

Words are what whitespace and control characters separate, letters lowercased. Languages that write without spaces (Han,
Kana, Thai, Lao, Khmer, Burmese, Tibetan) have no such words: there each character is a word, so that a run of three
words is a run of three characters.

Punctuation belongs to the word it stands at: near duplicates are compared as they were written. Leaked items are found
by words without it, without accents and apostrophes (`curate.core.text.leaks.hashed_words`).
"""

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U8, U64, Number, compiled

WORD, AUTO, CHARACTER = 0, 1, 2

_START = U64(0xCBF29CE484222325)
# An odd factor is a bijection, and the fold after it brings the high bits down: words up to eight bytes never collide.
_FACTOR = U64(0xD6E8FEB86659FD93)
# One byte's pattern in all eight bytes of a machine word.
_ONES, _HIGHS = U64(0x0101010101010101), U64(0x8080808080808080)
_BLANKS = U64(0x2121212121212121)  # the byte after the blank
_FROM_A, _PAST_Z = U64(0x3F3F3F3F3F3F3F3F), U64(0x2525252525252525)  # 0x80 - "A" and 0x80 - "Z" - 1


@compiled
def write_words(
    data: NDArray[np.uint8], eights: NDArray[np.uint64], at: Number, end: Number, unit: int, out: NDArray[np.uint64]
) -> Number:
    """Write the hashes of the words of the text in data[at:end] to `out` and return how many there are.

    `eights` is `data` as 64-bit numbers, lowest byte first; data[end - 1] is a separator.
    """
    word, count = _START, 0
    # Unsigned positions: for signed ones the compiler tests each access for Python's negative indices.
    here, stop = U64(at), U64(end)
    while here < stop:
        if unit != CHARACTER:
            shift = U64((here & U64(7)) << U64(3))
            block = here >> U64(3)
            piece = U64((eights[block] >> shift) | ((eights[block + U64(1)] << U64(1)) << (U64(63) - shift)))
            # The high bit of each byte that is blank or no ASCII; a borrow reaches only bytes above such a one.
            marks = U64(((piece - _BLANKS) | piece) & _HIGHS)
            before = U64(
                ((marks & (~marks + U64(1))) >> U64(7)) - U64(1)
            )  # the bytes before the first; all without one
            if before:
                piece &= before
                capitals = U64((piece + _FROM_A) & ~(piece + _PAST_Z) & _HIGHS)
                word = _mix(word, piece | (capitals >> U64(2)))
                here += U64(((before & _ONES) * _ONES) >> U64(56))
                if not marks:
                    continue
        byte = data[here]
        width = U64(1) if byte <= 0x20 else U64(0) if byte < 0xC2 else U64(space_bytes(data, here, stop))
        if width:
            if word != _START:
                out[count] = word
                count += 1
                word = _START
            here += width
            continue
        width = U64(1) if byte < 0xC2 else U64(2) if byte < 0xE0 else U64(3) if byte < 0xF0 else U64(4)
        char = U64(byte | 0x20) if U8(byte - U8(0x41)) < U8(26) else U64(byte)
        for more in range(U64(1), width):
            char = U64((char << U64(8)) | U64(data[here + more]))
        here += width
        if unit == WORD or (unit == AUTO and not _is_word_by_itself(char)):
            word = _mix(word, char)
            continue
        if word != _START:
            out[count] = word
            count += 1
            word = _START
        out[count] = _mix(word, char)
        count += 1
    return count


@compiled
def _mix(word: Number, piece: Number) -> Number:
    mixed = U64((word ^ piece) * _FACTOR)
    return U64(mixed ^ (mixed >> U64(32)))


@compiled
def _is_word_by_itself(char: Number) -> bool:
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
