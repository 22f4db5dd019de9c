"""How an answer is given: in which language, refusing or not, without what must not stand in it."""

from collections.abc import Sequence
from typing import Literal, Self

import regex  # type: ignore[import-untyped]  # ships no types
from pydantic import Field, model_validator

from curate.core.rows.row import Row
from evalkit.scorers.types import BatchScorer, Mark, ScorerConfig, TextScorer, Unscored, missed, passed

_LIMIT_S = 0.5  # for one pattern on one answer
_SHOWN = 60  # characters of a text that fit a table cell


class LanguageConfig(ScorerConfig):
    """1 where the answer is in the language: `is`, or that of the item's question. Unscored where it can't be told.

    Told by script and by frequent words, of a sentence and more; code, names and JSON have none.
    """

    kind: Literal["language"]
    is_: str | None = Field(default=None, alias="is", pattern=r"^[a-z]{2}$")
    """An ISO 639-1 code, such as `de`."""


class ForbiddenConfig(ScorerConfig):
    """1 where none of these texts stands in the answer and no pattern is found in it; also none of the item's own.

    An item lists its own under `key` of its `meta`.
    """

    kind: Literal["forbidden"]
    texts: list[str] = Field(default_factory=list)
    patterns: list[str] = Field(default_factory=list)
    key: str | None = None
    case: bool = False
    """Whether capitals count."""

    @model_validator(mode="after")
    def _forbids_something(self) -> Self:
        if not (self.texts or self.patterns or self.key):
            raise ValueError("texts, patterns or key: give one, or nothing is forbidden")
        for pattern in self.patterns:
            try:
                regex.compile(pattern)
            except regex.error as error:
                raise ValueError(f"not a regular expression: {pattern!r}: {error}") from error
        return self


def language(config: LanguageConfig) -> BatchScorer:
    """The scorer."""

    def score(pairs: Sequence[tuple[Row, str]]) -> list[Mark | Unscored]:
        from curate.core.text.language.detect import UNDETERMINED, tell_languages

        questions = [] if config.is_ else [_asked(item) for item, _ in pairs]
        told = tell_languages([answer for _, answer in pairs] + questions)["language"].to_list()
        wanted = [config.is_] * len(pairs) if config.is_ else told[len(pairs) :]
        found: list[Mark | Unscored] = []
        for (_, answer), given, right in zip(pairs, told, wanted, strict=False):
            if not answer.strip():
                found.append(missed("empty answer"))
            elif UNDETERMINED in (given, right):
                found.append(
                    Unscored(f"the language of the {'answer' if given == UNDETERMINED else 'question'} can't be told")
                )
            else:
                found.append(passed() if given == right else missed(f"{given}, not {right}"))
        return found

    return BatchScorer(score)


def _asked(item: Row) -> str:
    return "\n".join(message.text for message in item.prompt if message.role == "user")


def forbidden(config: ForbiddenConfig) -> TextScorer:
    """The scorer. Unscored where a pattern takes too long, or the item has no list under `key`."""
    patterns = [regex.compile(pattern, 0 if config.case else regex.IGNORECASE) for pattern in config.patterns]

    def rule(item: Row, answer: str) -> Mark | Unscored:
        own = item.meta.get(config.key) if config.key else []
        if not isinstance(own, list):
            return Unscored(f"the item has no list meta.{config.key}")
        text = answer if config.case else answer.casefold()
        for unwanted in [*config.texts, *map(str, own)]:
            if (unwanted if config.case else unwanted.casefold()) in text:
                return missed(f"holds {unwanted[:_SHOWN]!r}")
        try:
            found = next((hit for pattern in patterns if (hit := pattern.search(answer, timeout=_LIMIT_S))), None)
        except TimeoutError:
            return Unscored(f"a pattern took longer than {_LIMIT_S} s on this answer")
        return missed(f"holds {found.group()[:_SHOWN]!r}") if found else passed()

    return rule
