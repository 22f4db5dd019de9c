"""A recipe can run Python: the first build says which, and --no-code refuses it before a line of it has run."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.build.build import build
from curate.build.one_stage import read_rows
from curate.build.stage_inputs import find_functions
from curate.core.config_file import load_config
from curate.core.errors import ConfigError
from curate.core.paths import NO_CODE
from curate.recipe.recipe import Recipe
from tests.curate.row_makers import chat, write_recipe

ROWS = [chat(f"which tree stands at gate {n}?", f"tree number {n}") for n in range(20)]
RAN = "ran.txt"
CODE = f"""from pathlib import Path
Path(__file__).with_name("{RAN}").write_text("yes")
def same(record): return record
def lengths(texts): return [len(text) for text in texts]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(CODE)
    sources = [{"name": "rows", "path": "rows.jsonl", "adapter": "own.py:same"}]
    return write_recipe(tmp_path, ROWS, {"sources": sources})


def test_the_first_build_says_what_runs_and_the_next_only_what_has_changed(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(recipe)
    assert "runs Python code: own.py:same (sha256:" in capsys.readouterr().err
    build(recipe, force=True)
    assert "runs Python code" not in capsys.readouterr().err
    (recipe.parent / "own.py").write_text(CODE + "# changed\n")
    build(recipe)
    assert "runs Python code: own.py:same" in capsys.readouterr().err


def test_code_that_is_refused_does_not_run(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_CODE, "1")
    with pytest.raises(ConfigError, match=r"own\.py:same is Python code") as caught:
        build(recipe)
    assert caught.value.where == str(recipe.parent / "own.py")
    screens = {"custom": [{"name": "long", "function": "own.py:lengths", "action": "report", "threshold": 9}]}
    with pytest.raises(ConfigError):
        build(write_recipe(recipe.parent, ROWS, {"screens": screens}))
    assert not (recipe.parent / RAN).exists()
    assert len(read_rows([str(recipe.parent / "rows.jsonl")]).rows) == len(ROWS)  # nothing else is refused


def test_every_function_of_a_recipe_is_named(recipe: Path) -> None:
    custom = [{"name": "long", "function": "own.py:lengths", "action": "report", "threshold": 9}]
    toxicity = {"action": "report", "classifier": "judge.py:score"}
    against = [{"name": "old", "path": "rows.jsonl", "adapter": "old.py:convert"}]
    write_recipe(recipe.parent, ROWS, {"screens": {"custom": custom, "toxicity": toxicity},
                                       "dedup": {"against": against}})  # fmt: skip
    found = find_functions(load_config(recipe, Recipe))
    assert found == ["old.py:convert", "own.py:lengths", "judge.py:score"]


@pytest.mark.slow
def test_the_option_refuses(recipe: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    refused = run_cli("curate", "build", recipe, "--no-code")
    assert refused.returncode == 2
    assert "which is not to run here" in refused.stderr
    assert not (recipe.parent / RAN).exists()
    assert run_cli("curate", "build", recipe).returncode == 0
