"""A judge's reply as a grade, or why it is none. Nothing is guessed: a reply that can't be read is undecided."""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from curate.core.visible import without_surrogates
from evalkit.judge.prompt import Question, as_data
from evalkit.judge.rubric import Criterion

_FENCE = re.compile(r"\A```[a-zA-Z]*\s*\n(.*)\n\s*```\Z", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_ELLIPSIS = re.compile(r"\s*(?:\.\.\.|…)\s*")
_PLAIN = str.maketrans("‘’‚“”„«»–—\u00a0", '\'\'\'"""""-- ')
_KEYS = ("reason", "evidence", "grade")


@dataclass(frozen=True, slots=True)
class Decision:
    """A grade, with the reason and the evidence that came before it."""

    grade: int
    reason: str
    evidence: str


def read_reply(text: str, question: Question, criterion: Criterion) -> Decision | str:
    """The decision in a reply, or what is wrong with the reply.

    The whole reply has to be one JSON object, in a code fence or not: from a reply that quotes the answer, any other
    reading could take a grade that the answer brought along.
    """
    body = _THOUGHT.sub("", text).strip()
    fenced = _FENCE.match(body)
    try:
        found = json.loads(fenced.group(1) if fenced else body, object_pairs_hook=_once)
    except _TwiceError as error:
        return f"it names {without_surrogates(str(error))} twice"
    except (ValueError, RecursionError):
        return "it is not one JSON object" if body else "it is empty"
    if not isinstance(found, dict):
        return "it is not one JSON object"
    missing = [key for key in _KEYS if key not in found]
    if missing:
        return f"it lacks {', '.join(missing)}"
    grade = _grade(found["grade"], criterion)
    if grade is None:
        return "its grade is none of those listed"
    reason, evidence = found["reason"], found["evidence"]
    if not isinstance(reason, str) or not isinstance(evidence, str):
        return "its reason or its evidence is no text"
    if not _occurs(evidence, question):
        return "its evidence does not occur in the answer"
    words = without_surrogates(reason), without_surrogates(evidence)  # escapes in the reply's JSON can make halves
    return Decision(_from_sides(grade, question, criterion), *words)


class _TwiceError(Exception):
    """A key that stands twice in an object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _grade(value: Any, criterion: Criterion) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    grades = [level.grade for level in criterion.levels]
    return value if isinstance(value, int) and not isinstance(value, bool) and value in grades else None


def _from_sides(grade: int, question: Question, criterion: Criterion) -> int:
    """The grade from the side of the answer that is graded: of a swapped pair, the mirrored one."""
    if question.other is None or not question.swapped:
        return grade
    grades = [level.grade for level in criterion.levels]
    return grades[-1 - grades.index(grade)]


def _occurs(evidence: str, question: Question) -> bool:
    texts = [_tidy(as_data(text)) for text in (question.text, question.other) if text is not None]
    pieces = [piece for part in _ELLIPSIS.split(evidence) if (piece := _tidy(part))]
    if not pieces:
        return not all(texts)
    return any(_in_order(pieces, text) for text in texts)


def _in_order(pieces: list[str], text: str) -> bool:
    at = 0
    for piece in pieces:
        place = text.find(piece, at)
        if place < 0:
            return False
        at = place + len(piece)
    return True


def _tidy(text: str) -> str:
    """Case, kinds of quotation marks and dashes, and white space don't count; marks around the whole don't either."""
    plain = unicodedata.normalize("NFKC", text.translate(_PLAIN)).casefold()
    return " ".join(plain.split()).strip("\"'` ")
