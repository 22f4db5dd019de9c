"""Two results side by side: paired on items, honest about what can't be said, with exit codes."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from curate.core.errors import DataError
from evalkit.records.typed import sealed
from evalkit.report.files import write_results
from evalkit.results.compare_runs import ComparedResults, compare_results
from evalkit.results.folder import Results
from tests.conftest import Run
from tests.evalkit.recorded_run import RecordedRun, record_run


def results(run: RecordedRun, **changes: object) -> Results:
    return Results(sealed(run.record(**changes)), run.items, run.generations, run.scores)


def spoiled(run: RecordedRun, count: int, value: float) -> RecordedRun:
    """The run in which the adapter's first items all have this score on the primary metric."""
    these = {item.id for item in run.items[:count]}
    return replace(
        run,
        scores=[
            msgspec.structs.replace(s, value=value)
            if s.contender == "adapter" and s.scorer == "tool_call" and s.item in these
            else s
            for s in run.scores
        ],
    )


def standing(record: ComparedResults, contender: str = "adapter", metric: str = "tool_call") -> str:
    return next(one.standing for one in record.changes if (one.contender, one.metric) == (contender, metric))


def test_a_result_is_the_same_as_itself() -> None:
    run = record_run()
    record = compare_results(results(run), results(run))
    assert (record.verdict, record.items, record.left_out) == ("same", 118, 0)
    assert len(record.changes) == 8
    assert all(one.difference == 0 for one in record.changes)


def test_better_and_worse_are_found_by_contender() -> None:
    run = record_run()
    worse = compare_results(results(run), results(spoiled(run, 60, 0.0)))
    assert (worse.verdict, standing(worse), standing(worse, "base+rag")) == ("worse", "worse", "same")
    better = compare_results(results(run), results(spoiled(run, 60, 1.0)))
    assert (better.verdict, standing(better)) == ("better", "better")


def test_few_items_leave_it_open() -> None:
    run = record_run(12)
    assert compare_results(results(run), results(spoiled(run, 3, 0.0))).verdict == "open"


def test_only_items_with_the_same_content_are_compared() -> None:
    run = record_run()
    other = replace(run, items=[msgspec.structs.replace(item, label="x") if n < 18 else item
                                for n, item in enumerate(run.items)])  # fmt: skip
    record = compare_results(results(run), results(other))
    assert (record.items, record.left_out) == (100, 36)
    with pytest.raises(DataError, match="share no items"):
        compare_results(results(record_run(5)), results(replace(run, items=[
            msgspec.structs.replace(item, source="elsewhere") for item in run.items])))  # fmt: skip


def test_contenders_of_other_names_are_named() -> None:
    run = record_run()
    record = compare_results(results(run), results(run), [("base+rag", "adapter")])
    assert record.verdict == "better"
    assert {one.contender for one in record.changes} == {"base+rag -> adapter"}
    with pytest.raises(DataError, match="nobody"):
        compare_results(results(run), results(run), [("nobody", "adapter")])


def test_the_commands_compare_and_export(run_cli: Run, tmp_path: Path) -> None:
    run = record_run()
    for name, made in (("a", run), ("b", spoiled(run, 60, 0.0))):
        write_results(tmp_path / name, made.record(), made.items, made.generations, made.scores)
    worse = run_cli("evalkit", "compare", tmp_path / "a", tmp_path / "b")
    assert worse.returncode == 1
    assert "tool_call: worse" in worse.stdout
    same = run_cli("evalkit", "compare", tmp_path / "a", tmp_path / "a", "--json")
    assert (same.returncode, json.loads(same.stdout)["verdict"]) == (0, "same")
    assert run_cli("evalkit", "compare", tmp_path / "a", tmp_path / "a", "--contender", "=x").returncode == 2
    exported = run_cli(
        "evalkit", "export", tmp_path / "a", "--to", "csv", "--to", "inspect", "--output", tmp_path / "o"
    )
    assert exported.returncode == 0
    assert len(exported.stdout.split()) == len(list((tmp_path / "o").iterdir())) == 5
    assert run_cli("evalkit", "export", tmp_path / "a", "--to", "lm-eval", "--dry-run").returncode == 0
    assert not (tmp_path / "a" / "exports").exists()
