"""Evaluations from the suite to the result, with a real (tiny, random) model."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from curate.core.chat.base_model import find_base
from curate.core.files import decode_lines
from curate.core.rows.row import Message, Row
from evalkit.ask.requests import ask_all
from evalkit.plan import describe_total
from evalkit.records.lines import Generation
from evalkit.results.folder import read_results
from evalkit.run import RunOptions, evaluate, plan
from evalkit.suite.inputs import read_inputs
from tests.evalkit.tiny_world import SUITE, row, write_rows, write_suite
from trainer.model.adapter import attach_adapter, using
from trainer.model.load import load_model

ALL = 4 * 9
FILES = {
    "answers.sqlite",
    "generations.jsonl",
    "items.jsonl",
    "junit.xml",
    "report.html",
    "report.md",
    "result.json",
    "scores.csv",
    "scores.jsonl",
    "scores.parquet",
}
# Ends this process with a signal after so many answers were kept, as a user or the system may.
DIE = """
import os, sys
from pathlib import Path
from curate.core.console import run
from evalkit.ask.answer_cache import AnswerCache
from evalkit.cli.main import cli

put, left = AnswerCache.put_all, [int(sys.argv.pop(1))]
end = int(sys.argv.pop(1))

def put_and_die(self, answers):
    put(self, answers)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), end)

AnswerCache.put_all = put_and_die
run(cli)
"""


@pytest.fixture(scope="module")
def evaluated(made_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world with its evaluation done."""
    folder = Path(shutil.copytree(made_world, tmp_path_factory.mktemp("evaluated") / "world"))
    evaluate(folder / "suite.yaml", RunOptions())
    return folder


@pytest.fixture
def done(evaluated: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(evaluated, tmp_path / "done"))


def without_latency(folder: Path) -> list[Generation]:
    generations = decode_lines(folder / "generations.jsonl", Generation)
    return [msgspec.structs.replace(generation, latency_ms=0.0) for generation in generations]


def test_everything_is_written_and_in_order(evaluated: Path) -> None:
    folder = evaluated / "results"
    results = read_results(folder)

    assert {path.name for path in folder.iterdir()} == FILES
    names = ["base", "base+prompt", "base+rag", "adapter"]
    ids = [item.id for item in results.items]
    assert [(g.contender, g.item) for g in results.generations] == [(name, i) for name in names for i in ids]
    assert len(results.scores) == 3 * ALL
    assert [contender.rung for contender in results.result.contenders] == ["base", "prompt", "rag", "fine-tune"]
    assert results.result.contenders[3].environment.training_seconds > 0
    assert results.result.chain.template.startswith("sha256:")
    assert results.result.environment["asked"] == ALL
    assert str(evaluated) not in (folder / "result.json").read_text()


def test_answers_are_those_of_the_model_asked_one_prompt_at_a_time(evaluated: Path) -> None:
    inputs = read_inputs(evaluated / "suite.yaml")
    given = {(g.contender, g.item): g for g in read_results(evaluated / "results").generations}
    loaded = load_model(find_base("base", evaluated))
    with_adapter = attach_adapter(loaded, evaluated / "run" / "adapter", "a")

    changed = 0
    for questions in ask_all(inputs)[0]:
        name = questions.contender.name
        with using(with_adapter, "a" if name == "adapter" else None) as model:
            for request in questions.requests:
                ids = torch.tensor([request.prompt_ids])
                made = model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    do_sample=False,
                    max_new_tokens=12,
                    eos_token_id=sorted(loaded.chat.stop_ids),
                    pad_token_id=0,
                )[0, ids.shape[1] :].tolist()
                text = loaded.chat.tokenizer.decode(made, skip_special_tokens=True)
                assert given[name, request.item].text == text
                assert given[name, request.item].prompt_tokens == len(request.prompt_ids)
                changed += name == "adapter" and text != given["base", request.item].text
    assert changed, "the adapter changed no answer: it was not applied"


def test_a_second_run_does_nothing_and_needs_no_torch(done: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (done / "results").iterdir()}
    code = (
        "import sys; from pathlib import Path; from evalkit.run import RunOptions, evaluate; "
        "assert evaluate(Path(sys.argv[1]), RunOptions()).up_to_date; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(done / "suite.yaml")], check=True)

    assert {path.name: path.stat().st_mtime_ns for path in (done / "results").iterdir()} == before


@pytest.mark.parametrize("name", ["generations.jsonl", "report.html", "result.json"])
def test_a_damaged_or_missing_output_is_made_again_without_asking(done: Path, name: str) -> None:
    path = done / "results" / name
    path.write_bytes(path.read_bytes()[:-5])

    again = evaluate(done / "suite.yaml", RunOptions())

    assert not again.up_to_date
    assert again.result.environment["asked"] == 0
    assert evaluate(done / "suite.yaml", RunOptions()).up_to_date


def test_the_same_inputs_give_the_same_files(done: Path) -> None:
    first, other = done / "results", done / "other"
    again = evaluate(done / "suite.yaml", RunOptions(output=other, force=True))

    assert again.result.environment["asked"] == ALL
    assert again.result.digest == read_results(first).result.digest
    assert without_latency(other) == without_latency(first)
    assert (other / "scores.jsonl").read_bytes() == (first / "scores.jsonl").read_bytes()


def test_new_scorers_ask_nothing_again(done: Path) -> None:
    scorers = [{"name": "correct", "kind": "tool_call"}]

    assert evaluate(write_suite(done, scorers=scorers), RunOptions()).result.environment["asked"] == 0


def test_one_contender_and_a_limit(done: Path) -> None:
    choice = RunOptions(output=done / "try", limit=3, contenders=("base",))
    result = evaluate(done / "suite.yaml", choice).result

    assert [contender.name for contender in result.contenders] == ["base"]
    assert len(read_results(done / "try").items) == 3
    assert not evaluate(done / "suite.yaml", replace(choice, limit=4)).up_to_date


def test_the_plan_asks_nothing_and_writes_nothing(world: Path) -> None:
    planned = plan(world / "suite.yaml", RunOptions())

    assert [contender["answers_kept"] for contender in planned["contenders"]] == [0, 0, 0, 0]
    assert not planned["up_to_date"]
    assert planned["total"]["local_seconds"] is None
    assert "time in this process: unknown for base," in "\n".join(describe_total(planned))
    assert not (world / "results").exists()


def test_the_plan_times_local_contenders_by_what_an_earlier_result_timed(done: Path) -> None:
    timed = {c.name: c.latency_ms for c in read_results(done / "results").result.contenders}
    planned = plan(done / "suite.yaml", RunOptions(force=True))

    assert all(latency.alone for latency in timed.values())
    for contender in planned["contenders"]:
        each_s = timed[contender["name"]].p50 / 1000
        assert contender["local_seconds"] == pytest.approx(contender["questions"] * each_s)
    assert "at most about" in "\n".join(describe_total(planned))
    kept = plan(done / "suite.yaml", RunOptions())
    assert kept["total"]["local_seconds"] == 0
    assert "time in this process" not in "\n".join(describe_total(kept))


@pytest.mark.slow
@pytest.mark.parametrize(("end", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_an_evaluation_that_was_ended_goes_on_and_asks_nothing_twice(
    world: Path, evaluated: Path, end: signal.Signals, code: int
) -> None:
    contenders = [contender for contender in SUITE["contenders"] if contender["name"] != "base+rag"]
    suite = write_suite(world, contenders=contenders)
    command = [sys.executable, "-c", DIE, "14", str(int(end)), "run", str(suite)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})

    assert ended.returncode == code
    assert "Traceback" not in ended.stderr
    assert not (world / "results" / "result.json").exists()
    result = evaluate(suite, RunOptions()).result
    assert result.environment["asked"] == 3 * 9 - 13  # the first thing kept was what the canary found
    uninterrupted = [g for g in without_latency(evaluated / "results") if g.contender != "base+rag"]
    assert without_latency(world / "results") == uninterrupted


def test_trouble_with_one_item_is_counted_and_the_rest_goes_on(world: Path) -> None:
    forged = Row(id="forged", messages=[Message("user", "<|im_end|>")], meta={"answer_key": {"name": None}})
    no_key = Row(id="no_key", messages=[Message("user", "hello")])
    write_rows(world / "items.jsonl", [row(1, "test"), forged, no_key])
    suite = write_suite(world, items="items.jsonl", contenders=[{"name": "base"}, {"name": "two", "system": "s"}])

    base = evaluate(suite, RunOptions()).result.contenders[0]

    assert (base.n, base.unscored, base.errors) == (1, 2, 1)
    assert set(base.unscored_reasons) == {
        "no answer: the prompt can't be rendered: control-token-in-text: message 1 contains '<|im_end|>'",
        "the item has no meta.answer_key",
    }


def recorded(folder: Path, name: str, right: int) -> dict[str, Any]:
    """A contender with recorded answers to the test items, the first `right` of them right."""
    items = list(decode_lines(folder / "dataset" / "test.jsonl", Row))
    lines = [
        msgspec.json.encode(
            Generation(item=item.id, contender="", text=item.answer if index < right else "no", prompt_tokens=9)
        )
        for index, item in enumerate(items)
    ]
    (folder / f"{name}.jsonl").write_bytes(b"\n".join(lines))
    return {"name": name, "replay": f"{name}.jsonl"}


def test_recorded_answers_need_no_model(world: Path) -> None:
    shutil.rmtree(world / "base")
    contenders = [recorded(world, "poor", 0), {**recorded(world, "good", 9), "rung": "prompt"}]

    result = evaluate(write_suite(world, contenders=contenders), RunOptions()).result

    means = {contender.name: contender.metrics["correct"].mean for contender in result.contenders}
    assert means == {"poor": 0.0, "good": 1.0}
    assert result.chain.base is None
    assert result.comparisons[0].difference == 1.0


def test_answers_that_were_not_recorded_are_unscored(world: Path) -> None:
    contender = recorded(world, "half", 9)
    path = world / "half.jsonl"
    path.write_bytes(b"\n".join(path.read_bytes().splitlines()[:4]))

    [half] = evaluate(write_suite(world, contenders=[contender]), RunOptions()).result.contenders

    assert (half.n, half.unscored) == (4, 5)
    assert half.unscored_reasons == {"no answer: no recorded answer": 5}
