"""Exports: every answer and score is in them, in the other tools' shapes, whatever models wrote."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import polars as pl
import pyarrow.parquet as pq
import pytest

from evalkit.exports.inspect_log import file_name, write_inspect
from evalkit.exports.lm_eval_files import write_lm_eval
from evalkit.exports.parquet import Kind, write_rows
from evalkit.exports.tables import answer_lines, write_csv, write_parquet
from evalkit.records.typed import sealed
from evalkit.report.junit import JunitCase, ladder_outcomes, render_junit
from evalkit.results.folder import Results
from tests.evalkit.recorded_run import RecordedRun, record_run

NASTY = '=HYPERLINK("http://x")\n"quoted", \ud800 <b>&amp; \x00'


def results(run: RecordedRun | None = None) -> Results:
    run = run or record_run(20)
    return Results(sealed(run.record()), run.items, run.generations, run.scores)


def nasty() -> Results:
    run = record_run(6)
    first = run.generations[0]
    lost = msgspec.structs.replace(run.generations[1], error="timed out", text="", finish_reason="error")
    return results(
        replace(
            run,
            generations=[msgspec.structs.replace(first, text=NASTY), lost, *run.generations[2:]],
            scores=[msgspec.structs.replace(run.scores[0], value=None, unscored="no target"), *run.scores[1:]],
        )
    )


def test_csv_and_parquet_hold_a_line_for_each_answer(tmp_path: Path) -> None:
    made = results()
    [table] = write_csv(made, tmp_path)
    with table.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(made.generations) == 80
    assert sum(float(line["score.tool_call"]) for line in lines if line["contender"] == "adapter") == 11
    [parquet] = write_parquet(made, tmp_path)
    frame = pl.read_parquet(parquet)
    assert frame.columns == list(lines[0])
    assert frame.filter(pl.col("contender") == "adapter")["score.tool_call"].sum() == 11
    assert frame.schema["latency_ms"] == pl.Float64


@pytest.mark.parametrize("count", [0, 1, 9, 5000])
def test_what_a_parquet_file_holds_other_libraries_read(tmp_path: Path, count: int) -> None:
    kinds: dict[str, Kind] = {"text": "text", "small": "int32", "large": "int64", "real": "double"}
    kinds |= {f"empty {n}": "text" for n in range(12)}  # more columns than a short list of the format holds
    rows = [
        [None if n % 3 else f"ä{n}" * (n % 5), -n, 2**40 + n, None if n % 2 else n / 7, *[None] * 12]
        for n in range(count)
    ]
    with (tmp_path / "a.parquet").open("wb") as file:
        write_rows(file, kinds, rows)
    frame = pl.read_parquet(tmp_path / "a.parquet")
    assert frame.rows() == [tuple(row) for row in rows]
    assert frame.dtypes[:4] == [pl.String, pl.Int32, pl.Int64, pl.Float64]
    table = pq.read_table(tmp_path / "a.parquet")
    assert (table.column_names, table.to_pydict()["text"]) == (list(kinds), [row[0] for row in rows])


def test_a_cell_is_never_a_formula_and_unscored_is_empty(tmp_path: Path) -> None:
    made = nasty()
    with write_csv(made, tmp_path)[0].open(encoding="utf-8", newline="") as file:
        first, second = list(csv.DictReader(file))[:2]
    assert first["answer"].startswith("'=HYPERLINK")
    assert (first["score.tool_call"], first["unscored.tool_call"]) == ("", "no target")
    assert second["error"] == "timed out"
    frame = pl.read_parquet(write_parquet(made, tmp_path)[0])
    assert frame["score.tool_call"].null_count() == 1
    assert len(list(answer_lines(made))) == 24


def test_inspect_logs_hold_samples_scores_and_what_is_unscored(tmp_path: Path) -> None:
    paths = write_inspect(nasty(), tmp_path)
    assert [path.name for path in paths] == [
        "inspect-base.json", "inspect-base+prompt.json", "inspect-base+rag.json", "inspect-adapter.json",
    ]  # fmt: skip
    log = json.loads(paths[0].read_text())
    assert (log["version"], log["status"], log["eval"]["model"]) == (2, "success", "acidtest/base")
    first, second = log["samples"][:2]
    assert math.isnan(first["scores"]["tool_call"]["value"])
    assert first["scores"]["tool_call"]["reason"] == "no target"
    assert first["output"]["choices"][0]["message"]["content"] == NASTY
    assert second["error"]["message"] == "timed out"
    assert [message["role"] for message in first["input"]] == ["system", "user"]
    assert log["results"]["scores"][0]["metrics"]["mean"]["value"] == 0


def test_lm_eval_files_hold_figures_and_samples(tmp_path: Path) -> None:
    made = results()
    written = write_lm_eval(made, tmp_path)
    summary, samples = (path for path in written if path.parent.name == "adapter")
    figures = json.loads(summary.read_text())["results"]["toolcalls"]
    assert figures["tool_call,none"] == pytest.approx(11 / 20)
    assert figures["tool_call_stderr,none"] == pytest.approx((0.55 * 0.45 / 19) ** 0.5)
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [line["doc_id"] for line in lines] == list(range(20))
    assert sum(line["tool_call"] for line in lines) == 11
    assert lines[0]["metrics"] == ["tool_call", "json_valid"]
    assert lines[0]["resps"] == [[lines[0]["filtered_resps"][0]]]


def test_an_unscored_metric_is_left_out_of_a_sample(tmp_path: Path) -> None:
    samples = write_lm_eval(nasty(), tmp_path)[1]
    first = json.loads(samples.read_text().splitlines()[0])
    assert "tool_call" not in first
    assert first["metrics"] == ["json_valid"]


def test_a_scorer_overwrites_nothing_that_lm_eval_says_of_a_sample(tmp_path: Path) -> None:
    run = record_run(5)
    renamed = [msgspec.structs.replace(s, scorer="arguments") if s.scorer == "json_valid" else s for s in run.scores]
    summary, samples = write_lm_eval(results(replace(run, scores=renamed)), tmp_path)[:2]
    line = json.loads(samples.read_text().splitlines()[0])
    assert isinstance(line["arguments"], dict)
    assert line["arguments_score"] in (0, 1)
    assert "arguments_score,none" in json.loads(summary.read_text())["results"]["toolcalls"]


@pytest.mark.parametrize(("name", "expected"), [("a/b\\c", "a-b-c"), ("..", "contender"), ("base+rag", "base+rag")])
def test_a_contenders_file_stays_in_the_folder(name: str, expected: str) -> None:
    assert file_name(name) == expected


def test_junit_tells_pass_fail_and_inconclusive_apart() -> None:
    outcomes = [
        JunitCase("ladder", "pass", "fine-tune-pays: +44"),
        JunitCase("gate: <quality>", "fail", 'below "60 %" & more \x00\x1b[31m'),
        JunitCase("gate: safety", "inconclusive", "too few items"),
    ]
    suite = ElementTree.fromstring(render_junit("tool & calls", outcomes).encode())[0]
    assert suite.attrib == {"name": "tool & calls", "tests": "3", "failures": "1", "errors": "1"}
    assert [case.attrib["name"] for case in suite] == ["ladder", "gate: <quality>", "gate: safety"]
    assert [child.tag for case in suite for child in case] == ["system-out", "failure", "error"]
    assert '"60 %" & more' in suite[1][0].attrib["message"]


@pytest.mark.parametrize(
    ("rates", "expected"),
    [({"base": 0.0, "adapter": 0.5}, "pass"), ({"base": 0.1, "adapter": 0.1}, "fail"), ({"base": 0.5}, "inconclusive")],
)
def test_a_ladder_verdict_is_a_case(rates: dict[str, float], expected: str) -> None:
    ladder = record_run(118, rates).record().ladder
    if expected == "fail":
        ladder = msgspec.structs.replace(ladder, verdict="nothing-suffices")
    assert [one.outcome for one in ladder_outcomes(ladder)] == [expected]
