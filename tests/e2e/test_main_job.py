"""The main job through its three commands, as a user runs them: rows to dataset to adapter to verdict, in small."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Run
from tests.models import tiny_base

WORDS = ["amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty", "knoll", "larch"]


def _row(index: int) -> dict[str, Any]:
    name = f"{WORDS[index % 12]}_{WORDS[(index * 5 + index // 12) % 12]}"
    target = {"name": name, "arguments": {"n": index}} if index % 3 else {"name": None}
    return {
        "id": f"row{index}",
        "messages": [
            {"role": "system", "content": "Call the function."},
            {"role": "user", "content": f"{name}(n: int)\nRequest number {index} about {name}"},
            {"role": "assistant", "content": json.dumps(target)},
        ],
        "label": "call" if index % 3 else "no_call",
        "group": name,
        "meta": {"answer_key": {"name": target["name"], "arguments": {"n": [index]} if index % 3 else {}}},
    }


RECIPE = {
    "name": "tiny",
    "behaviour": "Answers with one JSON object.",
    "output": "dataset",
    "sources": [{"name": "rows", "path": "rows.jsonl"}],
    "split": {"by": "group", "shares": {"train": 0.6, "val": 0.15, "test": 0.25}},
}
TRAINING = {
    "base": "base",
    "dataset": "dataset",
    "output": "run",
    "method": "lora",
    "max_steps": 3,
    "batch_rows": 4,
    "threads": 1,
}
SUITE = {
    "name": "tiny",
    "base": "base",
    "items": "dataset/test.jsonl",
    "train": "dataset/train.jsonl",
    "output": "results",
    "contenders": [
        {"name": "base"},
        {"name": "base+prompt", "system": "One JSON object.", "examples": {"choose": "covering", "count": 2}},
        {"name": "adapter", "run": "run"},
    ],
    "generation": {"max_tokens": 8},
    "scorers": [{"name": "correct", "kind": "tool_call"}, {"name": "json_valid", "kind": "json_valid"}],
    "primary": "correct",
    "useful_effect": 0.1,
    "cluster": "group",
}
STEPS = (("curate", "build", "recipe.yaml"), ("trainer", "fit", "train.yaml"), ("evalkit", "run", "suite.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration, a tiny base model, 60 rows and one line that isn't a row."""
    folder = tmp_path_factory.mktemp("job")
    tiny_base(folder / "base")
    lines = [json.dumps(_row(index)) for index in range(60)]
    lines.insert(7, '{"id": "torn", "messages": [')
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    for name, content in (("recipe", RECIPE), ("train", TRAINING), ("suite", SUITE)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def _record(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def test_three_commands_lead_to_a_verdict_whose_chain_is_whole(folder: Path, run_cli: Run) -> None:
    for step in STEPS:
        result = run_cli(*step, cwd=folder)
        assert result.returncode == 0, result.stderr
        assert "Traceback" not in result.stderr
    manifest = _record(folder / "dataset" / "manifest.json")
    run = _record(folder / "run" / "run.json")
    verdict = _record(folder / "results" / "result.json")
    assert run["dataset"]["manifest"] == manifest["digest"] == verdict["chain"]["dataset"]["manifest"]
    assert verdict["chain"]["runs"]["adapter"] == {"run": run["digest"], "adapter": run["adapter"]["digest"]}
    assert {contender["name"] for contender in verdict["contenders"]} == {"base", "base+prompt", "adapter"}
    assert verdict["ladder"]["because"]
    assert (folder / "results" / "report.html").stat().st_size > 10_000
    (rejected,) = [json.loads(line) for line in (folder / "dataset" / "rejected.jsonl").read_text().splitlines()]
    assert (rejected["line"], rejected["stage"], rejected["raw"]) == (8, "read", '{"id": "torn", "messages": [')


def test_a_second_time_redoes_nothing(folder: Path, run_cli: Run) -> None:
    watched = [folder / name for name in ("dataset/manifest.json", "run/run.json", "results/result.json")]
    before = [path.stat().st_mtime_ns for path in watched]
    for step in STEPS:
        result = run_cli(*step, cwd=folder)
        assert result.returncode == 0
        assert "up to date" in result.stderr + result.stdout
    assert [path.stat().st_mtime_ns for path in watched] == before


def test_a_dataset_changed_by_hand_stops_training_and_evaluation(folder: Path, run_cli: Run) -> None:
    path = folder / "dataset" / "test.jsonl"
    original = path.read_bytes()
    try:
        path.write_bytes(original.replace(b"Request number", b"Request  number", 1))
        evaluated = run_cli("evalkit", "run", "suite.yaml", cwd=folder)
        verified = run_cli("curate", "verify", "dataset", cwd=folder)
    finally:
        path.write_bytes(original)
    for result in (evaluated, verified):
        assert result.returncode == 4
        assert "test.jsonl" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("program", "command", "name"), STEPS, ids=[step[0] for step in STEPS])
def test_mistakes_in_a_file_come_together_with_their_lines(
    folder: Path, tmp_path: Path, run_cli: Run, program: str, command: str, name: str
) -> None:
    broken = tmp_path / name
    broken.write_text((folder / name).read_text() + "colour: red\nshape: round\n")
    result = run_cli(program, command, broken, cwd=folder)
    lines = len((folder / name).read_text().splitlines())
    assert result.returncode == 2
    assert f"{name}:{lines + 1}: colour: unknown key" in result.stderr
    assert f"{name}:{lines + 2}: shape: unknown key" in result.stderr


def test_a_model_that_is_not_there_is_named(folder: Path, tmp_path: Path, run_cli: Run) -> None:
    text = (folder / "train.yaml").read_text().replace("base: base", "base: ./nowhere")
    text = text.replace("dataset: dataset", f"dataset: {folder / 'dataset'}")
    (tmp_path / "train.yaml").write_text(text)
    result = run_cli("trainer", "fit", "train.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert "nowhere" in result.stderr
    assert "to do:" in result.stderr
    assert not (tmp_path / "run" / "adapter").exists()
