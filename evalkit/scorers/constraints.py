"""Constraints that an item states about its own answer: length, words, patterns, JSON, a number."""

from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, TypeAdapter, ValidationError

from curate.core.rows.row import Row
from evalkit.scorers.json_object import JsonValidConfig, json_valid
from evalkit.scorers.number import NumberConfig, number
from evalkit.scorers.text import (
    ContainsConfig,
    ExactConfig,
    LengthConfig,
    NormalisedConfig,
    PatternConfig,
    contains,
    exact,
    length,
    normalised_match,
    pattern,
)
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored, missed

_MAKERS: dict[type[ScorerConfig], Any] = {
    ContainsConfig: contains,
    PatternConfig: pattern,
    LengthConfig: length,
    NumberConfig: number,
    ExactConfig: exact,
    NormalisedConfig: normalised_match,
    JsonValidConfig: json_valid,
}
_CONSTRAINTS: TypeAdapter[list[ScorerConfig]] = TypeAdapter(
    list[Annotated[reduce(or_, _MAKERS), Field(discriminator="kind")]]  # type: ignore[arg-type,misc]  # made of the table
)


class ConstraintsConfig(ScorerConfig):
    """1 where the answer meets every constraint under `key` of the item's `meta`; with `share`, the part it meets.

    A constraint is a scorer without its name: `{kind: length, at_most: 40}`, `{kind: contains, none_of: [sorry]}`.
    Kinds: contains, pattern, length, number, exact, normalised, json_valid.
    """

    kind: Literal["constraints"]
    key: str = "constraints"
    share: bool = False


def constraints(config: ConstraintsConfig) -> TextScorer:
    """The scorer. Unscored where the item states no constraints, or one that is none or can't be checked."""

    def rule(item: Row, answer: str) -> Mark | Unscored:
        stated = item.meta.get(config.key)
        if not isinstance(stated, list) or not stated:
            return Unscored(f"the item has no meta.{config.key}")
        try:
            rules = _rules(msgspec.json.encode(stated))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            return Unscored(f"the item's meta.{config.key} is malformed: {fault['msg']}")
        broken, met = [], 0
        for each in rules:
            mark = each(item, answer)
            if isinstance(mark, Unscored):
                return mark
            met += mark.value == 1
            broken += [mark.detail or "not met"] if mark.value < 1 else []
        if not broken:
            return Mark(1.0)
        return Mark(met / len(rules), "; ".join(broken)) if config.share else missed("; ".join(broken))

    return rule


@lru_cache(maxsize=4096)
def _rules(stated: bytes) -> tuple[TextScorer, ...]:
    given = [{"name": "constraint", **one} for one in msgspec.json.decode(stated) if isinstance(one, dict)]
    return tuple(_MAKERS[type(one)](one) for one in _CONSTRAINTS.validate_python(given))
