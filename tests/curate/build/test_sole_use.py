"""Two builds on one output: the second is told; what a killed one left is swept by the next."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from curate.build.build import build
from curate.build.dataset_folder import KEPT_FOLDER, sole_use
from curate.core.errors import ConfigError
from tests.curate.row_makers import chat, write_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path, [chat(f"where is shelf {n} of the store", f"Row {n}.") for n in range(20)])


def test_a_second_build_is_told_that_one_is_at_work(recipe: Path) -> None:
    output = recipe.parent / "out"
    with sole_use(output):
        with pytest.raises(ConfigError, match="another build is at work") as caught:
            build(recipe)
        assert str(output) in str(caught.value)
        build(recipe, output=recipe.parent / "other")
        build(recipe, dry_run=True)
    assert not output.exists()
    assert not build(recipe).up_to_date
    with sole_use(output), pytest.raises(ConfigError, match="another build is at work"):
        build(recipe)


def test_a_killed_build_holds_nothing_and_its_leavings_are_swept(recipe: Path) -> None:
    output = build(recipe).output
    files = {path.name for path in output.iterdir()}
    code = (
        "import os, signal; from pathlib import Path; from curate.build.dataset_folder import sole_use\n"
        f"with sole_use(Path({json.dumps(str(output))})): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    (output / ".unfinished-x").mkdir()
    (output / ".unfinished-x" / "train.jsonl").write_text("half")
    (output / KEPT_FOLDER / ".near.kept.x.tmp").write_text("half")
    (output / ".mine.tmp").write_text("of somebody else")
    assert build(recipe).up_to_date
    assert {path.name for path in output.iterdir()} == files | {".mine.tmp"}
    assert not list((output / KEPT_FOLDER).glob(".*"))


def test_a_build_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, [chat("say {{name}}")])
    with pytest.raises(Exception, match="no row is left"):
        build(recipe)
    assert not (tmp_path / "out").exists()
