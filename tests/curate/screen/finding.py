"""What the finders find, as readable pairs."""

from typing import Any, get_args

import polars as pl

from curate.recipe.screens import PersonalData, PersonalType, Secrets
from curate.screen.credentials import find_secrets
from curate.screen.personal import find_personal
from curate.screen.spans import Span

ALL_TYPES = list(get_args(PersonalType))


def personal(text: str, **settings: Any) -> list[tuple[str, str]]:
    spans = find_personal(pl.Series([text]), PersonalData(**{"types": ALL_TYPES, **settings})).get(0, [])
    return pairs(text, spans)


def secrets(text: str, **settings: Any) -> list[tuple[str, str]]:
    return pairs(text, find_secrets(pl.Series([text]), Secrets(**settings)).get(0, []))


def pairs(text: str, spans: list[Span]) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in spans]
