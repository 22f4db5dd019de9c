"""Numbers as scripts write them: full-width and other digits, and where a word ends beside a number."""

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# Letters of scripts that part words by spaces; Chinese, Japanese, Korean and Thai write a number right behind a word.
LETTERS = r"0-9A-Za-z_\u00c0-\u0dff\u1e00-\u1fff"
NOT_AFTER_A_WORD = rf"(?<![{LETTERS}])"
NOT_BEFORE_A_WORD = rf"(?![{LETTERS}])"
_OTHERWISE_WRITTEN = r"[\x{ff01}-\x{ff5e}\x{3000}]|[\p{Nd}&&[^0-9]]"


def in_plain_digits(texts: "pl.Series") -> "pl.Series":
    """The texts with ASCII for full-width characters and for other scripts' digits, each at its place."""
    rows = texts.str.contains(_OTHERWISE_WRITTEN).arg_true()
    if rows.is_empty():
        return texts
    return texts.scatter(rows, [text.translate(_plain()) for text in texts.gather(rows)])


@cache
def _plain() -> dict[int, str]:
    digits = {
        point: str(digit)
        for point in range(0x80, 0x20000)  # planes 0 and 1; the others have none
        if (digit := unicodedata.decimal(chr(point), None)) is not None
    }
    return {**{point: chr(point - 0xFEE0) for point in range(0xFF01, 0xFF5F)}, 0x3000: " ", **digits}
