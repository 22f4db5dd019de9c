"""Microsoft Presidio as a second opinion on personal data: names, places and more, where it is installed."""

import importlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from curate.core.errors import ConfigError
from curate.screen.spans import Found, Span, without_overlaps

if TYPE_CHECKING:
    import polars as pl

_MIN_SCORE = 0.5  # below it Presidio itself speaks of weak patterns
# Presidio's names for what the patterns here also find; any other entity keeps its name in lower case.
_KINDS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
    "US_SSN": "ssn",
    "IP_ADDRESS": "ip",
}


def find_with_presidio(texts: "pl.Series", language: str) -> Found:
    """What Presidio's default recognisers find in the texts, without overlaps.

    Raises: ConfigError where Presidio or its language model isn't there.
    """
    analyze = load_analyzer(language).analyze
    found: Found = {}
    for row, text in enumerate(texts):
        results = analyze(text=text, language=language, score_threshold=_MIN_SCORE)
        surest_first = sorted(results, key=lambda result: (-result.score, result.start, result.end))
        spans = (Span(result.start, result.end, _kind(result.entity_type)) for result in surest_first)
        kept = without_overlaps(len(text), spans)
        if kept:
            found[row] = kept
    return found


@lru_cache(maxsize=4)  # a language model takes seconds to load
def load_analyzer(language: str) -> Any:
    """Presidio's analyzer for a language. Raises: ConfigError where Presidio or its language model isn't there."""
    try:
        engine = importlib.import_module("presidio_analyzer").AnalyzerEngine
    except ImportError as error:
        raise ConfigError(
            "Presidio is not installed",
            where="screens.personal_data.presidio",
            fix="pip install presidio-analyzer and a spaCy model, or set presidio: false",
        ) from error
    try:
        return engine(supported_languages=[language])
    except (OSError, SystemExit, ValueError) as error:
        raise ConfigError(
            f"Presidio can't start: {error}",
            where="screens.personal_data.presidio",
            fix=f"install the spaCy model for {language}",
        ) from error


def _kind(entity: str) -> str:
    return _KINDS.get(entity, entity.lower().replace("_", "-"))
