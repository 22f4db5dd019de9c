"""Licences of sources and base stand in the manifest and on the card; none named is said."""

import re
from pathlib import Path

from curate.build.build import build
from curate.core.manifest import MANIFEST, Licenses, read_manifest
from tests.curate.row_makers import chat, write_recipe

ROWS = [chat(f"which stone lies in field {n}?", f"stone number {n}") for n in range(20)]


def test_each_source_names_its_licence_or_none(tmp_path: Path) -> None:
    sources = [
        {"name": "old", "path": "rows.jsonl", "license": "CC-BY-4.0"},
        {"name": "[new](x)", "path": "rows.jsonl"},
    ]
    built = build(write_recipe(tmp_path, ROWS, {"sources": sources}))
    licenses = read_manifest(built.output / MANIFEST).licenses
    assert licenses == Licenses(sources={"old": "CC-BY-4.0", "[new](x)": None})
    card = (built.output / "card.md").read_text()
    assert re.search(r"^- source old: CC-BY-4\.0$", card, re.MULTILINE)
    assert r"- source \[new\](x): none named" in card


def test_the_base_is_named_where_there_is_one() -> None:
    assert Licenses(sources={"a": None}, base="mit").sentences() == ["source a: none named", "base: mit"]
    assert Licenses(sources={"a": None}, base=None).sentences()[-1] == "base: none named"
    assert Licenses(sources={"a": None}).sentences() == ["source a: none named"]
