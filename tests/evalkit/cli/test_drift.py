"""The command on files, with the embedded MiniLM."""

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.core.rows.row import Message, Row
from tests.conftest import Run
from tests.evalkit.recorded_run import record_run
from tests.evalkit.tiny_world import write_dataset

THINGS = ["kettle", "lamp", "desk", "chair", "shelf", "rug", "mirror", "clock", "vase", "stool", "bench", "sofa"]
ASKS = [
    "Where is my {}?",
    "When will the {} be delivered?",
    "The {} has not come yet.",
    "Track the {} please.",
]
STRANGE = [
    "Write a poem about the {} at night.",
    "What would Plato have said of a {}?",
    "Is a {} prime?",
]


def _rows(kind: str, count: int, asks: list[str] = ASKS) -> list[Row]:
    draw = random.Random(kind)
    return [
        Row(
            id=f"{kind}-{index}",
            messages=[
                Message("user", f"{draw.choice(asks).format(draw.choice(THINGS))} Order {draw.randrange(9999)}."),
                Message("assistant", "It is on its way."),
            ],
            label="delivery",
        )
        for index in range(count)
    ]


def _log(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(_exchange(row)) + "\n" for row in rows) + "cut off {\n")
    return path


def _exchange(row: Row) -> dict[str, Any]:
    message = {"role": "assistant", "content": row.answer}
    return {
        "request": {"messages": [{"role": "user", "content": row.prompt[0].text}]},
        "response": {"choices": [{"message": message}]},
        "label": row.label,
    }


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "dataset", _rows("train", 90), _rows("test", 60))
    return tmp_path / "dataset"


@pytest.mark.slow
def test_questions_of_a_new_kind_ask_for_training(dataset: Path, run_cli: Run) -> None:
    same = _log(dataset.parent / "same.jsonl", _rows("more", 80))
    strange = _log(dataset.parent / "strange.jsonl", _rows("strange", 80, STRANGE))

    steady = run_cli("evalkit", "drift", same, "--dataset", dataset, "--json")
    changed = run_cli("evalkit", "drift", strange, "--dataset", dataset)

    assert steady.returncode == 0, steady.stdout + steady.stderr
    found = json.loads(steady.stdout)
    assert found["advice"] in ("steady", "watch")
    assert (found["entries"], found["lines"], found["bad_lines"]) == (80, 81, {"not JSON": 1})
    assert changed.returncode == 1
    assert "retrain: production asks something else" in changed.stdout
    assert "farthest from training:" in changed.stdout
    assert "left out: 1 lines: not JSON" in changed.stdout


def test_too_little_to_say(dataset: Path, run_cli: Run) -> None:
    log = _log(dataset.parent / "few.jsonl", _rows("few", 5))
    ended = run_cli("evalkit", "drift", log, "--dataset", dataset, "--embedded", "0")
    assert ended.returncode == 6
    assert "unknown: too few exchanges" in ended.stdout


def test_results_give_the_answers_to_compare_with(tmp_path: Path, run_cli: Run) -> None:
    from evalkit.report.files import write_results
    from evalkit.suite.chain import ResultChain, RowsOrigin

    recorded = record_run(60)
    write_dataset(tmp_path / "dataset", _rows("train", 50), recorded.items)
    manifest = json.loads((tmp_path / "dataset" / "manifest.json").read_text())
    chain = ResultChain(dataset=RowsOrigin(train=manifest["outputs"]["train.jsonl"]["digest"]))
    result = msgspec.structs.replace(recorded.record(), chain=chain)
    write_results(tmp_path / "results", result, recorded.items, recorded.generations, recorded.scores)
    refused = [
        Row(id=str(index), messages=[*item.prompt, Message("assistant", "I'm sorry, but I can't help with that.")])
        for index, item in enumerate(recorded.items)
    ]
    log = _log(
        tmp_path / "log.jsonl", [Row(id=r.id, messages=[m for m in r.messages if m.role != "system"]) for r in refused]
    )
    arguments = ["--dataset", tmp_path / "dataset", "--embedded", "0"]

    ended = run_cli("evalkit", "drift", log, *arguments, "--results", tmp_path / "results")
    assert ended.returncode == 1, ended.stderr
    assert "compared with the answers of adapter" in ended.stdout
    assert "drift         refusals" in ended.stdout

    write_dataset(tmp_path / "dataset", _rows("other", 50), recorded.items)
    other = run_cli("evalkit", "drift", log, *arguments, "--results", tmp_path / "results")
    assert other.returncode == 4
    assert "results are of another dataset" in other.stderr


@pytest.mark.parametrize(("logs", "code"), [("missing.jsonl", 3), ("empty.jsonl", 3)])
def test_logs_that_are_not_there(dataset: Path, run_cli: Run, logs: str, code: int) -> None:
    (dataset / "empty.jsonl").touch()
    ended = run_cli("evalkit", "drift", dataset / logs, "--dataset", dataset)
    assert ended.returncode == code
    assert logs in ended.stderr


def test_exchanges_of_one_conversation_count_once(dataset: Path, run_cli: Run) -> None:
    """Forty lines of one angry user are one piece of news, not forty."""
    usual = [{**_exchange(row), "metadata": {"talk": row.id}} for row in _rows("usual", 60)]
    strange = [{**_exchange(row), "metadata": {"talk": "one"}} for row in _rows("strange", 60, STRANGE)]
    log = dataset.parent / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in [*usual, *strange]))
    command = ("evalkit", "drift", log, "--dataset", dataset, "--embedded", "0", "--json")
    found = json.loads(run_cli(*command, "--one-per", "talk").stdout)
    assert (found["entries"], found["dependent"]) == (61, 59)
    lengths = {one["name"]: one for one in found["signals"]}["question length"]
    every = {one["name"]: one for one in json.loads(run_cli(*command).stdout)["signals"]}["question length"]
    assert lengths["state"] == "steady"
    assert every["state"] != "steady"
    unknown = run_cli(*command, "--one-per", "nothing")
    assert unknown.returncode == 2
    assert "no line of the logs has a field nothing" in unknown.stderr
