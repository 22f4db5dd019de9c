"""Duplicates in meaning with the real embedder: what goes, what stays, and what a build writes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from curate.build.build import build
from curate.build.dataset_folder import verify_dataset
from curate.build.run_stages import check_account
from curate.core.files import decode_lines
from curate.core.rows.row import Row
from curate.dedup.semantic import SemanticDuplicates
from curate.table.rejections import Because, Rejection
from curate.table.stage import StageResult
from tests.curate.row_makers import chat, make_context, make_row, select, write_recipe

pytest.importorskip("sentence_transformers")
HELLO = ["how should i say hello in french", "how do you say hello in french"]
MONEY = ["take $40 and transfer it to account a from b", "take $40 from account a and transfer it to account b"]


def run(rows: list[Row], threshold: float = 0.95) -> StageResult:
    given = select(rows)
    result = SemanticDuplicates().run(given, make_context(dedup={"semantic": {"threshold": threshold}}), {})
    check_account("semantic", given, result)
    return result


def test_the_preferred_row_stays_and_the_other_names_it() -> None:
    rows = [
        make_row(HELLO[0], "You say bonjour, and to a friend also salut.", id="a"),
        make_row(HELLO[1], "Bonjour is what one says, or salut to those one knows well.", id="b"),
        make_row("book a table for tonight", id="c"),
    ]
    result = run(rows)
    assert result.kept.ids() == ["b", "c"]
    (item,) = result.rejections
    assert (item.id, item.stage, item.reason) == ("a", "semantic", "same-meaning")
    assert item.because_of is not None
    assert item.because_of.id == "b"
    assert 0.95 <= item.because_of.similarity < 1
    assert sum(result.counts["similarities"].values()) == 1


def test_other_numbers_and_conflicts_are_no_duplicates() -> None:
    rows = [
        make_row("move 40 dollars from savings to checking", id="forty"),
        make_row("move 50 dollars from savings to checking", id="fifty"),
        make_row(HELLO[0], "bonjour", id="one"),
        make_row(HELLO[0], "salut", id="two"),
        make_row(HELLO[1], "hello", id="three"),
        make_row("", "no prompt", id="empty"),
        make_row(" ", "no prompt either", id="blank"),
    ]
    assert list(run(rows).rejections) == []
    moved = make_row("please move 40 dollars from savings to checking", id="please")
    assert [item.id for item in run([*rows, moved]).rejections] == ["forty"]


def test_rows_that_a_dropped_one_resembles_are_tied() -> None:
    result = run([make_row(text, id=text) for text in HELLO], 0.9)
    (kept,) = result.kept
    assert set(result.ties) == {kept.id}
    assert run([make_row(MONEY[0], id="x"), make_row("what is the weather like", id="y")]).ties == {}


@pytest.mark.slow
def test_a_build_with_the_stage(tmp_path: Path, run_cli: Callable[..., CompletedProcess[str]]) -> None:
    subjects = ("weather in paris", "score of the game", "price of gold", "way to the station", "plot of hamlet")
    rows = [chat(f"tell me about the {one}", "yes", id=one) for one in subjects]
    rows += [chat(HELLO[0], "bonjour", id="a"), chat(HELLO[1], "bonjour", id="b")]
    built = build(write_recipe(tmp_path, rows, {"dedup": {"semantic": {}}, "guards": {"min_cluster_rows": 50}}))
    verify_dataset(built.output)
    stage = next(stage for stage in built.manifest.stages if stage.name == "semantic")
    assert stage.reasons == {"same-meaning": 1}
    (rejected,) = decode_lines(built.output / "rejected.jsonl", Rejection)
    assert isinstance(rejected.because_of, Because)
    import polars as pl

    clusters = pl.read_parquet(built.output / "clusters.parquet")
    assert set(clusters["id"]) == {"a", "b"}
    report = (built.output / "report.html").read_text()
    assert "Pairs to look at" in report
    one = json.loads(run_cli("curate", "dedup", tmp_path / "rows.jsonl", "--semantic", "0.95", "--json").stdout)
    assert one["stages"][-1]["reasons"] == {"same-meaning": 1}


def test_the_default_threshold_tells_requests_apart(public_data: Path) -> None:
    """Of 150 intents' requests, a subset: those that go say what one of the same intent says."""
    pairs = json.loads((public_data / "clinc150" / "data_full.json").read_text())["val"][:1200]
    result = run([make_row(text, label, id=f"{n}", label=label) for n, (text, label) in enumerate(pairs)])
    labels = {str(n): label for n, (_, label) in enumerate(pairs)}
    assert len(result.rejections) > 20
    assert all(labels[item.id or ""] == labels[item.because_of.id] for item in result.rejections if item.because_of)
