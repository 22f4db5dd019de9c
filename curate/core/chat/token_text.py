"""What tokens say of a text, told from how their tokenizer is made rather than by decoding them."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec

_FORMS = frozenset({"NFC", "NFD", "NFKC", "NFKD"})  # Unicode's: ASCII is the same in all of them
_CUTS = frozenset({"ByteLevel", "Digits", "Punctuation", "Split"})
_AFTER = frozenset({"ByteLevel", "TemplateProcessing"})


class Spelling:
    """Of a tokenizer in the JSON of the tokenizers package, what is certain beforehand; of many, nothing is.

    Byte-level BPE only takes apart and joins: a text of ASCII characters that are tokens themselves comes back whole
    (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2).
    """

    def __init__(self, tokenizer: str) -> None:
        parts = msgspec.json.decode(tokenizer)
        self._whole = _whole_texts(parts)
        self._sizes = _sizes(parts) if self._whole else {}

    def is_whole(self, text: str) -> bool:
        """Whether the tokens of this text say all of it for certain; where not, they may nevertheless."""
        return self._whole is not None and self._whole.fullmatch(text) is not None

    def knows_places(self, text: str) -> bool:
        """Whether `SpelledTokens` can say where in this text each token stands."""
        return bool(self._sizes) and self.is_whole(text)

    def places(self, ids: list[int]) -> "SpelledTokens":
        """Where each token of a text stands of which that is known."""
        return SpelledTokens(ids, list(accumulate(map(self._sizes.__getitem__, ids))))


class SpelledTokens:
    """The tokens of a text, one behind the other without gaps: as much of `tokenizers.Encoding` as masks need.

    An encoding works out where tokens stand from a table of all bytes of the text, a quarter of a tokenizer's time.
    """

    def __init__(self, ids: list[int], ends: Sequence[int]) -> None:
        self.ids, self._ends = ids, ends

    def __len__(self) -> int:
        return len(self.ids)

    def char_to_token(self, at: int) -> int | None:
        """The token that the character is in; None behind the last."""
        token = bisect_right(self._ends, at)
        return token if token < len(self.ids) else None

    def token_to_chars(self, token: int) -> tuple[int, int]:
        """The token's first character, and the one behind its last."""
        return self._ends[token - 1] if token else 0, self._ends[token]

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """`token_to_chars` of each token."""
        return list(map(self.token_to_chars, range(len(self.ids))))


def _whole_texts(parts: Mapping[str, Any]) -> re.Pattern[str] | None:
    """A pattern that matches no text but those whose tokens say all of it; None where that can't be told."""
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


def _sizes(parts: Mapping[str, Any]) -> dict[int, int]:
    """Token -> its characters in a whole text; empty where tokens may begin or end elsewhere than these add up to."""
    added, cuts, after = parts["added_tokens"], _steps(parts["pre_tokenizer"]), _steps(parts["post_processor"])
    if any(cut.get("add_prefix_space") for cut in cuts) or any(one["lstrip"] or one["rstrip"] for one in added):
        return {}
    if any(step["type"] not in _AFTER or step.get("trim_offsets") for step in after):
        return {}
    sizes = {number: len(token) for token, number in parts["model"]["vocab"].items()}
    return sizes | {one["id"]: len(one["content"]) for one in added}


def _steps(part: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The steps that a normalizer, a pre-tokenizer or a post-processor consists of."""
    if part is None:
        return
    if part["type"] == "Sequence":
        for name in ("normalizers", "pretokenizers", "processors"):
            for step in part.get(name, ()):
                yield from _steps(step)
    else:
        yield part


def _shown(code: int) -> str:
    """The character that stands for an ASCII code in a byte-level vocabulary: itself where it can be seen."""
    if code < 33:
        return chr(256 + code)
    return chr(code) if code < 127 else chr(256 + 33)
