import json
from pathlib import Path

import pytest

from evalkit.run import RunOptions, evaluate
from tests.conftest import Run
from tests.evalkit.tiny_world import write_suite


@pytest.fixture
def finished(world: Path) -> Path:
    """The suite of a small evaluation that is done."""
    suite = write_suite(world, contenders=[{"name": "base"}, {"name": "base+prompt", "system": "One JSON object."}])
    evaluate(suite, RunOptions())
    return suite


@pytest.mark.parametrize("command", [(), ("run",), ("show",), ("report",)])
def test_help_shows_an_example_and_the_exit_codes(run_cli: Run, command: tuple[str, ...]) -> None:
    ended = run_cli("evalkit", *command, "--help")

    assert ended.returncode == 0
    assert "evalkit " in ended.stdout.split("Example", 1)[1]
    assert "6 inconclusive" in ended.stdout


def test_starting_imports_nothing_heavy(run_cli: Run) -> None:
    import subprocess
    import sys

    heavy = "{'torch', 'transformers', 'pydantic', 'rich', 'numpy', 'jsonschema', 'scipy'}"
    code = f"import sys, evalkit.cli.main; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_run_show_and_report(run_cli: Run, finished: Path) -> None:
    results = finished.parent / "results"
    again = run_cli("evalkit", "run", finished)
    shown = run_cli("evalkit", "show", results)

    assert (again.returncode, shown.returncode) == (0, 0)
    assert again.stdout == shown.stdout
    assert "base+prompt" in shown.stdout
    assert "up to date" in again.stderr
    assert str(results / "report.html") in again.stderr
    assert max(map(len, shown.stdout.splitlines()[:-1])) <= 80

    (results / "report.html").unlink()
    assert run_cli("evalkit", "report", results, "--dry-run").returncode == 0
    assert not (results / "report.html").exists()
    rendered = run_cli("evalkit", "report", results)
    assert rendered.stdout.split() == [str(results / name) for name in ("report.html", "report.md", "junit.xml")]
    assert "up to date" in run_cli("evalkit", "run", finished).stderr


def test_json_is_the_record(run_cli: Run, finished: Path) -> None:
    results = finished.parent / "results"
    record = json.loads((results / "result.json").read_text())

    assert json.loads(run_cli("evalkit", "run", finished, "--json").stdout) == record
    assert json.loads(run_cli("evalkit", "show", results, "--json").stdout) == record


def test_a_dry_run_says_what_is_kept(run_cli: Run, finished: Path) -> None:
    planned = json.loads(run_cli("evalkit", "run", finished, "--dry-run", "--json").stdout)

    assert planned["up_to_date"] is True
    assert [contender["answers_kept"] for contender in planned["contenders"]] == [9, 9]
    assert "base+prompt" in run_cli("evalkit", "run", finished, "--dry-run", "--limit", "2").stdout


@pytest.mark.parametrize(
    ("break_it", "code", "words"),
    [
        (lambda world: write_suite(world, items=None), 2, "items: missing"),
        (lambda world: (world / "suite.yaml").unlink(), 3, "suite.yaml"),
        (lambda world: (world / "dataset" / "test.jsonl").unlink(), 3, "test.jsonl"),
        (lambda world: (world / "dataset" / "test.jsonl").write_text("{}\n"), 3, "test.jsonl:1"),
        (lambda world: (world / "dataset" / "manifest.json").write_text("{}"), 4, "manifest.json"),
        (lambda world: write_suite(world, base="./no-base"), 2, "no-base"),
        (lambda world: (world / "results").write_text("in the way"), 3, "results"),
    ],
    ids=["config", "no-suite", "no-items", "bad-items", "manifest", "no-base", "output-is-a-file"],
)
def test_faults_have_a_message_and_an_exit_code(run_cli: Run, world: Path, break_it, code: int, words: str) -> None:  # type: ignore[no-untyped-def]
    break_it(world)
    ended = run_cli("evalkit", "run", world / "suite.yaml")

    assert ended.returncode == code
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_show_of_a_folder_without_results(run_cli: Run, tmp_path: Path) -> None:
    ended = run_cli("evalkit", "show", tmp_path)

    assert ended.returncode == 3
    assert "evalkit run" in ended.stderr
