"""The command line as users meet it: messages, exit codes, no traceback, nothing half-written."""

import json
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.curate.row_makers import chat, write_recipe

Run = Callable[..., subprocess.CompletedProcess[str]]
ROWS = [chat(f"question {n} of the list", f"answer {n}") for n in range(200)]


def fails(result: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr


def test_build_then_verify_then_up_to_date(tmp_path: Path, run_cli: Run) -> None:
    recipe = write_recipe(tmp_path, ROWS)
    first = run_cli("curate", "build", recipe)
    assert first.returncode == 0
    assert "near" in first.stdout
    assert "train" in first.stdout
    again = run_cli("curate", "build", recipe, "--json")
    assert "up to date" in again.stderr
    assert json.loads(again.stdout)["up_to_date"] is True
    assert run_cli("curate", "verify", tmp_path / "out").returncode == 0
    with (tmp_path / "out" / "train.jsonl").open("ab") as file:
        file.write(b"{}\n")
    fails(run_cli("curate", "verify", tmp_path / "out"), 4, "train.jsonl was changed", "to do:")


def test_a_missing_source_names_it(tmp_path: Path, run_cli: Run) -> None:
    recipe = write_recipe(tmp_path, ROWS)
    (tmp_path / "rows.jsonl").unlink()
    fails(run_cli("curate", "build", recipe), 3, "rows.jsonl", "to do:")
    assert not (tmp_path / "out").exists()


def test_a_missing_recipe_names_it(tmp_path: Path, run_cli: Run) -> None:
    fails(run_cli("curate", "build", tmp_path / "none.yaml"), 3, "none.yaml")


def test_three_mistakes_in_a_recipe_come_with_three_lines(tmp_path: Path, run_cli: Run) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: n\nbehaviour: b\noutput: o\nsauces: []\nsources:\n  - name: s\n    path: p\n    adaptor: a.py:f\n"
        "dedup:\n  threshold: 7\n"
    )
    fails(run_cli("curate", "build", recipe), 2, ":4: sauces: unknown key", ":8: ", "adaptor", ":10: dedup.threshold")


def test_damaged_lines_are_told_and_the_job_goes_on(tmp_path: Path, run_cli: Run) -> None:
    latin = json.dumps(chat("caf\xe9", "x"), ensure_ascii=False).encode("latin-1")
    recipe = write_recipe(tmp_path, [*ROWS[:100], b'{"messages": [', latin, *ROWS[100:]])
    with (tmp_path / "rows.jsonl").open("ab") as file:
        file.write(b'{"messages": [{"role": "us')
    result = run_cli("curate", "build", recipe)
    assert result.returncode == 0
    assert "3 records could not be read" in result.stderr
    rejected = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert [(item["line"], item["reason"]) for item in rejected if item["stage"] == "read"] == [
        (101, "not-json"),
        (102, "not-utf-8"),
        (203, "not-json"),
    ]
    assert rejected[0]["raw"] == '{"messages": ['
    assert "caf\\xe9" in rejected[1]["raw"]


def test_an_output_that_cannot_be_written_is_told_before_the_work(tmp_path: Path, run_cli: Run) -> None:
    recipe = write_recipe(tmp_path, ROWS)
    (tmp_path / "file").write_text("in the way")
    fails(run_cli("curate", "build", recipe, "--output", tmp_path / "file" / "out"), 3, "file", "to do:")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_full_disk_leaves_the_old_dataset_whole(tmp_path: Path, run_cli: Run) -> None:
    recipe = write_recipe(tmp_path, ROWS[:10])
    assert run_cli("curate", "build", recipe).returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    write_recipe(tmp_path, ROWS)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    result = run_cli("curate", "build", recipe, preexec_fn=small_files)
    assert result.returncode in {3, 5}, result.stderr
    assert "Traceback" not in result.stderr
    assert "out" in result.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()} == before
    assert run_cli("curate", "verify", tmp_path / "out").returncode == 0


def test_it_works_where_machine_code_cannot_be_cached(tmp_path: Path, run_cli: Run) -> None:
    recipe = write_recipe(tmp_path, ROWS[:10])
    (tmp_path / "file").write_text("")
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache"), "HOME": "/nonexistent"}
    result = run_cli("curate", "build", recipe, env=environment)
    assert result.returncode == 0, result.stderr


def test_init_writes_a_starter_once(tmp_path: Path, run_cli: Run) -> None:
    target = tmp_path / "my task"
    dry = run_cli("curate", "init", target, "--dry-run")
    assert not target.exists()
    result = run_cli("curate", "init", target)
    assert result.returncode == 0, result.stderr
    assert result.stdout == dry.stdout
    assert {path.name for path in target.iterdir()} >= {"recipe.yaml", "bfcl.py"}
    assert "../" not in (target / "recipe.yaml").read_text()
    assert "curate build" in result.stderr
    fails(run_cli("curate", "init", target), 2, "recipe.yaml", "to do:")


@pytest.mark.parametrize("command", [[], ["build"], ["verify"], ["init"]])
def test_help_shows_examples_and_exit_codes(command: list[str], run_cli: Run) -> None:
    result = run_cli("curate", *command, "--help")
    assert result.returncode == 0
    assert "Example" in result.stdout
    assert "4 broken provenance" in result.stdout
