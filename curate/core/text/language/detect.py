"""The language of texts by py3langid's model. What can't be told is `und`, not a guess.

The model is asked here by machine code, since its own Python takes a second for a megabyte. It says how sure it is,
which keeps names, short texts and JSON apart; what looks like code is not asked about.
"""

import re
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import Number, call, compiled
from curate.core.text.language.languages import LANGUAGES
from curate.core.text.language.script_words import SCRIPTS, split_words

if TYPE_CHECKING:
    import polars as pl

UNDETERMINED = "und"
_NORWEGIAN = {"nb": "no"}  # the model's code for it
_NO_LANGUAGE = "zxx"  # what the model says of lists of numbers and the like
_SURE = 0.5  # the model's probability; "Guten Tag" has 0.28, "Ich weiß es nicht." 1.00, lines of code mostly under 0.2
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)
_SIGNS = "{}[]<>=;_\\|$#()"
_MAX_SIGNS = 0.08  # of characters that are no white space: Markdown has 0.01 to 0.06, half of all code over 0.08
_ANYWHERE = ("none", "latin", "greek")  # names, code and formulas hold these in any language
_GREEK_WORD = re.compile("[\u0370-\u03ff\u1f00-\u1fff]{3}")  # formulas have letters alone
_AT_ONCE = 1024  # texts whose scores are in memory together
_FEW_WORDS = 3  # the same word or two again and again look more like one language the longer they go on
_loading = threading.Lock()


def tell_languages(texts: Sequence[str]) -> "pl.DataFrame":
    """Column `language`: an ISO 639-1 code, or `und`; column `script`: of undetermined texts that most letters are in.

    The script is empty for those that text in any language can hold: Latin and Greek.
    """
    import polars as pl

    told = np.full(len(texts), UNDETERMINED, object)
    prose = [_prose(text) for text in texts]
    some = [at for at, text in enumerate(prose) if text]
    for first in range(0, len(some), _AT_ONCE):
        here = some[first : first + _AT_ONCE]
        told[here] = _told([prose[at] for at in here])
    for at in np.flatnonzero(told == "el").tolist():
        if _GREEK_WORD.search(texts[at]) is None:
            told[at] = UNDETERMINED
    scripts = np.full(len(texts), "", object)
    open_texts = [at for at, text in enumerate(texts) if told[at] == UNDETERMINED and not text.isascii()]
    letters = split_words([texts[at] for at in open_texts]).letters
    most = np.array(SCRIPTS, object)[letters[:, 1:].argmax(axis=1) + 1] if open_texts else np.array([], object)
    scripts[open_texts] = ["" if script in _ANYWHERE else script for script in most]
    return pl.DataFrame(
        {"language": pl.Series(told.tolist(), dtype=pl.String), "script": pl.Series(scripts.tolist(), dtype=pl.String)}
    )


def _prose(text: str) -> str:
    """The text as the model was made with it, without code in it; empty where the whole is none."""
    if "`" in text or "://" in text:
        text = _CODE.sub(" ", text)
    words = text.split()
    if sum(map(text.count, _SIGNS)) > _MAX_SIGNS * sum(map(len, words)):
        return ""
    if len(words) >= _FEW_WORDS and len(set(words)) < _FEW_WORDS:
        return ""
    if text.isupper():
        text = text.lower()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@dataclass(frozen=True)
class _Model:
    """Naive Bayes over features, which are byte runs that an automaton finds."""

    moves: NDArray[np.uint32]
    """By a state's row and a byte: the next state."""
    rows: NDArray[np.int64]
    features: NDArray[np.int64]
    """The feature that each state ends, -1 for none."""
    weights: NDArray[np.float32]
    """Of each feature for each class; the last is the class's own."""
    languages: NDArray[np.str_]
    """What each class is called; two can be one language."""


def _told(texts: Sequence[str]) -> list[str]:
    model = _loaded()
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    sizes = np.array([len(part) for part in parts], np.int64)
    scores = np.zeros((sizes.size, model.languages.size))
    data = np.frombuffer(b"".join(parts), np.uint8)
    call(_score, data, np.cumsum(sizes), model.moves, model.rows, model.features, model.weights, scores)
    scores /= np.sqrt(np.maximum(sizes, 1))[:, None]
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    codes, of_class = np.unique(model.languages, return_inverse=True)
    by_code = np.zeros((sizes.size, codes.size))
    np.add.at(by_code.T, of_class, chances.T)
    best = by_code.argmax(axis=1)
    sure = (by_code[np.arange(sizes.size), best] > _SURE) & (codes[best] != _NO_LANGUAGE)
    return [str(codes[at]) if is_sure else UNDETERMINED for at, is_sure in zip(best, sure, strict=True)]


def _loaded() -> _Model:
    with _loading:  # several threads may ask at once, and it takes a second and 100 MB
        return _load()


@cache
def _load() -> _Model:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    names = {_NORWEGIAN.get(language, language): language for language in LANGUAGES} | {_NO_LANGUAGE: _NO_LANGUAGE}
    made = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    made.set_languages(list(names))
    weights = np.ascontiguousarray(np.vstack([made.nb_ptc, made.nb_pc[None, :]], dtype=np.float32))
    languages = np.array([names[language] for language in made.nb_classes])
    moves = np.frombuffer(made.tk_nextmove, np.uint32)
    return _Model(moves, np.array(made.tk_row, np.int64) << 8, np.array(made.tk_output, np.int64), weights, languages)


@compiled
def _score(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    moves: NDArray[np.uint32],
    rows: NDArray[np.int64],
    features: NDArray[np.int64],
    weights: NDArray[np.float32],
    scores: NDArray[np.float64],
) -> None:
    """Write each text's score for each class to `scores`, which are zero; a text without features has none."""
    own, sums = weights.shape[0] - 1, np.empty(weights.shape[1], np.float32)
    counts, seen = np.zeros(own, np.int64), np.empty(own, np.int64)
    at = 0
    for text in range(ends.size):
        state: Number = 0
        found = 0
        sums[:] = 0
        while at < ends[text]:
            state = moves[rows[state] + data[at]]
            at += 1
            feature = features[state]
            if feature >= 0:
                if counts[feature] == 0:
                    seen[found] = feature
                    found += 1
                counts[feature] += 1
        for number in range(found):
            feature = seen[number]
            weight = np.float32(np.log(1.0 + counts[feature]))
            counts[feature] = 0
            given = weights[feature]
            for one in range(given.size):
                sums[one] += weight * given[one]
        if found:
            scores[text] = sums + weights[own]
