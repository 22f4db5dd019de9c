"""Text that most rows of a source share, such as an instruction: it says nothing about which rows repeat which."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row_text import chosen_text
from curate.dedup import few_texts
from curate.dedup.minhash import UNITS, Banding, Sketches
from curate.table.selection import RowSelection

_SAMPLE = 1000  # rows of a source that decide
_LEAST_TEXTS = 50  # different ones among them: of fewer, most may share a text by chance
_LEAST_RUNS = 6  # word runs: less shared text makes no two rows similar
_SHARE = 0.5
_SHOWN = 400  # characters


@dataclass(frozen=True, slots=True)
class SharedText:
    """What most rows of a source share: the word runs, as they are without a scene, and the text that they make."""

    source: str
    shingles: NDArray[np.uint32]
    text: str


def shared_text(
    sketches: Sketches, scenes: NDArray[np.uint64], numbers: NDArray[np.int32], rows: RowSelection, banding: Banding,
    on: str,
) -> list[SharedText]:  # fmt: skip
    """What most rows of each source share; `numbers` are the rows' sketches, and `scenes` of all sketches.

    A sample is asked, of different texts: which rows are in it does not depend on where they stand.
    """
    found = []
    draws = rows.column("row_key")[:, :8].copy().view(np.uint64)[:, 0]
    for source, places in rows.by_source().items():
        at = np.asarray(places)
        if at.size > _SAMPLE:
            at = at[np.argpartition(draws[at], _SAMPLE)[:_SAMPLE]]
        at = at[np.argsort(draws[at], kind="stable")]
        # Of texts that say the same, the first one speaks for all.
        different = {_runs(sketches, scenes, int(numbers[one])).tobytes(): one for one in at[::-1].tolist()}
        at = np.array(list(different.values())[::-1], np.int64)
        if at.size < _LEAST_TEXTS:
            continue
        sets = [np.frombuffer(runs, np.uint32) for runs in reversed(different)]
        runs, counts = np.unique(np.concatenate(sets), return_counts=True)
        common = runs[counts > _SHARE * at.size]
        if common.size >= _LEAST_RUNS:
            most = max(range(at.size), key=lambda one: int(np.isin(sets[one], common).sum()))
            text = chosen_text(rows[int(at[most])].row, on)
            found.append(SharedText(source, common, _spelled(text, common, banding)))
    return found


def _runs(sketches: Sketches, scenes: NDArray[np.uint64], number: int) -> NDArray[np.uint32]:
    scene = int(scenes[number])
    own = sketches.shingles[sketches.starts[number] : sketches.starts[number + 1]]
    return np.unique(own ^ np.uint32((scene ^ (scene >> 32)) & 0xFFFFFFFF))


def _spelled(text: str, common: NDArray[np.uint32], banding: Banding) -> str:
    """The stretches of a text that are made of these runs, with dots between them."""
    words = few_texts.spelled_words(text, UNITS[banding.unit])
    runs = few_texts.shingles([number for _, number in words], banding.ngram)
    is_common = np.zeros(len(words), np.bool_)
    for at in np.flatnonzero(np.isin(runs, common)).tolist():
        is_common[at : at + banding.ngram] = True
    spelled = " ".join(_with_gaps([word for word, _ in words], is_common))
    return spelled if len(spelled) <= _SHOWN else spelled[:_SHOWN].rstrip() + "..."


def _with_gaps(words: list[str], chosen: NDArray[np.bool_]) -> Iterator[str]:
    for at, word in enumerate(words):
        if chosen[at]:
            yield word
        elif at == 0 or chosen[at - 1]:
            yield "..."
