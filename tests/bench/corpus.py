"""Made-up chat rows for benchmarks: the same for the same seed, a share of them near copies of others."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

VOCABULARY = 30_000
_CONSONANTS = (
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "br",
    "ch",
    "st",
    "tr",
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_ENDINGS = ("", "", "n", "s", "r")
_ACCENTED = ("über", "café", "señor", "naïve", "straße", "déjà")
# Substituting 6 % of the words leaves a Jaccard similarity of word 3-grams near 0.7; up to 7 % gives pairs on both
# sides of that threshold, most of them above.
_MOST_EDITS = 0.07
_FROM_COPIES = 0.2  # the share of copies made of a copy: chains, in which the ends are less similar than neighbours


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts of chat rows (question, line break, answer), and for each the row it was copied from, or itself."""

    texts: list[str]
    copied_from: NDArray[np.int64]


def chat_texts(rows: int, *, copies: float = 0.2, seed: int = 7) -> Corpus:
    """`rows` texts of about 420 bytes, `copies` of them edited copies of others, in random order."""
    draw = np.random.RandomState(seed)  # its streams never change between numpy's versions
    words = _vocabulary(draw)
    originals = rows - round(rows * copies)
    lengths = np.clip(np.exp(draw.normal(3.77, 0.6, originals)), 8, 400).astype(np.int64)
    frequency = 1.0 / (np.arange(len(words)) + 3.0)  # Zipf's law, its head flattened as in running text
    ids = np.searchsorted(np.cumsum(frequency / frequency.sum()), draw.random_sample(lengths.sum()))
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    made = [_dressed([words[i] for i in ids[a:b]], draw) for a, b in pairwise(bounds)]
    source = list(range(originals))
    while len(made) < rows:
        of_copies = len(made) > originals and draw.random_sample() < _FROM_COPIES
        chosen = int(draw.randint(originals, len(made)) if of_copies else draw.randint(originals))
        source.append(chosen)
        made.append(_edited(made[chosen], words, draw))
    order = draw.permutation(rows)
    place = np.empty(rows, np.int64)
    place[order] = np.arange(rows)
    return Corpus([" ".join(made[at]).replace("? ", "?\n", 1) for at in order], place[np.array(source)[order]])


def _vocabulary(draw: np.random.RandomState) -> list[str]:
    """Words of one to five syllables, frequent ones short."""
    seen: dict[str, None] = {}
    while len(seen) < VOCABULARY - len(_ACCENTED):
        syllables = 1 + min(4, int(np.log(1 + len(seen) / 60) / 1.5) + draw.randint(2))
        picks = draw.randint(0, 1 << 30, 2 * syllables + 1)
        letters = [_CONSONANTS[a % 21] + _VOWELS[b % 8] for a, b in zip(picks[:-1:2], picks[1::2], strict=True)]
        seen.setdefault("".join(letters) + _ENDINGS[picks[-1] % 5])
    words = list(seen)
    for number, word in enumerate(_ACCENTED):
        words.insert(400 * (number + 1), word)
    return words


def _dressed(words: Sequence[str], draw: np.random.RandomState) -> list[str]:
    """The words as a question and an answer, with capitals and punctuation."""
    dressed = list(words)
    stops = np.flatnonzero(draw.random_sample(len(words)) < 0.08)
    for at in stops:
        dressed[at] += "."
        if at + 1 < len(dressed):
            dressed[at + 1] = dressed[at + 1].capitalize()
    dressed[0] = dressed[0].capitalize()
    dressed[len(words) // 3] = dressed[len(words) // 3].rstrip(".") + "?"
    return dressed


def _edited(words: Sequence[str], vocabulary: Sequence[str], draw: np.random.RandomState) -> list[str]:
    """A copy with some words substituted, left out or put in."""
    edited = list(words)
    for _ in range(round(draw.random_sample() * _MOST_EDITS * len(words))):
        at = draw.randint(len(edited))
        kind = draw.randint(4)
        new = vocabulary[draw.randint(VOCABULARY)]
        if kind == 0 and len(edited) > 5:
            del edited[at]
        elif kind == 1:
            edited.insert(at, new)
        else:
            edited[at] = new
    return edited
