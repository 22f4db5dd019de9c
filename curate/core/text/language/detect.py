"""The language of texts, by script and by frequent words. What can't be told is `und`, not a guess.

A text in a script that one language of ours uses is in that language. Else each word that is on a language's list of
frequent words scores for it, shared among the languages that have the word; the best language needs two such words,
enough of them among all words, and a clear lead. Code, names, JSON and short texts are therefore undetermined.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import call, compiled
from curate.core.text.language.script_words import SCRIPTS, Words, split_words
from curate.core.text.language.stop_words import STOP_WORDS

if TYPE_CHECKING:
    import polars as pl

UNDETERMINED = "und"
_LANGUAGES = tuple(sorted(STOP_WORDS))
_OF_SCRIPT = {"greek": "el", "hebrew": "he", "hangul": "ko", "thai": "th"}
_BY_WORDS = {"latin", "cyrillic", "arabic", "devanagari"}
_MIN_HITS = 2  # one frequent word may be a name or a quotation
_MIN_SHARE = 0.12  # frequent words make 30 to 50 % of prose; a text quoting another language stays under this
_MIN_LEAD = 1.25  # Danish and Norwegian share most frequent words: about one word in ten decides
_MIN_KANA = 0.1  # of Han and kana: Chinese names in Japanese text come with kana, Chinese text has none


def tell_languages(words: Words) -> "pl.DataFrame":
    """Column `language`: an ISO 639-1 code, or `und`."""
    import polars as pl

    hashes, weights = _profile()
    by_words = np.full(words.ends.size, -1, np.int64)
    call(_best_language, words.hashes, words.starts, hashes, weights, by_words)
    letters = words.letters
    scripts = letters[:, 1:].argmax(axis=1) + 1
    han, kana = (letters[:, SCRIPTS.index(script)] for script in ("han", "kana"))
    told = np.array([*_LANGUAGES, UNDETERMINED], object)[by_words]
    for index, script in enumerate(SCRIPTS):
        if script not in _BY_WORDS:
            told[scripts == index] = _OF_SCRIPT.get(script, UNDETERMINED)
    of_east_asia = np.isin(scripts, [SCRIPTS.index("han"), SCRIPTS.index("kana")])
    told[of_east_asia] = np.where(kana >= _MIN_KANA * (han + kana), "ja", "zh")[of_east_asia]
    return pl.DataFrame({"language": pl.Series(told.tolist(), dtype=pl.String)})


@lru_cache(maxsize=1)
def _profile() -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """The hashes of all frequent words, sorted, and what each scores for each language."""
    every = sorted(set().union(*STOP_WORDS.values()))
    hashed = split_words(every)
    hashes = hashed.hashes[hashed.starts[:-1]]
    weights = np.array([[float(word in STOP_WORDS[language]) for language in _LANGUAGES] for word in every])
    weights /= weights.sum(axis=1, keepdims=True)
    order = np.argsort(hashes)
    return hashes[order], weights[order]


@compiled
def _best_language(
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    known: NDArray[np.uint64],
    weights: NDArray[np.float64],
    best: NDArray[np.int64],
) -> None:
    """Writes the index of each text's language to `best`, and leaves -1 where none is sure."""
    count = weights.shape[1]
    scores, hits = np.zeros(count), np.zeros(count, np.int64)
    for text in range(starts.size - 1):
        scores[:] = 0.0
        hits[:] = 0
        for index in range(starts[text], starts[text + 1]):
            word, low, high = hashes[index], 0, known.size
            while low < high:
                middle = (low + high) // 2
                if known[middle] < word:
                    low = middle + 1
                else:
                    high = middle
            if low < known.size and known[low] == word:
                for language in range(count):
                    scores[language] += weights[low, language]
                    hits[language] += weights[low, language] > 0
        first = np.argmax(scores)
        top, second = scores[first], 0.0
        for language in range(count):
            if language != first:
                second = max(second, scores[language])
        enough = max(_MIN_HITS, _MIN_SHARE * (starts[text + 1] - starts[text]))
        if hits[first] >= enough and top >= _MIN_LEAD * second:
            best[text] = first
