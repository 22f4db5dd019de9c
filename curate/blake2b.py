"""BLAKE2b (RFC 7693) of many short texts, as machine code: what `hashlib.blake2b` gives, without a call for each."""

import numpy as np
from numpy.typing import NDArray

from curate.core.machine_code import U8, U64, Number, call, compiled

_START = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    U64,
)  # fmt: skip
# The order in which each of the twelve rounds takes the words of a block; the last two are the first two again.
_ORDER = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    U64,
).ravel()  # fmt: skip
BLOCK = 128
# What is XORed into the first word beside the digest's size: no key, no tree.
_SEQUENTIAL = U64(0x01010000)


def digests(prefix: bytes, data: bytes, ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Digests of eight bytes, as numbers, of `prefix` followed by each of the texts that `data` is made of.

    `ends` says where each text ends in `data`.
    """
    found = np.empty(ends.size, U64)
    call(_digests, np.frombuffer(prefix, U8), np.frombuffer(data, U8), ends, found)
    return found


@compiled
def _digests(
    prefix: NDArray[np.uint8], data: NDArray[np.uint8], ends: NDArray[np.int64], found: NDArray[np.uint64]
) -> None:
    longest, first = 0, 0
    for at in range(ends.size):
        longest = max(longest, ends[at] - first)
        first = ends[at]
    eights = room_for(prefix.size + longest)
    text, state = eights.view(np.uint8), np.empty(8, np.uint64)
    for at in range(prefix.size):
        text[at] = prefix[at]
    first = 0
    for at in range(ends.size):
        size = prefix.size
        for place in range(first, ends[at]):
            text[size] = data[place]
            size += 1
        first = ends[at]
        digest(text, eights, size, 8, state)
        found[at] = state[0]


@compiled
def room_for(size: int) -> NDArray[np.uint64]:
    """Room for a text of so many bytes that `digest` can be asked of."""
    return np.empty((size // BLOCK + 1) * BLOCK // 8, np.uint64)


@compiled
def digest(
    text: NDArray[np.uint8], eights: NDArray[np.uint64], size: Number, width: int, state: NDArray[np.uint64]
) -> None:
    """Write the digest of `width` bytes of text[:size] to `state`; `eights` is the text as numbers, lowest byte first.

    There is room for whole blocks of 128 bytes, and what is behind the text becomes zero.
    """
    blocks = max(1, (size + BLOCK - 1) // BLOCK)
    for at in range(size, blocks * BLOCK):
        text[at] = 0
    for at in range(8):
        state[at] = _START[at]
    state[0] ^= _SEQUENTIAL ^ U64(width)
    for block in range(blocks):
        is_last = block == blocks - 1
        _compress(state, eights, U64(block * 16), U64(size if is_last else (block + 1) * BLOCK), is_last)


@compiled
def _compress(
    state: NDArray[np.uint64], words: NDArray[np.uint64], first: Number, counted: Number, is_last: bool
) -> None:
    a0, a1, a2, a3 = state[0], state[1], state[2], state[3]
    b0, b1, b2, b3 = state[4], state[5], state[6], state[7]
    c0, c1, c2, c3 = _START[0], _START[1], _START[2], _START[3]
    d0, d1, d2, d3 = U64(_START[4] ^ counted), _START[5], _START[6], _START[7]
    if is_last:
        d2 = ~d2
    # Unsigned places: for signed ones the compiler tests each access for Python's negative indices.
    for at in range(U64(0), U64(192), U64(16)):
        a0, b0, c0, d0 = _mix(a0, b0, c0, d0, words[first + _ORDER[at + U64(0)]], words[first + _ORDER[at + U64(1)]])
        a1, b1, c1, d1 = _mix(a1, b1, c1, d1, words[first + _ORDER[at + U64(2)]], words[first + _ORDER[at + U64(3)]])
        a2, b2, c2, d2 = _mix(a2, b2, c2, d2, words[first + _ORDER[at + U64(4)]], words[first + _ORDER[at + U64(5)]])
        a3, b3, c3, d3 = _mix(a3, b3, c3, d3, words[first + _ORDER[at + U64(6)]], words[first + _ORDER[at + U64(7)]])
        a0, b1, c2, d3 = _mix(a0, b1, c2, d3, words[first + _ORDER[at + U64(8)]], words[first + _ORDER[at + U64(9)]])
        a1, b2, c3, d0 = _mix(a1, b2, c3, d0, words[first + _ORDER[at + U64(10)]], words[first + _ORDER[at + U64(11)]])
        a2, b3, c0, d1 = _mix(a2, b3, c0, d1, words[first + _ORDER[at + U64(12)]], words[first + _ORDER[at + U64(13)]])
        a3, b0, c1, d2 = _mix(a3, b0, c1, d2, words[first + _ORDER[at + U64(14)]], words[first + _ORDER[at + U64(15)]])
    state[0] ^= a0 ^ c0
    state[1] ^= a1 ^ c1
    state[2] ^= a2 ^ c2
    state[3] ^= a3 ^ c3
    state[4] ^= b0 ^ d0
    state[5] ^= b1 ^ d1
    state[6] ^= b2 ^ d2
    state[7] ^= b3 ^ d3


@compiled
def _mix(a: Number, b: Number, c: Number, d: Number, x: Number, y: Number) -> tuple[Number, Number, Number, Number]:
    a = U64(a + b + x)
    d = _turned(U64(d ^ a), U64(32))
    c = U64(c + d)
    b = _turned(U64(b ^ c), U64(24))
    a = U64(a + b + y)
    d = _turned(U64(d ^ a), U64(16))
    c = U64(c + d)
    b = _turned(U64(b ^ c), U64(63))
    return a, b, c, d


@compiled
def _turned(value: Number, bits: Number) -> Number:
    return U64((value >> bits) | (value << (U64(64) - bits)))
