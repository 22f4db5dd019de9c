"""Fields of a JSON answer, each compared in its own way with the same field of the target."""

from difflib import SequenceMatcher
from typing import Any, Literal

from pydantic import Field

from curate.core.rows.row import Row
from evalkit.scorers.json_object import Reading, read_object
from evalkit.scorers.number import is_close, numbers
from evalkit.scorers.references import normalised, references
from evalkit.scorers.text import f1
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored, missed

How = Literal["exact", "normalised", "fuzzy", "number", "set"]


class FieldsConfig(ScorerConfig):
    """The mean over fields of how well the answer's object agrees with the target's.

    Ways to compare: `exact`, `normalised` (as the scorer of that name), `fuzzy` (share of characters in common),
    `number` (within `tolerance`, a share), `set` (F1 of a list's values, order aside). A field that the target lacks is
    right where the answer lacks it too.
    """

    kind: Literal["fields"]
    fields: dict[str, How] = Field(min_length=1)
    tolerance: float = Field(default=0.0, ge=0)
    reading: Reading = "whole"


def fields(config: FieldsConfig) -> TextScorer:
    """The scorer. Unscored where the item's target is no JSON object."""

    def rule(item: Row, answer: str) -> Mark | Unscored:
        targets = [found for text in references(item) if isinstance(found := read_object(text, "whole"), dict)]
        if not targets:
            return Unscored("the item's target is no JSON object")
        given = read_object(answer, config.reading)
        if isinstance(given, str):
            return missed(given)
        return max((_compared(given, target, config) for target in targets), key=lambda mark: mark.value)

    return rule


def _compared(given: dict[str, Any], target: dict[str, Any], config: FieldsConfig) -> Mark:
    marks = {name: _field(name, how, given, target, config.tolerance) for name, how in config.fields.items()}
    wrong = [name for name, mark in marks.items() if mark < 1]
    return Mark(sum(marks.values()) / len(marks), f"not right: {', '.join(wrong)}" if wrong else None)


def _field(name: str, how: How, given: dict[str, Any], target: dict[str, Any], tolerance: float) -> float:
    if name not in target or name not in given:
        return float(name not in target and name not in given)
    a, b = given[name], target[name]
    match how:
        case "exact":
            return float(a == b and isinstance(a, bool) == isinstance(b, bool))
        case "normalised":
            return float(normalised(str(a)) == normalised(str(b)))
        case "fuzzy":
            return SequenceMatcher(None, str(a), str(b), autojunk=False).ratio()
        case "number":
            return float(_numbers_agree(a, b, tolerance))
        case "set":
            return f1(
                *(sorted({repr(one) for one in (value if isinstance(value, list) else [value])}) for value in (a, b))
            )


def _numbers_agree(given: object, wanted: object, tolerance: float) -> bool:
    first, second = (numbers(str(value)) for value in (given, wanted))
    return len(first) == len(second) == 1 and is_close(first[0], second[0], 0.0, tolerance)
