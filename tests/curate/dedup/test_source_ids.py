"""Ids belong to their source: rows of several sources that share ids are all there, under ids of their own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.build.build import Built, build
from curate.build.dataset_folder import verify_dataset
from tests.curate.row_makers import chat

TOPICS = ["the blue kettle", "a broken stair", "late trains", "soup for two", "cold hands"]


def built(folder: Path, sources: dict[str, Sequence[dict[str, Any]]]) -> Built:
    """A dataset of these sources, all in train."""
    for name, rows in sources.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "name": "ids", "behaviour": "Answers.", "output": "out", "split": {"shares": {"train": 1, "val": 0, "test": 0}},
        "sources": [{"name": name, "path": f"{name}.jsonl"} for name in sources],
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    found = build(folder / "recipe.yaml")
    verify_dataset(found.output)
    return found


def lines(found: Built, name: str) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in (found.output / name).read_text().splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


def test_rows_of_two_sources_with_the_same_ids_both_stay(tmp_path: Path) -> None:
    sources = {name: [chat(f"{name} on {topic}", id=n) for n, topic in enumerate(TOPICS)] for name in ("a", "b", "c")}
    found = built(tmp_path, sources)
    rows = lines(found, "train.jsonl")
    assert rows.keys() == {f"{head}{n}" for head in ("", "b/", "c/") for n in range(5)}
    assert rows["c/3"]["meta"] == {"id": "3"}
    assert rows["c/3"]["messages"][0]["content"] == "c on soup for two"
    assert "meta" not in rows["3"]
    assert [one.warnings for one in found.manifest.stages if one.name == "exact"] == [{"id-of-another-source": 10}]
    assert any("10 rows have an id" in text and "b/0, b/1, b/2, ..." in text for text in found.warnings)
    assert [(one.kept, one.rejected) for one in found.manifest.sources] == [(5, 0)] * 3


def test_a_row_that_says_the_same_is_a_duplicate_still_and_names_the_row_by_its_new_id(tmp_path: Path) -> None:
    found = built(
        tmp_path,
        {
            "a": [chat("one", id="x")],
            "b": [chat("two", id="x"), chat("one", id="y"), chat("two", id="z")],
            "c": [chat("one", id="x")],
        },
    )
    assert lines(found, "train.jsonl").keys() == {"x", "b/x"}
    gone = [json.loads(line) for line in (found.output / "rejected.jsonl").read_text().splitlines()]
    assert [(row["id"], row["because_of"]["id"]) for row in gone] == [("y", "x"), ("x", "x"), ("z", "b/x")]


def test_within_one_source_an_id_is_one_row_s(tmp_path: Path) -> None:
    found = built(tmp_path, {"a": [chat("one", id="x")], "b": [chat("two words", id="x"), chat("three", id="x")]})
    assert lines(found, "train.jsonl").keys() == {"x", "b/x"}
    [gone] = lines(found, "rejected.jsonl").values()
    assert (gone["id"], gone["reason"]) == ("b/x", "duplicate-id")


def test_a_new_id_that_another_row_has_gets_a_mark(tmp_path: Path) -> None:
    taken = [chat("one", id="x"), chat("four", id="b/x"), chat("five", id="b/x~")]
    found = built(tmp_path, {"a": taken, "b": [chat("two", id="x", meta={"id": "own"})]})
    rows = lines(found, "train.jsonl")
    assert rows.keys() == {"x", "b/x", "b/x~", "b/x~~"}
    assert rows["b/x~~"]["meta"] == {"id": "own", "id_2": "x"}
