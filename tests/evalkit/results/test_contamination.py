"""Items that the training rows give away are found, shown, and left out of the clean scores."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from curate.core.rows.row import Message, Row
from evalkit.results.build_result import Beside, build_result
from evalkit.results.contamination import Overlap, find_overlap
from evalkit.run import RunOptions, evaluate
from evalkit.suite.suite import LookFor
from tests.evalkit.recorded_run import CHAIN, SUITE, record_run
from tests.evalkit.tiny_world import row, write_dataset, write_suite

LONG = (
    "A lighthouse keeper climbs two hundred and twelve steps every evening and carries three litres of oil each time, "
    "so how much oil reaches the lamp in a leap year?"
)


def item(name: str, question: str, answer: str = "42") -> Row:
    return Row(id=name, messages=[Message("user", question), Message("assistant", answer)])


ITEMS = [item("copied", LONG), item("own", "Which of the seven bridges did the otters cross before breakfast today?")]


def look(train: list[Row], **chosen: float | None) -> tuple[list[bool], dict[str, int]]:
    found = find_overlap(ITEMS, train, LookFor(paraphrase=None, **chosen), embedder="embedded:minilm", folder=Path())  # type: ignore[arg-type]
    return found.touched.tolist(), {tier.name: tier.items for tier in found.record.tiers}


def test_an_item_inside_a_longer_row_is_found_whole() -> None:
    touched, tiers = look([item("t", f"Please answer. {LONG} Think first.")])
    assert touched == [True, False]
    assert tiers["whole"] == 1


def test_a_run_of_words_and_a_near_copy_are_found() -> None:
    half = " ".join(LONG.split()[:18])
    assert look([item("t", f"{half} and then he sleeps.")])[1]["ngram"] == 1
    changed = LONG.replace("two hundred and twelve", "ninety").replace("three", "five").replace("leap", "whole")
    touched, tiers = look([item("t", changed)], ngram=20)
    assert touched == [True, False]
    assert tiers["characters"] == 1
    assert look([item("t", changed)], ngram=20, near=None)[0] == [False, False]


def test_a_rephrased_item_is_found_by_its_meaning() -> None:
    said = "What amount of oil arrives at the lamp over a leap year if a lighthouse keeper walks up 212 steps "
    train = [item("t", said + "each evening carrying three litres?")]
    found = find_overlap(ITEMS, train, LookFor(near=None), embedder="embedded:minilm", folder=Path())
    assert found.touched.tolist() == [True, False]
    assert found.record.finds[0].tier == "paraphrase"
    assert found.record.finds[0].row == "t"


def test_other_rows_give_nothing_away() -> None:
    assert look([item("t", "Do kites remind anyone of glaciers in the spring of a very cold year, or not?")])[0] == [
        False,
        False,
    ]


def test_scores_are_also_given_on_the_clean_items() -> None:
    run = record_run()
    touched = np.array([index < 40 for index in range(118)])
    easy = {entry.id for entry in run.items[:40]}
    scores = [
        msgspec.structs.replace(s, value=1.0) if s.contender == "adapter" and s.item in easy else s for s in run.scores
    ]
    beside = Beside(overlap=_overlap(run.items, touched))
    result = build_result(
        suite=SUITE, items=run.items, generations=run.generations, scores=scores, chain=CHAIN,
        contenders=run.contenders, beside=beside,
    )  # fmt: skip
    clean = result.contamination.clean
    assert clean.items == 78
    assert clean.contenders["adapter"].n == 78
    assert clean.contenders["adapter"].mean < result.contenders[-1].metrics["tool_call"].mean
    assert clean.verdict == "fine-tune-pays"
    assert len(clean.comparisons) == 6


@pytest.mark.parametrize(
    ("clean_from", "verdict"), [(40, "fine-tune-pays"), (112, "inconclusive"), (118, "inconclusive")]
)
def test_training_pays_only_where_items_that_were_not_trained_on_say_so(clean_from: int, verdict: str) -> None:
    run = record_run()
    overlap = _overlap(run.items, np.arange(118) < clean_from)
    record = msgspec.structs.replace(overlap.record, touched=clean_from, word_for_word=clean_from)
    overlap = replace(overlap, record=record)
    result = build_result(
        suite=SUITE, items=run.items, generations=run.generations, scores=run.scores, chain=CHAIN,
        contenders=run.contenders, beside=Beside(overlap=overlap),
    )  # fmt: skip
    assert result.ladder.verdict == verdict
    assert f"Contaminated: {clean_from} of 118 items" in result.ladder.because
    assert {one.n for one in result.contenders} == {118}


def _overlap(rows: list[Row], touched: np.ndarray) -> Overlap:
    found = find_overlap(rows, [item("t", "nothing")], LookFor(paraphrase=None), embedder="", folder=Path())
    return replace(found, touched=touched)


def test_a_run_looks_at_the_rows_that_its_manifest_names(world: Path) -> None:
    test = [row(index, "test") for index in range(9)]
    told = msgspec.structs.replace(
        row(5, "train"), messages=[Message("user", f"Once more: {LONG}"), Message("assistant", "no")]
    )
    leaked = msgspec.structs.replace(test[0], messages=[Message("user", LONG), Message("assistant", "no")])
    write_dataset(world / "dataset", [told, *(row(index, "train") for index in range(4))], [leaked, *test[1:]])
    suite = write_suite(world, train=None, contenders=[{"name": "base"}], contamination={"paraphrase": None})
    found = evaluate(suite, RunOptions()).result.contamination
    assert (found.train_rows, found.touched, found.clean.items) == (5, 1, 8)
    assert found.finds[0].row == "train_5"
    quiet = write_suite(world, train=None, contenders=[{"name": "base"}], contamination=None)
    quiet.write_text(quiet.read_text() + "contamination: null\n")
    assert evaluate(quiet, RunOptions()).result.contamination is None
