"""Many texts in one buffer of UTF-8 bytes: what machine code that hashes words reads.

text 0 \\n text 1 \\n ... text n-1 \\n \\n\\n\\n\\n\\n\\n\\n\\n
       ^ends[0] is behind the separator         ^at least eight more, so that eight can be read from anywhere
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SEPARATOR = "\n"  # ends every text, so that no word runs on into the next text


class TextBuffer(NamedTuple):
    """The texts' bytes, and for each of n texts where it ends, its separator included. ASCII is lowercased later."""

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]


def text_buffer(texts: Sequence[str]) -> TextBuffer:
    """The texts in one buffer; those that are not ASCII are lowercased."""
    whole = _SEPARATOR.join(texts)
    if whole.isascii():
        pad = _SEPARATOR * (16 - len(whole) % 8)
        data, sizes = (whole + pad).encode(), list(map(len, texts))
    else:
        parts, sizes = _encoded(texts)
        pad = _SEPARATOR * (16 - (sum(sizes) + len(sizes) - 1) % 8)
        data = _SEPARATOR.encode().join([*parts, b""]) + pad[1:].encode()
    return TextBuffer(np.frombuffer(data, np.uint8), np.cumsum(np.array(sizes, np.int64) + 1))


def _encoded(texts: Sequence[str]) -> tuple[list[bytes], list[int]]:
    """The texts' bytes, neighbours of ASCII alone already joined, and the size of each text."""
    sizes = list(map(len, texts))
    parts: list[bytes] = []
    first = 0
    for number, text in enumerate(texts):
        if text.isascii():
            continue
        if first < number:
            parts.append(_SEPARATOR.join(texts[first:number]).encode())
        parts.append(text.lower().encode("utf-8", "surrogatepass"))
        sizes[number] = len(parts[-1])
        first = number + 1
    if first < len(texts):
        parts.append(_SEPARATOR.join(texts[first:]).encode())
    return parts, sizes
