"""Slices: what is one, what is enough, and how rarely noise passes for a finding."""

import msgspec
import numpy as np

from curate.core.rows.row import Message, Row
from evalkit.results.slices import MIN_ITEMS, SliceFigures, find_slices, slice_results
from evalkit.stats.compare import ComparisonTerms
from tests.evalkit.recorded_run import record_run

LEVEL = ComparisonTerms("right", 0.05, 0, None)


def items(count: int, **fields: list[str]) -> list[Row]:
    return [
        Row(
            id=str(index),
            messages=[Message("user", "word " * (1 + index))],
            label=fields["label"][index] if "label" in fields else None,
            meta={"level": fields["level"][index]} if "level" in fields else {},
        )
        for index in range(count)
    ]


def test_a_field_with_several_values_makes_slices_and_lengths_are_thirds() -> None:
    rows = items(30, label=["a", "b", "b"] * 10, level=["1"] * 30)
    found = find_slices(rows, ["label", "source", "length", "meta.level", "cluster"], ["=x"] * 15 + ["=y"] * 15)
    assert [(one.field, one.value, int(one.here.sum())) for one in found] == [
        ("label", "a", 10),
        ("label", "b", 20),
        ("length", "short", 10),
        ("length", "middle", 10),
        ("length", "long", 10),
        ("cluster", "x", 15),
        ("cluster", "y", 15),
    ]


def test_a_field_with_a_value_of_its_own_for_each_item_sorts_nothing() -> None:
    rows = items(60, label=[str(index) for index in range(60)])
    assert find_slices(rows, ["label"], None) == []


def test_a_slice_with_too_few_items_shows_no_figure() -> None:
    few = MIN_ITEMS - 1
    rows = items(60, label=["few"] * few + ["many"] * (60 - few))
    values = {"a": np.ones(60), "b": np.zeros(60)}
    first, second = slice_results(find_slices(rows, ["label"], None), values, ("a", "b"), LEVEL)
    assert first == SliceFigures(field="label", value="few", n=few, outcome="not-enough")
    assert (second.outcome, second.difference, second.means) == ("better", 1.0, {"a": 1.0, "b": 0.0})


def test_items_without_a_score_do_not_count_towards_enough() -> None:
    rows = items(40, label=["x", "y"] * 20)
    values = {"a": np.where(np.arange(40) < 4, np.nan, 1.0), "b": np.zeros(40)}
    found = slice_results(find_slices(rows, ["label"], None), values, ("a", "b"), LEVEL)
    assert [one.outcome for one in found] == ["not-enough", "not-enough"]


def test_a_slice_that_got_worse_is_found_among_many() -> None:
    random = np.random.default_rng(2)
    rows = items(400, label=[str(index % 10) for index in range(400)])
    ours, theirs = (random.random(400) < 0.6).astype(float), (random.random(400) < 0.6).astype(float)
    ours[3::10], theirs[3::10] = 0.0, 1.0
    found = slice_results(find_slices(rows, ["label"], None), {"a": ours, "b": theirs}, ("a", "b"), LEVEL)
    assert [one.value for one in found if one.outcome == "worse"] == ["3"]


def test_equal_contenders_have_no_slice_that_stands_out_in_19_of_20_runs() -> None:
    random = np.random.default_rng(3)
    slices = find_slices(items(300, label=[str(index % 10) for index in range(300)]), ["label", "length"], None)
    alarms = 0
    for _ in range(200):
        values = {name: (random.random(300) < 0.5).astype(float) for name in "ab"}
        alarms += any(one.outcome in ("better", "worse") for one in slice_results(slices, values, ("a", "b"), LEVEL))
    assert alarms / 200 <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5


def test_a_result_holds_the_slices_of_its_last_step() -> None:
    run = record_run()
    sourced = msgspec.structs.replace
    run.items[:] = [sourced(item, source="web" if index < 60 else "paper") for index, item in enumerate(run.items)]
    slices = run.result()["slices"]
    assert {one["field"] for one in slices} == {"label", "source", "length"}
    assert all(one["outcome"] == "better" for one in slices)
