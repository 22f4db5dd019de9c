"""A dataset goes into a folder of its own: no build, and no stage alone, writes over what somebody else put there."""

import json
import shutil
from pathlib import Path

import pytest

from curate.build.build import build
from curate.build.dataset_folder import KEPT_FOLDER, MANIFEST
from curate.build.one_stage import read_rows, run_named, write_files
from curate.core.errors import ConfigError
from tests.curate.row_makers import chat, write_recipe

ROWS = [chat(f"which bird sings at {n} o'clock in the wood?", f"bird number {n}") for n in range(20)]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("output", [".", "../{here}", "linked", "rows.jsonl"])
def test_an_output_that_holds_the_recipe_or_its_rows_is_refused_before_anything_is_written(
    tmp_path: Path, output: str
) -> None:
    (tmp_path / "linked").symlink_to(tmp_path)
    recipe = write_recipe(tmp_path, ROWS, {"output": output.format(here=tmp_path.name)})
    before = content(tmp_path)
    for is_dry in (False, True):
        with pytest.raises(ConfigError, match="would be written over"):
            build(recipe, dry_run=is_dry)
    assert content(tmp_path) == before


def test_an_output_that_holds_an_evaluation_is_refused(tmp_path: Path) -> None:
    exams = tmp_path / "exams"
    exams.mkdir()
    (exams / "test.jsonl").write_text(json.dumps({"question": "how many birds are there?"}) + "\n")
    recipe = write_recipe(
        tmp_path, ROWS, {"output": "exams", "decontaminate": {"against": [{"path": "exams/*.jsonl"}]}}
    )
    with pytest.raises(ConfigError, match="would be written over"):
        build(recipe)


@pytest.mark.parametrize("name", ["card.md", "train.jsonl", "report.html", MANIFEST])
def test_a_file_that_no_build_wrote_is_never_replaced(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "out" / name
    mine.parent.mkdir()
    mine.write_text("mine\n")
    with pytest.raises(ConfigError, match="was not written there by this command"):
        build(write_recipe(tmp_path, ROWS), output=mine.parent)
    assert mine.read_text() == "mine\n"
    assert list(mine.parent.iterdir()) == [mine]


def test_files_of_other_names_stay_beside_the_dataset(tmp_path: Path) -> None:
    mine = tmp_path / "out" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine\n")
    build(write_recipe(tmp_path, ROWS), output=mine.parent)
    assert mine.read_text() == "mine\n"


def test_a_dataset_is_built_again_and_so_is_one_that_a_killed_build_left_unfinished(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, ROWS)
    out = build(recipe).output
    assert build(recipe, force=True).output == out
    (out / MANIFEST).unlink()  # it goes first and comes last
    assert (out / KEPT_FOLDER).is_dir()
    assert not build(recipe).up_to_date
    shutil.rmtree(out / KEPT_FOLDER)
    (out / MANIFEST).unlink()
    with pytest.raises(ConfigError):
        build(recipe)


def test_a_stage_alone_replaces_neither_what_it_read_nor_what_no_stage_wrote(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in ROWS]
    kept, other = tmp_path / "kept.jsonl", tmp_path / "other.jsonl"
    for path in (kept, other):
        path.write_text("\n".join(lines))
    for path in (kept, other):
        given = read_rows([str(path)])
        result = run_named(given, ["validate"])
        with pytest.raises(ConfigError):
            write_files(result.files, tmp_path, given.read)
        write_files(result.files, tmp_path / "out", given.read)  # the second time over its own files
    assert kept.read_text() == other.read_text() == "\n".join(lines)
