"""What a build says of sides: given ones, a dataset for tests alone, sources' names in mix and balance."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.build.build import Built, build
from curate.core.errors import DataError
from tests.curate.row_makers import chat, write_recipe

ROWS = [chat(f"where is drawer {n} of the {n % 7} bench", f"Row {n}.", id=f"r{n}") for n in range(30)]


def sizes(found: Built) -> dict[str, int]:
    return {side: sum(labels.values()) for side, labels in found.manifest.split.items()}


def test_only_a_test_side(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"split": {"shares": {"train": 0, "val": 0, "test": 1}}, "canaries": {"count": 2}}
    found = build(write_recipe(tmp_path, ROWS, settings))
    assert sizes(found) == {"train": 0, "val": 0, "test": 30}
    assert "train is empty, so no canaries are planted" in found.warnings
    assert (found.output / "card.md").read_text().startswith("# small")


def test_given_sides(tmp_path: Path) -> None:
    rows = [{**row, "split": "train" if n % 3 else "test"} for n, row in enumerate(ROWS)]
    rows += [{**chat("where is drawer 0 of the 0 bench", "Nowhere.", id="leak"), "split": "train"}]
    found = build(write_recipe(tmp_path, rows, {"split": {"from": "split"}}))
    assert sizes(found) == {"train": 21, "val": 0, "test": 10}
    assert "val is empty: no row has it in split" in found.warnings
    assert any(text.startswith("2 rows belong to rows on another side") for text in found.warnings)
    assert build(tmp_path / "recipe.yaml").up_to_date


def test_rows_without_a_side_stop_the_build(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="30 of 30 rows name no side in meta"):
        build(write_recipe(tmp_path, ROWS, {"split": {"from": "meta.fold"}}))
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_mix_and_balance_see_the_recipe_s_names(tmp_path: Path) -> None:
    rows = [{**row, "source": "web"} for row in ROWS]
    settings: dict[str, Any] = {"split": {"shares": {"train": 1, "val": 0, "test": 0}}}
    mixed = build(write_recipe(tmp_path, rows, {**settings, "mix": {"epochs": {"rows": 2}}}))
    assert sizes(mixed)["train"] == 60
    capped = build(write_recipe(tmp_path, rows, {**settings, "balance": {"rules": [{"by": "source", "cap": 4}]}}))
    assert sizes(capped)["train"] == 4
    by_own = {"balance": {"rules": [{"by": "meta.source", "caps": {"web": 5}}]}}
    capped = build(write_recipe(tmp_path, rows, {**settings, **by_own}))
    assert sizes(capped)["train"] == 5
    # The dataset as a source of the next: that recipe's name stands, and both earlier ones are there.
    folder = tmp_path / "next"
    folder.mkdir()
    again = {"sources": [{"name": "first", "path": "../out"}], **settings}
    found = build(write_recipe(folder, ROWS, again))
    row = json.loads((found.output / "train.jsonl").read_text().splitlines()[0])
    assert (row["source"], row["meta"]) == ("first", {"source": "web", "source_2": "rows"})
