"""Reports: complete, self-contained, and safe whatever the models wrote."""

import base64
import hashlib
import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.visible import visible
from evalkit.report.charts import bars, forest
from evalkit.report.files import write_report
from evalkit.report.html import render_html, script_json
from evalkit.report.markdown import cell, render_markdown
from tests.evalkit.recorded_run import RecordedRun, record_run

ATTACKS = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<!--<script>",
    "]]>&lt;b&gt;\u2028\u2029'\"`${1}",
    "\x1b[31mred\x1b[0m \u202egnp.exe \x00\ud800",
)


class Page(HTMLParser):
    """The tags and attributes of a document, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, _tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def _render(run: RecordedRun, **changes: Any) -> str:
    return "".join(render_html(run.record(**changes), run.items, run.generations, run.scores))


def _saying(run: RecordedRun, text: str) -> RecordedRun:
    """The run with `text` wherever a model, a row or a scorer can put text."""

    def spoil(message: Any) -> Any:
        return msgspec.structs.replace(message, content=text + str(message.content))

    return replace(
        run,
        items=[
            msgspec.structs.replace(item, messages=[spoil(m) for m in item.messages], label=text) for item in run.items
        ],
        generations=[msgspec.structs.replace(answer, text=text, finish_reason=text) for answer in run.generations],
        scores=[msgspec.structs.replace(score, detail=text) for score in run.scores],
        contenders=tuple(replace(info, description=text) for info in run.contenders),
    )


def test_the_page_says_the_verdict_and_needs_nothing_else(tmp_path: Path) -> None:
    run = record_run()
    written = write_report(tmp_path, run.record(), run.items, run.generations, run.scores)
    assert [path.name for path in written] == ["report.html", "report.md"]
    text = written[0].read_text()
    page = Page(text)
    assert "The\N{NO-BREAK SPACE}" not in text
    assert "The adapter is right on 54\N{NO-BREAK SPACE}% of 118 items" in text
    assert not [name for _, attributes in page.tags for name in attributes if name in ("src", "href", "onclick")]
    assert not re.findall(r"url\(|@import|https?://", text)
    assert len(page.scripts) == 2


def test_only_our_own_script_may_run() -> None:
    page = Page(_render(record_run(5)))
    policy = next(str(a["content"]) for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_never_becomes_markup(attack: str) -> None:
    plain, attacked = (Page(_render(_saying(record_run(6), text))) for text in ("harmless", attack))
    assert [tag for tag, _ in attacked.tags] == [tag for tag, _ in plain.tags]
    assert [set(attributes) for _, attributes in attacked.tags] == [set(attributes) for _, attributes in plain.tags]
    data = json.loads(attacked.scripts[0])
    assert data["items"][0]["answers"][0]["text"] == visible(attack)


@given(st.text())
def test_any_text_survives_the_script_element_unchanged(text: str) -> None:
    encoded = script_json({"text": text})
    assert not set("<>&\u2028\u2029") & set(encoded)
    assert json.loads(encoded) == {"text": text}


@given(st.text(alphabet=st.characters(), max_size=60) | st.sampled_from(ATTACKS))
def test_visible_text_holds_nothing_that_hides_or_reorders(text: str) -> None:
    shown = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\u2028\ud800-\udfff]", shown)
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert visible(shown) == shown


def test_visible_text_shows_what_was_there() -> None:
    assert visible("a\x1b[1m\tb\r\nc\u202ed\x7f") == "a␛[1m\tb\nc‹U+202E›d␡"
    assert visible("x" * 50, 10) == "x" * 10 + " … (40 more characters)"
    assert visible("👩\u200d🔬 é") == "👩\u200d🔬 é"


@given(st.text(max_size=80))
def test_a_markdown_cell_stays_a_cell(text: str) -> None:
    shown = cell(text)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(\\\\)*[|<>`\[\]*_]", shown)


def test_the_markdown_is_short_and_quotes_no_answer() -> None:
    run = _saying(record_run(), "BUY NOW")
    text = render_markdown(run.record())
    assert text.startswith("### Fine-tuning pays: toolcalls\n")
    assert "+44" in text
    assert "BUY NOW" not in text
    assert len(text.splitlines()) < 40


def test_every_bar_and_whisker_lies_on_its_axis() -> None:
    result = record_run().record()
    for bar in bars(result):
        assert 0 <= bar.low <= bar.mean <= bar.high <= 100
    chart = forest(result)
    assert 0 <= chart.zero < chart.useful <= 100
    for row in chart.rows:
        assert 0 <= row.low <= row.at <= row.high <= 100
        assert (row.low > chart.zero) == (not row.interval.startswith(("−", "0 ")))
    assert [tick.at for tick in chart.ticks] == sorted(tick.at for tick in chart.ticks)


def test_a_run_with_errors_and_unscored_answers_renders() -> None:
    run = record_run(12)
    broken = replace(
        run,
        generations=[
            msgspec.structs.replace(answer, text="", error="timed out", finish_reason="error")
            if answer.contender == "adapter"
            else answer
            for answer in run.generations
        ],
        scores=[
            msgspec.structs.replace(score, value=None, unscored="no answer") if score.contender == "adapter" else score
            for score in run.scores
        ],
    )
    text = _render(broken)
    assert "error: timed out" in text
    assert "unscored" in text
    assert "Inconclusive" in text


def test_a_single_contender_renders() -> None:
    run = record_run(12, rates={"base": 0.5})
    assert "Inconclusive" in _render(run)
    assert "Inconclusive" in render_markdown(run.record())


@pytest.mark.system("chromium")
def test_the_item_table_works_in_a_browser_and_attacks_do_not(tmp_path: Path) -> None:
    run = _saying(record_run(40), "".join(ATTACKS[:3]))
    page = write_report(tmp_path, run.record(), run.items, run.generations, run.scores)[0]
    options = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    command = ["chromium", *options.split(), f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "1 to 25 of 40 items" in shown
    assert "<title>Fine-tuning pays: toolcalls</title>" in shown
    assert "<img" not in shown.split("<body", 1)[1].split('<script type="application/json"')[0]
