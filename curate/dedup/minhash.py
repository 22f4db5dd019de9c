"""Shingles and MinHash band keys of many texts, over one buffer of UTF-8 bytes.

A text's words (`curate.dedup.shingle_words`) make shingles: runs of `ngram` words, kept as 32-bit hashes. The minima
follow datasketch 2.0's scheme `affine32`, so that datasketch serves as oracle on the same shingles. Few texts are
sketched by Python (`curate.dedup.few_texts`), many by machine code: the results are the same.
"""

import struct
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.dedup import few_texts
from curate.recipe.recipe import Dedup
from curate.table.array_allocator import ArrayAllocator
from curate.table.chunk import ChunkRows
from curate.table.text_buffer import TextBuffer, text_buffer

U32, U64 = np.uint32, np.uint64
SCHEME = "affine32"
Unit = Literal["auto", "word", "character"]
UNITS = {"word": 0, "auto": 1, "character": 2}
"""The units as machine code knows them."""
# Texts in one piece of work: large enough that handing it over costs nothing, small enough to share out evenly.
_CHUNK_TEXTS = 2048
_SETTLE_PARTS = 16  # some 40 MB


@dataclass(frozen=True, slots=True)
class Sketches:
    """Sketches of n texts: `shingles` one text after the other, `starts` (n + 1), `band_keys` of shape (bands, n).

    `numbers` (n,) stand for the numbers in each text. A text with fewer runs of words than are compared has two
    shingles made of all its words; one without words has none, and its band keys mean nothing. Texts of different
    scenes share no shingle.
    """

    shingles: NDArray[np.uint32]
    starts: NDArray[np.int64]
    band_keys: NDArray[np.uint32]
    numbers: NDArray[np.uint64]

    def packed(self) -> bytes:
        """The sketches as bytes."""
        bands, texts = self.band_keys.shape
        arrays = (self.starts, self.numbers, self.shingles, self.band_keys)
        return b"".join([_HEAD.pack(texts, self.shingles.size, bands), *(array.tobytes() for array in arrays)])

    @classmethod
    def unpacked(cls, data: bytes) -> "Sketches":
        """The sketches that were packed."""
        texts, size, bands = _HEAD.unpack_from(data)
        starts = np.frombuffer(data, np.int64, texts + 1, _HEAD.size)
        at = _HEAD.size + starts.nbytes
        numbers = np.frombuffer(data, U64, texts, at)
        shingles = np.frombuffer(data, U32, size, at + numbers.nbytes)
        keys = np.frombuffer(data, U32, bands * texts, at + numbers.nbytes + shingles.nbytes)
        return cls(shingles, starts, keys.reshape(bands, texts), numbers)


_HEAD = struct.Struct("<qqq")  # how many texts, shingles and bands


@dataclass(frozen=True, slots=True)
class Banding:
    """How texts are sketched: shingles of `ngram` units, `bands` of `rows` minima each, permutations from `seed`.

    Texts with fewer shingles than `fewest` are compared as a whole, with none for 0. `with_marks`: sentence marks
    belong to the words they stand at, as they did in early indexes.
    """

    ngram: int = 3
    bands: int = 32
    rows: int = 4
    seed: int = 0
    unit: Unit = "auto"
    fewest: int = 1
    with_marks: bool = False


@dataclass(frozen=True)
class SketchPacks:
    """Sketches of rows' texts, made while rows are read."""

    on: str
    banding: Banding
    name: ClassVar[str] = "sketches"

    def pack(self, rows: ChunkRows) -> bytes:
        """The sketches of these rows."""
        texts = rows.texts(self.on)
        keys = np.empty((self.banding.bands, texts.ends.size), U32)
        scenes = np.ascontiguousarray(rows.beside[:, 0])
        return _joined([_write_sketches(texts, scenes, self.banding, _by_row(self.banding), keys)], keys).packed()


def banding_of(settings: Dedup, seed: int) -> Banding:
    """How the texts of a dataset are sketched; `seed` is the recipe's."""
    chosen = seed if settings.seed is None else settings.seed
    return Banding(settings.ngram, settings.bands, settings.rows, chosen % 2**32, settings.unit, settings.min_shingles)


def sketch(
    texts: Sequence[str],
    banding: Banding,
    *,
    scenes: NDArray[np.uint64] | None = None,
    ignored_share: float | None = None,
    threads: int = 1,
) -> Sketches:
    """The sketches of every text; the same for any number of threads. `scenes` are numbers, of shape (n,).

    Shingles that more than `ignored_share` of the texts have are left out, as if no text had them.
    """
    if scenes is None:
        scenes = np.zeros(len(texts), U64)
    if ignored_share is None:
        return _sketch(texts, scenes, banding, threads)
    made = _sketch(texts, scenes, replace(banding, bands=0), threads)
    most = max(1, int(ignored_share * len(texts)))
    return without_shingles(made, scenes, frequent_shingles(made, scenes, most), banding)


def frequent_shingles(sketches: Sketches, scenes: NDArray[np.uint64], most: int) -> NDArray[np.uint32]:
    """The shingles, as they are without a scene, that more than `most` of the texts have, sorted."""
    from curate.core.numba_kernels import call
    from curate.dedup.minhash_kernels import frequent

    found: NDArray[np.uint32] = np.unique(call(frequent, sketches.shingles, sketches.starts, scenes, most))
    return found


def without_shingles(
    sketches: Sketches, scenes: NDArray[np.uint64], aside: NDArray[np.uint32], banding: Banding
) -> Sketches:
    """The sketches without the shingles that are set `aside` (as they are without a scene); their numbers stay."""
    from curate.core.numba_kernels import call
    from curate.dedup.minhash_kernels import taken_out

    shingles, starts = call(taken_out, sketches.shingles, sketches.starts, scenes, aside, banding.fewest)
    return Sketches(shingles, starts, band_keys(shingles, starts, banding), sketches.numbers)


def joined_sketches(
    parts: Iterable[Sketches], texts: int, shingles: int, bands: int, allocator: ArrayAllocator
) -> Sketches:
    """The sketches of all parts as one, each part taken only when its turn has come; the sums are known before."""
    starts = allocator.filled(texts + 1, 0, np.int64)
    keys = allocator.empty((bands, texts), U32)
    made = Sketches(allocator.empty(shingles, U32), starts, keys, allocator.empty(texts, U64))
    at = used = 0
    for number, part in enumerate(parts):
        size, more = part.starts.size - 1, part.shingles.size
        made.shingles[used : used + more] = part.shingles
        made.band_keys[:, at : at + size] = part.band_keys
        made.numbers[at : at + size] = part.numbers
        made.starts[at : at + size + 1] = part.starts + used
        at, used = at + size, used + more
        if number % _SETTLE_PARTS == 0:
            allocator.settle()
    return made


def packed_shingles(size: int, texts: int, bands: int) -> int:
    """How many shingles sketches of so many texts have that are packed in so many bytes."""
    return (size - _HEAD.size - 8 * (2 * texts + 1) - 4 * bands * texts) // 4


def band_keys(shingles: NDArray[np.uint32], starts: NDArray[np.int64], banding: Banding) -> NDArray[np.uint32]:
    """The band keys of sets of shingles, of shape (bands, n)."""
    from curate.core.numba_kernels import call
    from curate.dedup.minhash_kernels import key_sets

    keys = np.empty((banding.bands, starts.size - 1), U32)
    call(key_sets, shingles, starts, *_by_row(banding), banding.rows, keys)
    return keys


def permutations(count: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Factors and offsets of `count` permutations x -> a x + b mod 2^32, drawn as datasketch 2.0 draws them."""
    draw = np.random.RandomState(seed)  # the generator that the scheme is defined by
    a = draw.randint(0, 1 << 31, count, dtype=U32) * U32(2) + U32(1)
    b = draw.randint(0, 1 << 32, count, dtype=U32)
    return a, b


def signatures(shingles: NDArray[np.uint32], starts: NDArray[np.int64], count: int, seed: int) -> NDArray[np.uint32]:
    """The MinHashes of n sets of shingle hashes, of shape (n, count): what datasketch's `hashvalues` are."""
    from curate.core.numba_kernels import call
    from curate.dedup.minhash_kernels import minima_of_sets

    a, b = permutations(count, seed)
    found = np.empty((starts.size - 1, count), U32)
    call(minima_of_sets, shingles, starts, a, b, found)
    return found


class _Piece(NamedTuple):
    """What is known of some texts: their shingles, how many each has, and the numbers in it."""

    shingles: NDArray[np.uint32]
    counts: NDArray[np.int64]
    numbers: NDArray[np.uint64]


def _joined(pieces: Sequence[_Piece], keys: NDArray[np.uint32]) -> Sketches:
    counts = np.concatenate([np.zeros(1, np.int64), *(piece.counts for piece in pieces)])
    shingles = np.concatenate([np.empty(0, U32), *(piece.shingles for piece in pieces)])
    numbers = np.concatenate([np.empty(0, U64), *(piece.numbers for piece in pieces)])
    return Sketches(shingles, np.cumsum(counts), keys, numbers)


def _sketch(texts: Sequence[str], scenes: NDArray[np.uint64], banding: Banding, threads: int) -> Sketches:
    drawn = _by_row(banding)
    keys = np.empty((banding.bands, len(texts)), U32)

    def piece(first: int) -> _Piece:
        last = first + _CHUNK_TEXTS
        buffer = text_buffer(texts[first:last])
        return _write_sketches(buffer, scenes[first:last], banding, drawn, keys[:, first:last])

    firsts = range(0, len(texts), _CHUNK_TEXTS)
    if threads > 1 and len(firsts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            return _joined(list(pool.map(piece, firsts)), keys)
    return _joined([piece(first) for first in firsts], keys)


def _write_sketches(
    texts: TextBuffer, scenes: NDArray[np.uint64], banding: Banding,
    drawn: tuple[NDArray[np.uint32], NDArray[np.uint32]], keys: NDArray[np.uint32],
) -> _Piece:  # fmt: skip
    """Write the band keys of the texts, and return what else is known of them."""
    cut, runs = (UNITS[banding.unit], banding.with_marks), (banding.ngram, banding.fewest)
    numbers = np.empty(texts.ends.size, U64)
    if few_texts.are_few(texts.data.size):
        return _Piece(*few_texts.sketch(texts, cut, runs, scenes, drawn, banding.rows, (keys, numbers)), numbers)
    from curate.core.numba_kernels import call
    from curate.dedup.minhash_kernels import number_texts, sketch_texts

    data, ends = texts
    eights = data.view(np.dtype("<u8"))
    room, counts = call(sketch_texts, data, eights, ends, cut, runs, scenes, *drawn, banding.rows, keys)
    call(number_texts, data, eights, ends, numbers)
    return _Piece(room[: int(counts.sum())].copy(), counts, numbers)


def _by_row(banding: Banding) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The permutations, first those of every band's first row: then bands lie side by side and are keyed at once."""
    shape = (banding.bands, banding.rows)
    a, b = (part.reshape(shape).T.ravel() for part in permutations(banding.bands * banding.rows, banding.seed))
    return a, b
