"""What changed between two texts, word by word."""

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

_PARTS = re.compile(r"\w+|[^\w\s]|\s+")
_MOST_PARTS = 1_500  # of either text: comparing takes time with the product of both


class Piece(NamedTuple):
    """A stretch of text that both have, or only one."""

    kind: Literal["same", "gone", "new"]
    text: str


def word_diff(before: str, after: str) -> tuple[Piece, ...]:
    """The pieces of both texts in order: what is gone stands before what is new in its place.

    Texts that are too long to compare are one piece gone and one new.
    """
    old, new = _PARTS.findall(before), _PARTS.findall(after)
    if max(len(old), len(new)) > _MOST_PARTS:
        return tuple(piece for piece in (Piece("gone", before), Piece("new", after)) if piece.text)
    pieces: list[Piece] = []
    for _, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left, right = "".join(old[i1:i2]), "".join(new[j1:j2])
        found = [Piece("same", left)] if left == right else [Piece("gone", left), Piece("new", right)]
        pieces += [piece for piece in found if piece.text]
    return tuple(pieces)
