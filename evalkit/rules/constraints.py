"""Constraints that an item states about its own answer: length, words, patterns, JSON, a number."""

from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, TypeAdapter, ValidationError

from curate.core.config_file import Config
from curate.core.rows.row import Row
from evalkit.rules.exact import ExactConfig, exact
from evalkit.rules.json_object import JsonValidConfig, json_valid
from evalkit.rules.number import NumberConfig, number
from evalkit.rules.outcome import Mark, OfText, Unscored, missed
from evalkit.rules.wording import (
    ContainsConfig,
    LengthConfig,
    NormalisedConfig,
    PatternConfig,
    contains,
    length,
    normalised_match,
    pattern,
)

_Constraint = Annotated[
    ContainsConfig | PatternConfig | LengthConfig | NumberConfig | ExactConfig | NormalisedConfig | JsonValidConfig,
    Field(discriminator="kind"),
]
_MAKERS: dict[type[Config], Any] = {
    ContainsConfig: contains,
    PatternConfig: pattern,
    LengthConfig: length,
    NumberConfig: number,
    ExactConfig: exact,
    NormalisedConfig: normalised_match,
    JsonValidConfig: json_valid,
}


class ConstraintsConfig(Config):
    """1 where the answer meets every constraint under `key` of the item's `meta`; with `share`, the part it meets.

    A constraint is a scorer without its name: `{kind: length, at_most: 40}`, `{kind: contains, none_of: [sorry]}`.
    Kinds: contains, pattern, length, number, exact, normalised, json_valid.
    """

    name: str
    kind: Literal["constraints"]
    key: str = "constraints"
    share: bool = False


def constraints(config: ConstraintsConfig) -> OfText:
    """The rule. Unscored where the item states no constraints, or one that is none or can't be checked."""

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
def _rules(stated: bytes) -> tuple[OfText, ...]:
    given = [{"name": "constraint", **one} for one in msgspec.json.decode(stated) if isinstance(one, dict)]
    found = TypeAdapter(list[_Constraint]).validate_python(given)
    return tuple(_MAKERS[type(one)](one) for one in found)
