"""Code in other words: answers whose code is an item's with other names, spaces or comments.

Code is compared as runs of tokens in which every name is the same token: what is left of a program when its names
are taken away is seldom that of another.
"""

import keyword
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

_NGRAM = 5
_FEWEST_RUNS = 16  # shorter code is an everyday line: many programs have it
_FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_COMMENT = re.compile(r"(?m)(?:#|//|--)\s[^\n]*$|/\*[\s\S]*?\*/")
_TOKEN = re.compile(r"[^\W\d]\w*|\d+(?:\.\d+)?|\"[^\"\n]*\"|'[^'\n]*'|[^\w\s]")
# Words that say what code does, in the languages that answers are mostly in.
# Not those that are common names as well: values, end, order.
_OTHER_WORDS = "function const let var new this void public private static switch throw catch struct func fn mut impl"
_WORDS = frozenset([*keyword.kwlist, *_OTHER_WORDS.split()])
# A line of code: it opens or ends a block or a statement, assigns, calls or begins with one of those words.
_CODE_LINE = re.compile(
    r"[{};]\s*$|\)\s*:?\s*$|^\s*[\w.\[\]\"', ]+\s*(?:[-+*/|&]|:)?=[^=]|"
    r"^\s*(?:def|class|return|for|while|if|elif|else|import|from|with|try|except)\b.*(?::|\w)\s*$"
)


def similar_code(texts: Sequence[str], items: Sequence[str], threshold: float) -> list[tuple[int, int, float]]:
    """The pairs of a text and an item, by number, of whose code's runs of tokens the text has this share."""
    wanted = {number: runs for number, item in enumerate(items) if len(runs := _runs(item)) >= _FEWEST_RUNS}
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, runs in wanted.items():
        for run in runs:
            holders[run].append(number)
    found = []
    for text_number, text in enumerate(texts if wanted else ()):
        shared = Counter(number for run in _runs(text) for number in holders.get(run, ()))
        for number, count in sorted(shared.items()):
            if count >= threshold * len(wanted[number]):
                found.append((text_number, number, count / len(wanted[number])))
    return found


def _runs(text: str) -> set[tuple[str, ...]]:
    """The runs of tokens of a text's code, names being one token; none where it holds no code."""
    tokens = [_shape(token) for token in _TOKEN.findall("\n".join(_code(text)))]
    return {tuple(tokens[at : at + _NGRAM]) for at in range(len(tokens) - _NGRAM + 1)}


def _code(text: str) -> Iterator[str]:
    """The text's fenced blocks; without any, all of it, where most of its lines are code."""
    fenced = _FENCED.findall(text)
    if not fenced:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1 and sum(_CODE_LINE.search(line) is not None for line in lines) * 2 > len(lines):
            fenced = [text]
    for block in fenced:
        yield _COMMENT.sub("", block)


def _shape(token: str) -> str:
    if token[0] in "\"'":
        return '"'
    is_name = (token[0].isalpha() or token[0] == "_") and token.lower() not in _WORDS
    return "name" if is_name else token
