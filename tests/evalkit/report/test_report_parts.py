"""Parts of the report: word diffs, quality against cost, slices, contamination, classes, sentences on cost."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.row import Message, Row
from evalkit.backends.endpoint import Price
from evalkit.report.charts import forest, picture
from evalkit.report.html import render_html
from evalkit.report.markdown import render_markdown
from evalkit.report.sentences import break_even_sentences, gain_sentences, ground_sentences
from evalkit.report.worddiff import Piece, word_diff
from evalkit.results.build_result import Beside, build_result
from evalkit.results.contamination import find_overlap
from evalkit.results.result_record import (
    AnswerInPassages,
    AppliedAdapter,
    ResultRecord,
    RetrievalFigures,
    UnreadableFile,
    UnreadableFiles,
)
from evalkit.suite.suite import LookFor
from tests.evalkit.recorded_run import CHAIN, SUITE, RecordedRun, record_run

PRICE = Price(prompt=0.15, completion=0.6, as_of=date(2026, 11, 1))
ATTACK = "</td><script>alert(1)</script> <ins>x</ins>"


@given(st.text(), st.text())
def test_a_word_diff_holds_both_texts(before: str, after: str) -> None:
    pieces = word_diff(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "new") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "gone") == after


def test_a_word_diff_is_by_words() -> None:
    assert word_diff("the red cat", "the blue cat") == (
        Piece("same", "the "),
        Piece("gone", "red"),
        Piece("new", "blue"),
        Piece("same", " cat"),
    )
    long = "word " * 2000
    assert [piece.kind for piece in word_diff(long, long + "x")] == ["gone", "new"]


def priced(run: RecordedRun) -> ResultRecord:
    contenders = tuple(
        replace(info, price=PRICE, training_cost=4.0 if info.adapter else None) for info in run.contenders
    )
    return replace(run, contenders=contenders).record()


def test_quality_stands_against_tokens_or_money() -> None:
    run = record_run()
    tokens, money = picture(run.record()), picture(priced(run))
    assert tokens is not None
    assert money is not None
    assert (tokens.unit, money.unit) == ("tokens a request, prompt and answer", "USD per 1,000 requests")
    for shown in (tokens, money):
        assert [spot.name for spot in shown.spots] == ["base", "base+prompt", "base+rag", "adapter"]
        assert all(0 <= spot.x <= 100 and spot.high <= spot.y <= spot.low for spot in shown.spots)
        assert shown.spots[3].x < shown.spots[2].x
    assert picture(record_run(10, {"base": 0.5}).record()) is None


def test_names_in_the_picture_keep_clear_of_one_another() -> None:
    shown = picture(record_run(100, {"base+prompt": 0.5, "base+rag": 0.51}).record())
    assert shown is not None
    first, second = shown.spots
    assert abs(first.name_y - second.name_y) >= 8


def test_sentences_say_the_share_of_the_gain_and_when_training_pays_back() -> None:
    result = priced(record_run())
    assert gain_sentences(result)[1].startswith(
        "Retrieval (base+rag) reaches 19 % of adapter's gain over base, interval"
    )
    assert gain_sentences(result)[1].endswith("not 80 % of the way.")
    assert "is paid back after about 71,000 requests (money)" in break_even_sentences(result)[1]
    summary = render_markdown(result)
    assert "71,000 requests" in summary
    assert gain_sentences(record_run(10, {"base": 0.5}).record()) == []


def test_declared_comparisons_on_other_metrics_are_named() -> None:
    run = record_run()
    result = run.record(family=[{"a": "adapter", "b": "base", "metric": "json_valid"}])
    assert [row.metric for row in forest(result).rows].count("json_valid") == 1
    assert "adapter − base, json\\_valid" in render_markdown(result)
    assert "against base, json_valid" in "".join(render_html(result, run.items, run.generations, run.scores))


def test_slices_contamination_and_classes_are_shown_and_are_no_markup() -> None:
    run = record_run(60)
    items = [msgspec.structs.replace(item, source=ATTACK if n < 40 else "b") for n, item in enumerate(run.items)]
    items[3] = msgspec.structs.replace(items[3], id=ATTACK)
    generations = [msgspec.structs.replace(g, item=ATTACK) if g.item == run.items[3].id else g for g in run.generations]
    scores = [
        msgspec.structs.replace(s, item=ATTACK if s.item == run.items[3].id else s.item, label=(ATTACK, "(none)"))
        if s.scorer == "tool_call" and s.value == 0
        else (msgspec.structs.replace(s, item=ATTACK) if s.item == run.items[3].id else s)
        for s in run.scores
    ]
    train = [Row(id=ATTACK, messages=[*items[3].prompt, Message("assistant", "x")])]
    overlap = find_overlap(items, train, LookFor(paraphrase=None), embedder="", folder=Path())
    result = build_result(
        suite=SUITE, items=items, generations=generations, scores=scores, chain=CHAIN, contenders=run.contenders,
        beside=Beside(overlap=overlap),
    )  # fmt: skip
    text = "".join(render_html(result, items, generations, scores))
    assert "<script>alert" not in text
    assert "<ins>x" not in text
    assert "May be given away by training rows" in text
    assert "Parts of the items: adapter against" in text
    assert "Classes: adapter, tool_call" in text
    assert "may be given away by training rows" in render_markdown(result)


def test_examples_show_what_changed_word_by_word() -> None:
    run = record_run(30)
    text = "".join(render_html(run.record(), run.items, run.generations, run.scores))
    assert "From base+rag to adapter" in text
    assert "<del>" in text.split("<script", 1)[0]


def test_what_answers_stand_on_is_said_in_both_reports() -> None:
    run = record_run(20)
    retrieval = RetrievalFigures(
        passages=9,
        unreadable=UnreadableFiles(1, [UnreadableFile("a.pdf", "encrypted")]),
        nothing_found=0,
        failed=0,
        source_named=20,
        recall={"1": 0.5, "2": 0.75},
        answer=AnswerInPassages(items=20, in_context=15, in_documents=20, score_with=0.4, score_without=None),
    )
    canary = AppliedAdapter(how="answers", probes=5, changed=4, base=ATTACK)
    nobody = AppliedAdapter(how="none", probes=0, changed=0, because="its base is not asked")
    grounds: dict[str, dict[str, Any]] = {
        "base": {"retrieval": retrieval},
        "base+rag": {"canary": nobody},
        "adapter": {"canary": canary},
    }
    contenders = [replace(info, **grounds.get(info.name, {})) for info in run.contenders]
    result = build_result(
        suite=SUITE, items=run.items, generations=run.generations, scores=run.scores, chain=CHAIN,
        contenders=contenders,
    )  # fmt: skip
    told = {line.partition(",")[0]: line for line in ground_sentences(result)}
    assert told["base"] == (
        "base, retrieval: the right passage is found for 50 % in the best 1, 75 % in the best 2, of 20 items that name"
        " theirs; the answer's words were shown for 15 of 20 items (40 % right on those); 1 documents that"
        " can't be read."
    )
    assert "Nobody knows: its base is not asked" in told["base+rag"]
    assert "4 of 5 questions otherwise than" in told["adapter"]
    page = "".join(render_html(result, run.items, run.generations, run.scores))
    assert "75 % in the best 2" in page
    assert "<script>alert" not in page
    assert "75 % in the best 2" in render_markdown(result)
