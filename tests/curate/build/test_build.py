"""The build as a whole: what it writes, when it does nothing, and that equal inputs give equal bytes."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.build.build import build
from curate.build.dataset_folder import verify_dataset
from curate.build.one_stage import read_rows
from curate.compose.mix import repeat_rows
from curate.core.config_file import load_config
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.files import decode_lines
from curate.core.manifest import MANIFEST, Manifest, ManifestInput, SourceCount, read_manifest
from curate.core.rows.row import Row, encode_row
from curate.recipe.recipe import Recipe
from curate.table.byte_store import ByteSpool
from curate.table.rejections import Block, LooseRecords, Rejection, Rejections, Rule
from curate.table.selection import RowSelection
from tests.curate.row_makers import chat, make_row, write_recipe

LONG = "please tell me what the weather in the capital of this country is like today"
SIDES = {"train.jsonl", "val.jsonl", "test.jsonl"}
FILES = SIDES | {".kept", "rejected.jsonl", "clusters.parquet", "manifest.json", "card.md", "report.html"}


def records() -> list[object]:
    rows: list[object] = [
        chat(f"question number {n} about subject {n * 7}?", f"answer {n}", label=f"l{n % 3}") for n in range(60)
    ]
    rows += [
        chat(LONG, "sunny", id="keep me"),
        chat(LONG.removesuffix(" today"), "sunny", id="drop me"),
        chat(LONG.upper(), "sunny", id="shouted"),
    ]
    return [*rows, b'{"broken": ', chat("", "empty"), chat(LONG, "rainy", id="conflict")]


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    manifest = json.loads(found.pop("manifest.json"))
    manifest.pop("environment")
    return {**found, "manifest": json.dumps(manifest).encode()}


def test_every_row_is_in_exactly_one_file_and_the_counts_add_up(tmp_path: Path) -> None:
    built = build(write_recipe(tmp_path, records()))
    assert {path.name for path in built.output.iterdir()} == FILES
    rows = {side: list(decode_lines(built.output / f"{side}.jsonl", Row)) for side in ("train", "val", "test")}
    rejected = list(decode_lines(built.output / "rejected.jsonl", Rejection))
    assert sum(map(len, rows.values())) + len(rejected) == len(records())
    for stage in built.manifest.stages:
        assert stage.rows_in == stage.kept + stage.rejected
        assert stage.rejected == sum(stage.reasons.values())
        assert stage.rejected == sum(item.stage == stage.name for item in rejected)
    assert {item.reason for item in rejected} == {"not-json", "empty-turn", "exact-duplicate", "near-duplicate"}
    assert built.manifest.conflicts == [["conflict", "keep me"]]
    near = next(item for item in rejected if item.reason == "near-duplicate")
    assert near.id == "drop me"
    assert json.loads(near.raw)["id"] == near.id
    assert near.because_of is not None
    assert 0.7 <= near.because_of.similarity <= 1


def test_the_manifest_names_every_input_and_output_and_no_absolute_path(tmp_path: Path) -> None:
    built = build(write_recipe(tmp_path, records()))
    manifest = read_manifest(built.output / MANIFEST)
    assert manifest == built.manifest
    assert [item.path for item in manifest.inputs] == ["rows.jsonl"]
    assert manifest.inputs[0].lines == len(records())
    assert set(manifest.outputs) == FILES - {"manifest.json", ".kept"}
    assert str(tmp_path) not in (built.output / "manifest.json").read_text()
    assert str(tmp_path) not in (built.output / "rejected.jsonl").read_text()


def test_the_card_says_what_it_is_for_and_what_was_left_out(tmp_path: Path) -> None:
    nasty = chat("look: ```\x1b[2J <b>| & more words to be a long row", "```` ok")
    built = build(write_recipe(tmp_path, [*records(), *[nasty] * 3]))
    card = (built.output / "card.md").read_text()
    assert card.startswith("# small\n\n> Answers questions.\n")
    assert "near-duplicate 1" in card
    assert "curate verify" in card
    assert "\x1b" not in card
    report = (built.output / "report.html").read_text()
    assert "Answers questions." in report
    assert "similarity 0." in report
    assert "<b>" not in report
    assert "\x1b" not in report
    assert "<script" not in report


def test_the_same_bytes_twice_and_for_any_order_of_lines(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    for folder in (first, second, third):
        folder.mkdir()
    one = build(write_recipe(first, records()))
    two = build(write_recipe(second, records()))
    assert contents(one.output) == contents(two.output)
    assert one.manifest.digest == two.manifest.digest
    shuffled = records()
    random.Random(4).shuffle(shuffled)
    other = build(write_recipe(third, shuffled))
    for side in ("train", "val", "test"):
        assert (one.output / f"{side}.jsonl").read_bytes() == (other.output / f"{side}.jsonl").read_bytes()


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xy")), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_adding_rows_moves_no_old_row(tmp_path_factory: pytest.TempPathFactory, more: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("add")
    before = build(write_recipe(folder, records()))
    sides = {row.id: side for side in ("train", "val", "test") for row in rows_of(before.output, side)}
    added = [chat(f"{prompt} is new", answer) for prompt, answer in more]
    after = build(write_recipe(folder, [*added, *records()]))
    assert not after.up_to_date
    now = {row.id: side for side in ("train", "val", "test") for row in rows_of(after.output, side)}
    assert sides == {name: now[name] for name in sides}


def rows_of(folder: Path, side: str) -> list[Row]:
    return list(decode_lines(folder / f"{side}.jsonl", Row))


def test_nothing_is_done_twice(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    assert not build(recipe).up_to_date
    train = tmp_path / "out" / "train.jsonl"
    stamp = train.stat().st_mtime_ns
    assert build(recipe).up_to_date
    assert train.stat().st_mtime_ns == stamp
    assert not build(recipe, force=True).up_to_date
    assert train.stat().st_mtime_ns != stamp


def test_what_is_up_to_date_loads_no_machine_code(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    build(recipe)
    code = (
        "import sys; from pathlib import Path; from curate.build.build import build\n"
        "assert build(Path(sys.argv[1])).up_to_date\n"
        "print([name for name in ('numba', 'polars', 'jinja2') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code, recipe], text=True) == "[]\n"


@pytest.mark.parametrize("damage", ["change", "remove", "manifest", "input", "recipe"])
def test_any_change_builds_again(tmp_path: Path, damage: str) -> None:
    recipe = write_recipe(tmp_path, records())
    digest = build(recipe).manifest.digest
    out = tmp_path / "out"
    if damage == "change":
        (out / "val.jsonl").write_text("{}\n")
    elif damage == "remove":
        (out / "card.md").unlink()
    elif damage == "manifest":
        (out / "manifest.json").write_text('{"kind": "manifest"')
    elif damage == "input":
        recipe = write_recipe(tmp_path, [*records(), chat("one more", "row")])
    else:
        recipe = write_recipe(tmp_path, records(), {"seed": 4})
    again = build(recipe)
    assert not again.up_to_date
    assert (again.manifest.digest == digest) == (damage in {"change", "remove", "manifest"})
    verify_dataset(out)


def test_an_adapter_is_an_input_too(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(record):\n    return record\n")
    source = {"sources": [{"name": "rows", "path": "rows.jsonl", "adapter": "a.py:f"}]}
    recipe = write_recipe(tmp_path, records(), source)
    assert not build(recipe).up_to_date
    assert build(recipe).up_to_date
    (tmp_path / "a.py").write_text("def f(record):\n    return {**record, 'label': 'x'}\n")
    assert not build(recipe).up_to_date


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    before = sorted(tmp_path.iterdir())
    dry = build(recipe, dry_run=True)
    assert sorted(tmp_path.iterdir()) == before
    assert dry.manifest.digest == build(recipe).manifest.digest


def test_nothing_left_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 times read: not-json(.|\n)*rows.jsonl:1"):
        build(write_recipe(tmp_path, [b"{", b"["]))
    assert not (tmp_path / "out").exists()


def test_verify_names_what_was_changed(tmp_path: Path) -> None:
    out = build(write_recipe(tmp_path, records())).output
    verify_dataset(out)
    (out / "train.jsonl").write_bytes((out / "train.jsonl").read_bytes()[:-5])
    (out / "test.jsonl").unlink()
    with pytest.raises(ProvenanceError, match=r"train.jsonl was changed\n  .*test.jsonl is missing"):
        verify_dataset(out)
    (out / "manifest.json").unlink()
    with pytest.raises(ProvenanceError, match="no manifest"):
        verify_dataset(out)


def test_a_stopped_build_is_cleared_away(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    (tmp_path / "out" / ".unfinished-abc").mkdir(parents=True)
    (tmp_path / "out" / "train.jsonl").write_text("half")
    build(recipe)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"behaviour": " "}, "one sentence"),
        ({"split": {"shares": {"train": 0.5, "val": 0.2, "test": 0.2}}}, "make 0.9, not 1"),
        ({"sources": [{"name": "a", "path": "x"}, {"name": "a", "path": "y"}]}, "two sources are named a"),
        ({"validate": {"target_schema": "schema"}}, r"meta\.KEY"),
        ({"dedup": {"threshold": 0}}, "threshold"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(tmp_path: Path, settings_: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write_recipe(tmp_path, [], settings_), Recipe)


def test_rejections_decode_as_promised(tmp_path: Path) -> None:
    out = build(write_recipe(tmp_path, records())).output
    fields = [list(msgspec.json.decode(line)) for line in (out / "rejected.jsonl").read_bytes().splitlines()]
    promised = ["id", "path", "line", "offset", "stage", "reason", "detail", "because_of", "raw"]
    assert all(names == promised for names in fields)


def test_card_and_report_say_what_duplicates_are_found_and_what_the_rows_are_fit_for(tmp_path: Path) -> None:
    facts = [chat(f"Who founded town number {n}?", f"It was founded by Baron Munch{'h' * n}.") for n in range(12)]
    built = build(write_recipe(tmp_path, [*records(), *facts], {"dedup": {"bands": 20, "rows": 5, "threshold": 0.8}}))
    assert built.manifest.fit.facts >= 3
    card, report = ((built.output / name).read_text() for name in ("card.md", "report.html"))
    chance = f"{1 - (1 - 0.8**5) ** 20:.2%}"
    for text in (card, report.replace(" %", "%")):
        assert chance in text
        assert "Facts belong in retrieval" in text
        assert "50 to 200" in text
        assert "heuristic" in text
    assert "polyline" in report
    assert "Lengths by source" in report
    assert "Baron Munch" in card


def test_lengths_are_counted_once_for_each_record(tmp_path: Path) -> None:
    from curate.report.lengths import length_charts

    read = ManifestInput(kind="source", name="a", path="a.jsonl", digest="")
    source = SourceCount(name="a", read=3, kept=2, rejected=1)
    manifest = Manifest(inputs=[read], sources=[source], added={"repeats": 1})
    row = make_row("q", "x" * 13, id="1")
    assert len(encode_row(row)) == 100
    rows = RowSelection.of_rows([row], "a", "a.jsonl")
    kept = repeat_rows(rows, {"1": 2})
    assert len(kept) == 2
    spool = ByteSpool()
    unread = LooseRecords(spool, "a.jsonl", [(None, 2, 101, spool.add("\xe9".encode() * 200), 400)])
    gone = Rejections([Block("read", unread, [Rule("not-json")], np.array([0]), [""])])
    sources, rules = length_charts(manifest, {"train": kept}, gone)
    assert [column.counts for column in sources[0].columns] == [(1, 0), (0, 0), (0, 1)]
    assert (sources[0].before, sources[0].after) == (100, 100)
    assert [(rule.name, rule.note, rule.before, rule.after) for rule in rules] == [("not-json", "read", 400, None)]


def test_parquet_holds_the_same_rows_and_reads_back(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    parts = [{"type": "text", "text": "what is this"}, {"type": "text", "text": "in two parts"}]
    called = [
        {"role": "user", "content": "please call the function f for me"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "1", "tool_call_id": "c1"},
        {"role": "assistant", "content": "it is one", "weight": 0.5},
    ]
    rows = [
        *records()[:60],
        {"messages": called, "tools": [tool], "id": "called", "group": "g", "meta": {"deep": [1, {"a": None}]}},
        {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": "a cat"}], "id": "parts"},
    ]
    recipe = {"parquet": True, "split": {"shares": {"train": 1, "val": 0, "test": 0}}}
    built = build(write_recipe(tmp_path, rows, recipe))
    verify_dataset(built.output)
    assert {path.name for path in built.output.iterdir()} == FILES | {"train.parquet", "val.parquet", "test.parquet"}
    lines, table = (read_rows([str(built.output / f"train.{name}")]) for name in ("jsonl", "parquet"))
    assert (len(lines.unread), len(table.unread)) == (0, 0)
    assert list(table.rows.rows) == list(lines.rows.rows)
    assert {"called", "parts"} <= set(table.rows.ids())
    before = contents(built.output)
    assert contents(build(tmp_path / "recipe.yaml", force=True).output) == before
    assert len(read_rows([str(built.output)]).rows) == len(lines.rows)
    build(write_recipe(tmp_path, rows))
    assert not (built.output / "train.parquet").exists()


def test_the_same_bytes_with_and_without_room_in_memory(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    roomy = build(recipe, output=tmp_path / "roomy")
    tight = build(recipe, output=tmp_path / "tight", memory=1)
    assert contents(roomy.output) == contents(tight.output)


def shards() -> list[bytes]:
    """Lines of four shards: with duplicates of every kind among them, and equal rows in different bytes."""
    row = chat("two writers wrote this one row in bytes of their own", "yes", id="written twice", source="rows")
    twins = [chat("an id for two rows", answer, id="two") for answer in "ab"]
    near = [chat(f"{LONG} number {n}", f"sunny {n % 4}", id=f"near {n}") for n in range(20)]
    lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in [*records(), *twins, *near]]
    return [*lines, json.dumps(row).encode(), json.dumps(row, separators=(",", ":")).encode()]


@pytest.mark.parametrize("seed", range(5))
def test_the_same_rows_for_any_order_of_shards(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Renamed shards, and lines that went to others: what is kept and why the rest is not stays as it was."""
    found = []
    for shuffled in (False, True):
        folder = tmp_path_factory.mktemp("shards")
        lines = shards()
        if shuffled:
            random.Random(seed).shuffle(lines)
        recipe = write_recipe(folder, [], {"sources": [{"name": "rows", "path": "part-*.jsonl"}]})
        for number in range(4):
            (folder / f"part-{number}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines[number::4]))
        out = build(recipe).output
        sides = {name: (out / name).read_bytes() for name in SIDES}
        gone = [msgspec.json.decode(line) for line in (out / "rejected.jsonl").read_bytes().splitlines()]
        places = re.compile(r"part-\d\.jsonl:\d+")
        why = sorted(
            (str(item["id"]), item["reason"], places.sub("", item["detail"]), str(item["because_of"]), item["raw"])
            for item in gone
        )
        found.append((sides, why))
    assert found[0] == found[1]


@pytest.mark.parametrize("order", [["a.jsonl", "b.jsonl"], ["b.jsonl", "a.jsonl"], "?.jsonl"])
def test_files_are_read_in_the_order_of_their_names(tmp_path: Path, order: object) -> None:
    recipe = write_recipe(tmp_path, [], {"sources": [{"name": "rows", "path": order}]})
    for name, lines in (("b", shards()[::2]), ("a", shards()[1::2])):
        (tmp_path / f"{name}.jsonl").write_bytes(b"\n".join(lines))
    out = build(recipe).output
    assert [item.path for item in read_manifest(out / MANIFEST).inputs] == ["a.jsonl", "b.jsonl"]
    paths = [item.path for item in decode_lines(out / "rejected.jsonl", Rejection) if item.stage == "near"]
    assert paths
    if order == ["a.jsonl", "b.jsonl"]:
        return
    (tmp_path / "again").mkdir()
    again = write_recipe(tmp_path / "again", [], {"sources": [{"name": "rows", "path": ["a.jsonl", "b.jsonl"]}]})
    for name in "ab":
        (tmp_path / "again" / f"{name}.jsonl").write_bytes((tmp_path / f"{name}.jsonl").read_bytes())
    first, second = contents(out), contents(build(again).output)
    for each in (first, second):
        del each["manifest"]  # it repeats the recipe, which lists the files as somebody wrote them
        del each["card.md"]  # and this names the manifest
    assert first == second
