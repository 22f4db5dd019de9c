"""`curate index` and recipes that use an index: what users see, and what a build leaves out because of it."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.build.build import build
from curate.build.dataset_folder import verify_dataset
from curate.build.one_stage import read_rows
from curate.core.files import decode_lines
from curate.table.rejections import Because, Rejection
from tests.conftest import ROOT
from tests.curate.row_makers import chat, write_recipe

pytest.importorskip("datasketch")
Run = Callable[..., subprocess.CompletedProcess[str]]


def asked(number: int) -> str:
    return f"what does article {number} of law {number * 7} say about topic {number * 11} in region {number * 13}"


def write_rows(path: Path, numbers: range, **more: Any) -> Path:
    rows = [chat(asked(n), f"answer {n}", id=f"r{n}", **more) for n in numbers]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.slow
def test_an_index_from_its_making_to_its_answers(tmp_path: Path, run_cli: Run) -> None:
    old = write_rows(tmp_path / "old.jsonl", range(10))
    new = write_rows(tmp_path / "new.jsonl", range(8, 14))
    index = tmp_path / "seen"
    assert run_cli("curate", "index", "create", index, "--dry-run").returncode == 0
    assert not index.exists()
    assert run_cli("curate", "index", "create", index, "--seed", "5").returncode == 0
    assert run_cli("curate", "index", "create", index).returncode == 3
    dry = run_cli("curate", "index", "add", index, old, "--dry-run", "--json")
    assert json.loads(dry.stdout) == {"dataset": "old.jsonl", "new": 10, "known": 0, "unread": 0}
    added = run_cli("curate", "index", "add", index, old, "--name", "old", "--json")
    assert json.loads(added.stdout)["new"] == 10
    found = run_cli("curate", "index", "query", index, new)
    assert found.returncode == 1
    assert "old" in found.stdout
    listed = json.loads(run_cli("curate", "index", "query", index, new, "--json").stdout)
    assert [(one["id"], one["repeats"], one["dataset"]) for one in listed["matches"]] == [
        ("r8", "r8", "old"),
        ("r9", "r9", "old"),
    ]
    written = run_cli("curate", "index", "query", index, new, "--output", tmp_path / "out")
    assert written.returncode == 0, written.stderr
    assert len((tmp_path / "out" / "kept.jsonl").read_text().splitlines()) == 4
    again = run_cli("curate", "index", "add", index, new, "--json")
    assert json.loads(again.stdout) == {"dataset": "new.jsonl", "new": 4, "known": 2, "unread": 0}
    shown = json.loads(run_cli("curate", "index", "show", index, "--json").stdout)
    assert (shown["scheme"], shown["settings"]["seed"]) == ("affine32", 5)
    assert (shown["rows"], shown["datasets"]) == (14, {"old": 10, "new.jsonl": 4})


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (["query", "none", "rows.jsonl"], 3, "curate index create"),
        (["show", "none"], 3, "curate index create"),
        (["add", "none", "rows.jsonl"], 3, "curate index create"),
        (["create", "new", "--threshold", "7"], 2, "threshold"),
    ],
)
def test_faults_say_what_to_do(tmp_path: Path, run_cli: Run, arguments: list[str], code: int, shown: str) -> None:
    write_rows(tmp_path / "rows.jsonl", range(3))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = run_cli("curate", "index", *arguments, cwd=tmp_path, env=environment)
    assert result.returncode == code, result.stderr
    assert shown in result.stderr
    assert not (tmp_path / "new").exists()


def test_a_recipe_leaves_out_what_an_index_knows(tmp_path: Path, run_cli: Run) -> None:
    index = tmp_path / "seen"
    run_cli("curate", "index", "create", index)
    run_cli("curate", "index", "add", index, write_rows(tmp_path / "old.jsonl", range(5)), "--name", "january")
    settings = {"dedup": {"against": [{"name": "earlier", "path": "seen"}]}}
    rows = [chat(f"{asked(n)}{' please' if n == 3 else ''}", f"answer {n}", id=f"r{n}") for n in range(3, 60)]
    built = build(write_recipe(tmp_path, rows, settings))
    verify_dataset(built.output)
    stage = next(stage for stage in built.manifest.stages if stage.name == "index")
    assert stage.reasons == {"in-earlier-dataset": 2}
    assert stage.against == {"january": 2}
    rejected = {item.id: item for item in decode_lines(built.output / "rejected.jsonl", Rejection)}
    assert rejected["r4"].because_of == Because("r4", 1.0, "january")
    assert rejected["r3"].because_of is not None
    assert 0.7 <= rejected["r3"].because_of.similarity < 1
    assert build(tmp_path / "recipe.yaml").up_to_date
    run_cli("curate", "index", "add", index, write_rows(tmp_path / "more.jsonl", range(20, 22)), "--name", "february")
    grown = build(tmp_path / "recipe.yaml")
    assert not grown.up_to_date
    assert next(s for s in grown.manifest.stages if s.name == "index").against == {"february": 2, "january": 2}


def test_of_a_dataset_folder_only_its_rows_are_read(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    rows = [chat(asked(n), f"answer {n}", id=f"r{n}") for n in range(40)]
    dropped = chat(asked(500), "", id="rejected for its empty answer")
    one_side = {"split": {"shares": {"train": 1, "val": 0, "test": 0}}}
    old = build(write_recipe(tmp_path / "old", [*rows, dropped], one_side))
    assert (old.output / "rejected.jsonl").stat().st_size
    given = read_rows([str(old.output)])
    assert (len(given.rows), len(given.unread)) == (40, 0)
    settings = {"dedup": {"against": [{"name": "v1", "path": "old/out"}]}}
    fresh = [chat(asked(n), "x", id=f"n{n}") for n in range(38, 41)]
    new = build(write_recipe(tmp_path, [*fresh, chat(asked(500), "now it has one")], settings))
    near = next(stage for stage in new.manifest.stages if stage.name == "near")
    assert near.against == {"v1": 40}
    assert near.reasons == {"in-earlier-dataset": 2}
    assert {item.path for item in new.manifest.inputs if item.kind == "against"} == {"old/out/train.jsonl"}


@pytest.mark.system("redis-server")
def test_the_commands_with_redis(tmp_path: Path, run_cli: Run, redis_url: str) -> None:
    index, environment = tmp_path / "seen", {**os.environ, "ACIDTEST_REDIS_URL": redis_url}
    old, new = write_rows(tmp_path / "old.jsonl", range(10)), write_rows(tmp_path / "new.jsonl", range(8, 14))
    assert run_cli("curate", "index", "create", index, "--storage", "redis").returncode == 0
    without = run_cli("curate", "index", "add", index, old, env={**os.environ, "ACIDTEST_REDIS_URL": ""})
    assert without.returncode == 2
    assert "ACIDTEST_REDIS_URL" in without.stderr
    assert run_cli("curate", "index", "add", index, old, "--name", "old", env=environment).returncode == 0
    found = json.loads(run_cli("curate", "index", "query", index, new, "--json", env=environment).stdout)
    assert [one["repeats"] for one in found["matches"]] == ["r8", "r9"]
    assert redis_url.encode() not in b"".join(path.read_bytes() for path in index.iterdir())
