"""Every screen as two steps: `measure` reads texts and gives columns, `value` turns columns into one number a row.

What only `value` uses (limits, thresholds) can change without reading a text again; `key` names what `measure` uses.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError
from curate.core.paths import find_path, load_function
from curate.core.text.language.detect import UNDETERMINED, tell_languages
from curate.core.text.language.languages import scripts_of
from curate.core.text.language.script_words import Words, split_words
from curate.core.text.refusals import REFUSALS
from curate.recipe.screens import (
    Language,
    LowInformation,
    PersonalData,
    Redacting,
    Repetition,
    Screen,
    Screens,
    Secrets,
)
from curate.screen.credentials import find_secrets
from curate.screen.information import measure_information
from curate.screen.personal import find_personal
from curate.screen.phrases import check_patterns, find_phrases
from curate.screen.presidio import find_with_presidio, load_analyzer
from curate.screen.repetition import COLUMNS, measure_repetition
from curate.screen.spans import Found, Span, describe, span_column, without_overlaps
from curate.screen.stock_phrases import BOILERPLATE
from curate.screen.texts import Reads
from curate.screen.threats import THREATS_EN
from curate.screen.toxicity import find_terms, read_words

if TYPE_CHECKING:
    import polars as pl

Find = Callable[["pl.Series"], Found]
Detail = Callable[[Mapping[str, Any]], str]

# Part of each key: a change to what a screen measures makes columns that were kept useless.
_VERSION = 2
_SHORT_CHARACTERS = 20  # entropy of fewer bytes says nothing
_DISTINCT_WORDS = (20, 500)  # below, one repeated word is a large share; above, prose repeats its small words


@dataclass(frozen=True)
class Chunk:
    """Some texts, and their words, which several screens share. Texts are free of unpaired surrogates."""

    texts: "pl.Series"

    @cached_property
    def words(self) -> Words:
        """The words of the texts."""
        return split_words(self.texts.to_list())


@dataclass(frozen=True)
class Measure:
    """A screen ready to run. `measure` gives a row for each text."""

    name: str
    settings: Screen | Redacting
    key: str
    measure: Callable[[Chunk], "pl.DataFrame"]
    value: Callable[["pl.DataFrame"], "pl.Series"]
    detail: Detail
    """What to tell about a row over the threshold, from its columns; never what was found."""
    find: Find | None = None
    """For screens that can redact: the spans of each text."""
    reads: Reads = "content"
    """What of a row is its text."""


def make_measures(screens: Screens, folder: Path) -> list[Measure]:
    """The screens that the settings ask for; files and functions they name are relative to `folder`.

    Raises: ConfigError for a pattern, a word list, a function or a library that can't be used.
    """
    made = []
    if screens.secrets is not None:
        made.append(_secrets(screens.secrets))
    if screens.personal_data is not None:
        made.append(_personal(screens.personal_data))
    if screens.toxicity is not None:
        made.append(_toxicity(screens, folder))
    if screens.language is not None:
        made.append(_language(screens.language))
    if screens.repetition is not None:
        made.append(_repetition(screens.repetition))
    for name, settings, built_in in (
        ("refusals", screens.refusals, REFUSALS),
        ("boilerplate", screens.boilerplate, BOILERPLATE),
    ):
        if settings is not None:
            made.append(_phrases(name, settings, built_in, settings.patterns))
    if screens.low_information is not None:
        made.append(_low_information(screens.low_information))
    return made + [_custom(custom.name, custom, custom.function, folder) for custom in screens.custom]


def _personal(settings: PersonalData) -> Measure:
    if settings.presidio:
        load_analyzer(settings.presidio_language)

    def find(texts: "pl.Series") -> Found:
        found = [find_personal(texts, settings)]
        if settings.presidio:
            found.append(find_with_presidio(texts, settings.presidio_language))
        return _together(texts, [*found, find_phrases(texts, settings.patterns)])

    options = settings.model_dump(include={"types", "phone_by_context", "private_addresses", "presidio", "patterns"})
    return _finding("personal-data", settings, {**options, "language": settings.presidio_language}, find)


def _secrets(settings: Secrets) -> Measure:
    def find(texts: "pl.Series") -> Found:
        return _together(texts, [find_secrets(texts, settings), find_phrases(texts, settings.patterns)])

    return _finding("secrets", settings, settings.model_dump(include={"min_entropy", "patterns"}), find)


def _finding(name: str, settings: Redacting, options: Mapping[str, Any], find: Find) -> Measure:
    check_patterns(settings.patterns, f"screens.{name.replace('-', '_')}.patterns")
    return Measure(
        name, settings, _key(name, options), partial(_spans_of, find), _span_count, _found, find, "everything"
    )


def _phrases(name: str, settings: Screen, built_in: Mapping[str, str], more: Mapping[str, str]) -> Measure:
    import polars as pl

    check_patterns(more, f"screens.{name}.patterns")
    patterns = {**built_in, **more}

    def value(columns: pl.DataFrame) -> pl.Series:
        kinds = columns["spans"].list.eval(pl.element().struct.field("kind").n_unique()).list.first()
        return kinds.cast(pl.Float64).clip(0, 1 if name == "refusals" else None)

    measure = partial(_spans_of, partial(find_phrases, patterns=patterns))
    return Measure(name, settings, _key(name, patterns), measure, value, _found)


def _toxicity(screens: Screens, folder: Path) -> Measure:
    settings = screens.toxicity
    if settings is None:
        raise ValueError("no toxicity screen was asked for")
    if settings.classifier is not None:
        return _custom("toxicity", settings, settings.classifier, folder)
    terms = [term for path in settings.words for term in read_words(find_path(path, folder))]
    terms += THREATS_EN if settings.threats else []
    if not terms:
        raise ConfigError(
            "there is nothing to look for", where="screens.toxicity", fix="name word lists, or a classifier"
        )
    measure = partial(_spans_of, partial(find_terms, terms=terms))
    key = _key("toxicity", sorted(terms))
    return Measure("toxicity", settings, key, measure, _span_count, _found, reads="reasoning")


def _language(settings: Language) -> Measure:
    import polars as pl

    scripts = sorted(scripts_of(settings.expected))

    def value(columns: pl.DataFrame) -> pl.Series:
        told = columns["language"]
        values = pl.select(
            pl.when(told == UNDETERMINED)
            .then(pl.when(columns["script"].is_in(scripts)).then(0.5).otherwise(1.0))
            .when(told.is_in(settings.expected))
            .then(0.0)
            .otherwise(1.0)
        )
        return values.to_series()

    def detail(columns: Mapping[str, Any]) -> str:
        told = "undetermined" if columns["language"] == UNDETERMINED else columns["language"]
        return f"{told}, expected {' or '.join(settings.expected)}"

    return Measure(
        "language", settings, _key("language", {}), lambda chunk: tell_languages(chunk.texts.to_list()), value, detail
    )


def _repetition(settings: Repetition) -> Measure:
    import polars as pl

    limits = {f"top_{n}": limit for n, limit in settings.top_ngram.items()}
    limits |= {f"duplicate_{n}": limit for n, limit in settings.duplicate_ngram.items()}
    limits |= {"lines": settings.duplicate_lines, "line_bytes": settings.duplicate_line_bytes}
    limits = {name: limits[name] for name in COLUMNS if name in limits}

    def value(columns: pl.DataFrame) -> pl.Series:
        worst = pl.max_horizontal(pl.col(name) / limit for name, limit in limits.items())
        return columns.select(pl.when(pl.col("words") >= settings.min_words).then(worst)).to_series()

    def detail(columns: Mapping[str, Any]) -> str:
        worst = max(limits, key=lambda name: columns[name] / limits[name])
        return f"{_WORDING[worst]}: {columns[worst]:.2f}, the limit is {limits[worst]:.2f}"

    return Measure("repetition", settings, _key("repetition", {}), _by_words(measure_repetition), value, detail)


_WORDING = {
    **{f"top_{n}": f"share of characters in the most frequent run of {n} words" for n in range(2, 5)},
    **{f"duplicate_{n}": f"share of characters in repeated runs of {n} words" for n in range(5, 11)},
    "lines": "share of repeated lines",
    "line_bytes": "share of bytes in repeated lines",
}


def _low_information(settings: LowInformation) -> Measure:
    import polars as pl

    few, many = _DISTINCT_WORDS
    limits = {
        "characters": settings.min_characters,
        "words": settings.min_words,
        "entropy": settings.min_entropy,
        "distinct share": settings.min_distinct,
    }

    def value(columns: pl.DataFrame) -> pl.Series:
        return columns.select(pl.max_horizontal(_shortfalls())).to_series()

    def _shortfalls() -> list[pl.Expr]:
        asked = {
            "entropy": pl.col("characters") >= _SHORT_CHARACTERS,
            "distinct share": pl.col("words").is_between(few, many),
        }
        measures = {name: pl.col(name) for name in ("characters", "words", "entropy")}
        measures["distinct share"] = pl.col("distinct") / pl.col("words")
        return [
            pl.when(asked.get(name, pl.lit(value=True))).then((1 - measures[name] / limit).clip(0, 1)).otherwise(0.0)
            for name, limit in limits.items()
            if limit
        ] or [pl.lit(0.0)]

    def detail(columns: Mapping[str, Any]) -> str:
        return (
            f"{columns['characters']:.0f} characters, {columns['words']:.0f} words, {columns['distinct']:.0f} of them"
            f" different, {columns['entropy']:.1f} bits a byte"
        )

    key = _key("low-information", {})
    return Measure("low-information", settings, key, _by_words(measure_information), value, detail)


def _custom(name: str, settings: Screen, function: str, folder: Path) -> Measure:
    import polars as pl

    judge = load_function(function, folder)
    path = find_path(function.rpartition(":")[0], folder)

    def measure(chunk: Chunk) -> pl.DataFrame:
        texts = chunk.texts
        try:
            numbers = [None if number is None else float(number) for number in judge(texts.to_list())]
        except Exception as error:  # a user's function can raise anything
            raise ConfigError(f"the function failed: {type(error).__name__}: {error}", where=function) from error
        if len(numbers) != len(texts):
            raise ConfigError(
                f"the function gave {len(numbers)} numbers for {len(texts)} texts",
                where=function,
                fix="return one number, or None, for each text",
            )
        return pl.DataFrame({"value": pl.Series(numbers, dtype=pl.Float64).fill_nan(None)})

    def detail(columns: Mapping[str, Any]) -> str:
        return f"{function.rpartition(':')[2]} gave {columns['value']:g}, the threshold is {settings.threshold:g}"

    key = _key(name, {"function": function.rpartition(":")[2], "file": digest_file(path)})
    return Measure(name, settings, key, measure, lambda columns: columns["value"], detail)


def _key(name: str, options: object) -> str:
    return digest_json([_VERSION, name, options]).removeprefix("sha256:")[:12]


def _spans_of(find: Find, chunk: Chunk) -> "pl.DataFrame":
    return span_column(find(chunk.texts), len(chunk.texts)).to_frame()


def _span_count(columns: "pl.DataFrame") -> "pl.Series":
    import polars as pl

    return columns["spans"].list.len().cast(pl.Float64)


def _found(columns: Mapping[str, Any]) -> str:
    return describe([Span(**span) for span in columns["spans"]])


def _by_words(measure: Callable[[Words], "pl.DataFrame"]) -> Callable[[Chunk], "pl.DataFrame"]:
    return lambda chunk: measure(chunk.words)


def _together(texts: "pl.Series", found: Sequence[Found]) -> Found:
    """What several finders found; of overlapping findings the earlier finder's stays."""
    rows = sorted({row for one in found for row in one})
    sizes = texts.gather(rows).str.len_chars()
    return {
        row: without_overlaps(size, (span for one in found for span in one.get(row, ())))
        for row, size in zip(rows, sizes, strict=True)
    }
