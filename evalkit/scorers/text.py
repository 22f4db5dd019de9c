"""Scorers of the text: equal, also after tidying, overlapping, present or absent, of a length, matching a pattern."""

from collections import Counter
from collections.abc import Callable
from typing import Literal, Self

import regex  # type: ignore[import-untyped]  # ships no types
from pydantic import Field, field_validator, model_validator

from curate.core.rows.row import Row
from evalkit.scorers.references import NO_REFERENCE, normalised, references
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored, missed, passed

_PATTERN_LIMIT_S = 0.5  # for one answer; a pattern that needs longer would need minutes for the next
_SHOWN = 60  # characters of a text that fit a table cell


class ExactConfig(ScorerConfig):
    """1 where the answer equals the target; white space around either doesn't count."""

    kind: Literal["exact"]
    case: bool = True
    """Whether capitals count."""


class NormalisedConfig(ScorerConfig):
    """1 where the answer equals a reference once case, punctuation, English articles and white space don't count."""

    kind: Literal["normalised"]


class TokenF1Config(ScorerConfig):
    """The F1 of words shared with the reference that is nearest, after the same tidying as `normalised`."""

    kind: Literal["token_f1"]


class ContainsConfig(ScorerConfig):
    """1 where the answer holds all of `all_of`, at least one of `any_of`, and none of `none_of`.

    Without any of these, it has to hold one of the item's references.
    """

    kind: Literal["contains"]
    all_of: list[str] = Field(default_factory=list)
    any_of: list[str] = Field(default_factory=list)
    none_of: list[str] = Field(default_factory=list)
    case: bool = False
    """Whether capitals count."""


class PatternConfig(ScorerConfig):
    """1 where the pattern (of the `regex` package) is found in the answer, or spans it with `whole`."""

    kind: Literal["pattern"]
    pattern: str = Field(min_length=1)
    whole: bool = False

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            regex.compile(pattern)
        except regex.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern


class LengthConfig(ScorerConfig):
    """1 where the answer has at least and at most so many words or characters."""

    kind: Literal["length"]
    unit: Literal["words", "characters"] = "words"
    at_least: int = Field(default=0, ge=0)
    at_most: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.at_most is None and self.at_least == 0:
            raise ValueError("at_least or at_most: give one, or nothing is measured")
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError("at_most: less than at_least")
        return self


def exact(config: ExactConfig) -> TextScorer:
    """The scorer. Unscored where the item has no target."""

    def rule(item: Row, answer: str) -> Mark | Unscored:
        target = item.answer.strip()
        if not target:
            return Unscored("the item has no target")
        given = answer.strip()
        same = given == target if config.case else given.casefold() == target.casefold()
        return passed() if same else missed("not the target")

    return rule


def normalised_match(_: NormalisedConfig) -> TextScorer:
    """The scorer. Unscored where the item has no reference."""

    def rule(item: Row, answer: str) -> Mark | Unscored:
        right = {normalised(text) for text in references(item)}
        if not right:
            return NO_REFERENCE
        return passed() if normalised(answer) in right else missed("not the target")

    return rule


def token_f1(_: TokenF1Config) -> TextScorer:
    """The scorer. Unscored where the item has no reference.

    Source: Rajpurkar et al., SQuAD (arXiv:1606.05250); a text without words equals only another one.
    """

    def rule(item: Row, answer: str) -> Mark | Unscored:
        right = references(item)
        if not right:
            return NO_REFERENCE
        given = normalised(answer).split()
        best = max(f1(given, normalised(text).split()) for text in right)
        return Mark(best, None if best == 1 else f"F1 {best:.2f}")

    return rule


def f1(given: list[str], wanted: list[str]) -> float:
    """The harmonic mean of precision and recall of the multiset `given` against `wanted`; 1 for two empty ones."""
    if not given or not wanted:
        return float(given == wanted)
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))


def contains(config: ContainsConfig) -> TextScorer:
    """The scorer. Unscored where it needs a reference and the item has none."""
    fold: Callable[[str], str] = str if config.case else str.casefold
    from_item = not (config.all_of or config.any_of or config.none_of)

    def rule(item: Row, answer: str) -> Mark | Unscored:
        any_of = references(item) if from_item else config.any_of
        if from_item and not any_of:
            return NO_REFERENCE
        text = fold(answer)
        lacking = [wanted for wanted in config.all_of if fold(wanted) not in text]
        if lacking:
            return missed(f"lacks {lacking[0][:_SHOWN]!r}")
        if any_of and not any(fold(wanted) in text for wanted in any_of):
            return missed(f"lacks {any_of[0][:_SHOWN]!r}" if len(any_of) == 1 else "holds none of what is wanted")
        unwanted = [text_ for text_ in config.none_of if fold(text_) in text]
        return missed(f"holds {unwanted[0][:_SHOWN]!r}") if unwanted else passed()

    return rule


def pattern(config: PatternConfig) -> TextScorer:
    """The scorer. Unscored where the pattern takes too long on an answer."""
    compiled = regex.compile(config.pattern)
    find = compiled.fullmatch if config.whole else compiled.search

    def rule(item: Row, answer: str) -> Mark | Unscored:  # noqa: ARG001 - every rule takes the item
        try:
            found = find(answer, timeout=_PATTERN_LIMIT_S)
        except TimeoutError:
            return Unscored(f"the pattern took longer than {_PATTERN_LIMIT_S} s on this answer")
        return passed() if found else missed("no match")

    return rule


def length(config: LengthConfig) -> TextScorer:
    """The scorer."""

    def rule(item: Row, answer: str) -> Mark | Unscored:  # noqa: ARG001 - every rule takes the item
        size = len(answer.split()) if config.unit == "words" else len(answer)
        fits = config.at_least <= size and (config.at_most is None or size <= config.at_most)
        return passed() if fits else missed(f"{size} {config.unit}")

    return rule
