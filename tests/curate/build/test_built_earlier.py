"""A dataset, its review and an index that an earlier version made, `built_earlier/`: a rebuild goes on from them.

recipe.yaml, rows.jsonl     rows with and without ids and groups, near duplicates, conversations that grow
dataset/                    what the version of 22 November 2026 made of them
dataset/decisions.jsonl     a row kept, one dropped, one edited, and a pair that is none
index/                      the rows of the dataset
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from curate.build.build import Built, build
from curate.build.dataset_folder import verify_dataset
from curate.core.errors import AcidtestError

EARLIER = Path(__file__).parent / "built_earlier"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EARLIER, tmp_path / "earlier"))


def rows_of(dataset: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Each row's side and content, by id."""
    return {
        row["id"]: (side, row)
        for side in ("train", "val", "test")
        for row in map(json.loads, (dataset / f"{side}.jsonl").read_text().splitlines())
    }


def rebuilt(folder: Path) -> Built:
    found = build(folder / "recipe.yaml")
    assert not found.up_to_date
    verify_dataset(found.output)
    return found


def test_each_row_keeps_its_side_or_is_said_to_move(folder: Path) -> None:
    before = rows_of(EARLIER / "dataset")
    found = rebuilt(folder)
    after = rows_of(found.output)
    assert before.keys() - after.keys() <= {"w13"}  # the reviewer dropped it
    stayed = before.keys() & after.keys()
    moved = {name: f"{before[name][0]} to {after[name][0]}" for name in stayed if before[name][0] != after[name][0]}
    assert found.manifest.environment.get("moved", {}) == moved
    # The group 31.0 is the group 31, and conversations of one beginning are together: nothing else may move.
    assert set(moved) == {"g3", "grow4", "96c9f2418ce0b002"}
    assert len({after[name][0] for name in ("grow2", "grow4", "grow6")}) == 1
    assert len({after[name][0] for name in ("g1", "g2", "g3")}) == 1
    assert any(f"{len(moved)} rows stand on another side" in text for text in found.warnings)


def test_what_the_reviewer_decided_holds(folder: Path) -> None:
    found = rebuilt(folder)
    after = rows_of(found.output)
    assert "w13" not in after
    assert after["w0"][1]["messages"][1]["content"] == "With linseed oil, door 0."
    assert after["n1"][0] == after["n2"][0]
    report = found.manifest.reports["review"]
    assert (report["stale"], report["applied"]["rows_changed"]) == (0, 1)


def test_a_second_rebuild_moves_nothing_and_gives_the_same_bytes(folder: Path) -> None:
    first = rebuilt(folder)
    again = build(folder / "recipe.yaml", force=True)
    assert "moved" not in again.manifest.environment
    assert again.manifest.digest == first.manifest.digest


def test_other_shares_are_meant_to_move_rows(folder: Path) -> None:
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("train: 0.5, val: 0.25", "train: 0.25, val: 0.5"))
    assert "moved" not in rebuilt(folder).manifest.environment


def test_the_index_is_used_or_to_be_made_again(folder: Path) -> None:
    pytest.importorskip("datasketch")
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"{recipe.read_text()}dedup: {{against: [{{name: v1, path: index}}]}}\n")
    new = (
        {"role": "user", "content": "may children watch the glass being blown?"},
        {"role": "assistant", "content": "Yes."},
    )
    with (folder / "rows.jsonl").open("a") as file:
        file.write(json.dumps({"id": "new", "messages": new}) + "\n")
    recipe.write_text(f"{recipe.read_text()}guards: {{max_source_loss: 1}}\n")
    shutil.rmtree(folder / "dataset")
    known = rows_of(EARLIER / "dataset")
    try:
        after = rows_of(rebuilt(folder).output)
    except AcidtestError as error:
        after, told = {}, str(error)
    else:
        told = ""
    assert ("new" in after and not after.keys() & known.keys()) or "make it again" in told
