"""report.html: one file, no network, safe to open whatever the models wrote."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from curate.core.rows.row import Row
from curate.core.visible import visible
from evalkit.records.lines import Generation, Score
from evalkit.report.answers import ItemTable, examples
from evalkit.report.charts import bars, forest, picture
from evalkit.report.judges import judge_views
from evalkit.report.sentences import break_even_sentences, gain_sentences, ground_sentences
from evalkit.report.worddiff import word_diff
from evalkit.results.class_table import ClassTable
from evalkit.results.ladder import LadderVerdict
from evalkit.results.result_record import ResultRecord
from evalkit.stats.in_words import duration, p_value, percent, points, span

FOLDER = Path(__file__).parent

VERDICTS: dict[LadderVerdict, str] = {
    "prompt-suffices": "A prompt suffices",
    "rag-suffices": "Retrieval suffices",
    "fine-tune-pays": "Fine-tuning pays",
    "nothing-suffices": "Nothing suffices",
    "inconclusive": "Inconclusive",
}
_DATA = "\x00"  # behind it only our own script follows
OUTCOMES = {"start": "where it starts", "better": "better", "not-better": "not better", "open": "open"}

_FIGURE_SPACE = re.compile(
    r" (?=%|points\b)|(?<=\bp) (?=[<=])|(?<=p [<=]) |(?<=[+−\d]) (?=to [+−\d])|(?<=\d to) (?=[+−\d])"
)

# JSON inside a script element ends at the first `</script`, and `<!--` changes how the rest is read: with these five
# characters escaped no text can do either, nor break JavaScript's own idea of a line.
_SCRIPT_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def render_html(
    result: ResultRecord, rows: Sequence[Row], generations: Sequence[Generation], scores: Sequence[Score]
) -> Iterator[str]:
    """The report as one HTML document, in parts: of its items only a few are in memory at a time."""
    items = ItemTable(result, rows, generations, scores)
    before, _, after = _page(result, items).rpartition(_DATA)
    yield before
    yield from _table_data(result, items)
    yield after


def _page(result: ResultRecord, items: ItemTable) -> str:
    """The document with `_DATA` where the items' data belongs."""
    script = _asset("items.js")
    headline, stop, detail = tight(visible(result.ladder.because)).partition(". ")
    # Only the script whose digest stands here runs: text that slipped through every escape could still do nothing.
    script_digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Names and descriptions come from configuration files, which are as free as any text.
    environment.filters.update(percent=percent, points=points, p_value=p_value, visible=visible, count=_count)
    environment.filters.update(duration=duration)
    environment.globals.update(word_diff=word_diff)
    return environment.get_template("report.html.j2").render(
        result=result,
        ladder=result.ladder,
        headline=headline + stop.strip(),
        detail=detail,
        verdict=VERDICTS[result.ladder.verdict],
        outcomes=OUTCOMES,
        bars=bars(result),
        forest=forest(result),
        picture=picture(result),
        costs=[*gain_sentences(result), *break_even_sentences(result)],
        grounds=ground_sentences(result),
        judges=judge_views(result),
        classes=_classes(result),
        span=span,
        examples=examples(result, items),
        item_count=len(items),
        provenance=list(flatten(_origins(result))),
        digest=result.digest,
        css=Markup(_asset("report.css")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_digest=script_digest,
        data=Markup(_DATA),  # noqa: S704 - our own sign
    )


def script_json(value: object) -> str:
    """`value` as JSON that can stand inside a script element, whatever its strings hold."""
    return msgspec.json.encode(value).decode().translate(_SCRIPT_ESCAPES)


def tight(text: str) -> str:
    """`text` with spaces that don't break inside its figures: `54 %`, `p < 0.001`, `+33 to +54`."""
    return _FIGURE_SPACE.sub("\N{NO-BREAK SPACE}", text)


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings and lists as (dotted path, text) lines; empty ones are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{path}.{index}")
    elif value is not None:
        yield path, visible(str(value))


def _origins(result: ResultRecord) -> dict[str, Any]:
    return {"suite": result.suite, "chain": msgspec.to_builtins(result.chain), "versions": result.versions}


def _classes(result: ResultRecord) -> list[tuple[str, str, ClassTable]]:
    """Contender, scorer and table of each scorer that knows classes."""
    return [
        (contender.name, scorer, table)
        for contender in result.contenders
        for scorer, table in (contender.classes or {}).items()
    ]


def _table_data(result: ResultRecord, items: ItemTable) -> Iterator[str]:
    """The contenders' names and all items as one JSON object, in parts."""
    names = list(map(visible, result.names))
    yield f'{{"contenders":{script_json(names)},"items":['
    for place, item in enumerate(items):
        yield f",{script_json(item)}" if place else script_json(item)
    yield "]}"


def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _count(number: float) -> str:
    """A number with thin spaces between thousands; small ones with a decimal."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}") if number >= 10 else f"{number:.2g}"
