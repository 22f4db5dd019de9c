"""Keys that no field takes are counted by source, in the manifest and in words; without any, nothing is said."""

import json
from pathlib import Path
from typing import Any

from curate.build.build import build
from curate.core.manifest import MANIFEST
from tests.curate.row_makers import chat, write_recipe


def test_keys_that_are_kept_in_meta_are_counted_and_told(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{**chat(f"how high is the tower of town {n}"), "stars": n} for n in range(1, 4)]
    rows[0]["messages"][1]["uuid"] = "u"
    rows[0] |= {f"key_{n}": n for n in range(1, 9)}
    rows.append({**chat("how wide is the moat"), "meta": {"own": 1}})
    manifest = build(write_recipe(tmp_path, rows, {"dedup": None})).manifest
    (source,) = manifest.sources
    kept = {"stars": 3, **{f"key_{n}": 1 for n in range(1, 9)}, "messages[].uuid": 1}
    assert source.kept_keys == kept
    (said,) = [text for text in manifest.warnings if "kept in meta" in text]
    assert said.startswith(
        f"source {source.name}: keys kept in meta and not trained on: stars (3 rows), key_1 (1 row), "
    )
    assert said.endswith(", and 2 more")


def test_nothing_is_said_where_rows_have_no_other_keys(tmp_path: Path) -> None:
    built = build(write_recipe(tmp_path, [{**chat("how high is the tower"), "meta": {"own": 1}}], {"dedup": None}))
    assert not any("kept in meta" in text for text in built.manifest.warnings)
    assert "kept_keys" not in json.loads((built.output / MANIFEST).read_text())["sources"][0]


def test_answers_that_people_found_bad_are_told(tmp_path: Path) -> None:
    judged = [{**chat(f"is the tower of town {n} high"), "label": bool(n % 2)} for n in range(4)]
    manifest = build(write_recipe(tmp_path, judged, {"dedup": None})).manifest
    assert [text for text in manifest.warnings if text.startswith("undesirable-answer, 2 rows: ")]
    assert [source.kept for source in manifest.sources] == [4]
