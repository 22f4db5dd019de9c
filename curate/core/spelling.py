"""Texts that a tokenizer can't lose anything of, told from how it is made rather than by decoding its tokens."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_FORMS = frozenset({"NFC", "NFD", "NFKC", "NFKD"})  # Unicode's: ASCII is the same in all of them
_CUTS = frozenset({"ByteLevel", "Digits", "Punctuation", "Split"})


def spelled_texts(tokenizer: str) -> re.Pattern[str] | None:
    """A pattern that matches no text but those whose tokens say all of it; None where that can't be told.

    `tokenizer` is the JSON of the tokenizers package. Byte-level BPE only takes apart and joins: a text of ASCII
    characters that are tokens themselves comes back whole (Radford et al. 2019, "Language Models are Unsupervised
    Multitask Learners", section 2.2). Of other texts this says nothing.
    """
    parts = msgspec.json.decode(tokenizer)
    model, decoder = parts["model"], parts["decoder"] or {}
    cuts, forms = list(_steps(parts["pre_tokenizer"])), list(_steps(parts["normalizer"]))
    joins = model["type"] == "BPE" and not (model["continuing_subword_prefix"] or model["end_of_word_suffix"])
    in_bytes = [cut["type"] for cut in cuts].count("ByteLevel") == 1 and decoder.get("type") == "ByteLevel"
    keeps = all(cut["type"] in _CUTS and cut.get("behavior") != "Removed" for cut in cuts)
    keeps = keeps and all(form["type"] in _FORMS for form in forms)
    if not (joins and in_bytes and keeps):
        return None
    known = [chr(code) for code in range(128) if _shown(code) in model["vocab"]]
    return re.compile(f"[{re.escape(''.join(known))}]*") if known else None


def _steps(part: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The steps that a normalizer or pre-tokenizer consists of."""
    if part is None:
        return
    if part["type"] == "Sequence":
        for step in part.get("pretokenizers", part.get("normalizers", ())):
            yield from _steps(step)
    else:
        yield part


def _shown(code: int) -> str:
    """The character that stands for an ASCII code in a byte-level vocabulary: itself where it can be seen."""
    if code < 33:
        return chr(256 + code)
    return chr(code) if code < 127 else chr(256 + 33)
