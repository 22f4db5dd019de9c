"""Reading in chunks: the same rows, places and columns whatever the chunks, the processes and the way to read."""

import gzip
import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from curate.build.stages import all_makers
from curate.compose.split import OrderDraw, SideDraw
from curate.core.errors import DataError, ServiceError
from curate.core.rows.row import Message, Row, encode_row
from curate.core.rows.row_keys import make_keys
from curate.core.rows.row_text import chosen_text, text_key, text_lengths
from curate.core.seeding import stable_seed
from curate.core.sources.record_to_row import Unread
from curate.core.sources.records import find_inputs, read_records
from curate.core.sources.row_readers import make_reader, pinned
from curate.core.sources.source import Source
from curate.dedup.minhash import Sketches, SketchPacks, banding_of, sketch
from curate.dedup.near import Beside, ComparedKeys
from curate.dedup.which_stays import Ranks, ranking
from curate.read.chunks import ReadChunk, SourceReader, reading
from curate.recipe.recipe import Dedup, Recipe, Split, Validate
from curate.table.rejections import Rejection, Rejections, encode_rejection, reject_raw
from curate.table.row_table import Place
from curate.table.selection import RowSelection
from curate.table.stage import Context
from curate.validate.stage import make_rules
from tests.curate.row_makers import chat

CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def lines() -> list[bytes]:
    """Rows and non-rows of every kind that reading tells apart."""
    whole = {"id": "whole", "source": "s", **chat("said in full")}
    calling = [
        {"role": "user", "content": "call it"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "2", "tool_call_id": "1"},
        {"role": "assistant", "content": "it is 2"},
    ]
    rows: list[Any] = [
        chat("after a byte order mark"),
        whole,
        {"messages": calling, "tools": TOOLS, "label": "calls", "group": "g1"},
        chat("with more keys", extra={"deep": [1, {"a": 2}]}, label="more"),
        chat("made", meta={"synthetic": {"seed_row": "whole"}, "n": 12345678901234567890}, origin="synthetic"),
        chat("über café {{name}}", "a � b"),
        chat("", "empty"),
        {"messages": "no list"},
    ]
    made = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    made[0] = b"\xef\xbb\xbf" + made[0]
    made[1:1] = [b"", b"   "]
    return [*made, b'{"broken": ', b'{"messages": "\xff"}', *(json.dumps(chat(f"row {n}")).encode() for n in range(40))]


class Made(NamedTuple):
    """A record that is a row: the row, where it stands, its bytes, and are they the row's line as they are?"""

    row: Row
    place: Place
    raw: bytes
    is_verbatim: bool


def context(folder: Path, threads: int, path: str = "rows.jsonl", **settings: Any) -> Context:
    sources = [{"name": "s", "path": path, "format": "chat"}]
    recipe = {"name": "n", "behaviour": "Answers.", "output": "out", "sources": sources, **settings}
    return Context(Recipe.model_validate(recipe), folder, threads)


def one_by_one(source: Source, folder: Path) -> tuple[list[Made], list[Rejection]]:
    """What the records of the source's file are, found out one by one."""
    (found,) = find_inputs(source.paths[0], folder)
    reader = make_reader(source, pinned(source, found), None, {})
    rows: list[Made] = []
    rejections: list[Rejection] = []
    for record in read_records(found.path):
        place = Place(source.name, found.shown, record.number, record.offset)
        made = reader.find(record)
        if isinstance(made, Unread):
            rejections.append(reject_raw(place, record.raw, "read", made.reason, made.detail, id=made.id))
        else:
            row, verbatim = made
            messages = [Message(*(getattr(one, name) for name in Message.__struct_fields__)) for one in row.messages]
            rows.append(Made(msgspec.structs.replace(row, messages=messages), place, record.raw, verbatim))
    return rows, rejections


def chunks_of(reader: SourceReader, given: Context) -> Iterator[ReadChunk]:
    source = given.recipe.sources[0]
    return reader.read(source, find_inputs(source.paths[0], given.folder))


def read_in_chunks(given: Context, fast_bytes: int, chunk_bytes: int = 1 << 20) -> tuple[RowSelection, Rejections]:
    """The rows and what is none, with all that stages want to know of each."""
    makers, unread = all_makers(given), Rejections()
    with reading(given, makers, 1, chunk_bytes=chunk_bytes, pool_bytes=0, fast_bytes=fast_bytes) as reader:
        for chunk in chunks_of(reader, given):
            unread += chunk.unread
    return RowSelection.all_of(reader.table), unread


def is_sound(row: Row) -> bool:
    return all(rule(row) is None for rule in make_rules(Validate(), Path()))


each_way = pytest.mark.parametrize("fast_bytes", [0, 1 << 50], ids=["by machine code", "row by row"])


@each_way
@pytest.mark.parametrize(("threads", "chunk_bytes"), [(1, 1), (1, 300), (1, 1 << 20), (2, 300)])
@pytest.mark.parametrize(
    ("name", "prefer"),
    [("rows.jsonl", ["longest"]), ("rows.jsonl", ["longest", "newest"]), ("rows.jsonl.gz", ["score"])],
)
def test_chunks_hold_what_reading_in_one_go_finds(
    tmp_path: Path, threads: int, chunk_bytes: int, name: str, prefer: list[str], fast_bytes: int
) -> None:
    content = b"\r\n".join(lines())  # and no line end after the last
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    given = context(tmp_path, threads, name, dedup={"prefer": prefer}, seed=3)
    recipe = given.recipe
    assert recipe.dedup is not None
    plain, told = one_by_one(recipe.sources[0], tmp_path)
    rows, rejections = read_in_chunks(given, fast_bytes, chunk_bytes)
    assert list(rejections) == told
    assert b"".join(rejections.lines()) == b"".join(encode_rejection(item) + b"\n" for item in told)
    assert {item.reason for item in rejections} == {"not-json", "not-utf-8", "not-a-row"}
    assert [(one.row, one.place, one.raw) for one in rows] == [(one.row, one.place, one.raw) for one in plain]
    assert [one.line for one in rows] == [one.raw if one.is_verbatim else encode_row(one.row) for one in plain]
    assert [one.id for one in rows.take(rows.column("line_size") == 0)] == ["whole"]
    made = [one.row for one in plain]
    assert [(one.id, one.label, one.group) for one in rows] == [(row.id, row.label, row.group) for row in made]
    columns: dict[str, list[Any]] = {
        "row_key": [list(make_keys(row)[:16]) for row in made],
        "prompt_key": [list(make_keys(row)[16:]) for row in made],
        "lengths": [list(text_lengths(row)) for row in made],
        "is_made": ["synthetic" in row.meta for row in made],
        "is_sound": [is_sound(row) for row in made],
        "ranks": [list(ranking(recipe.dedup)(row)) for row in made],
        "side_draw": [side_draw(row, 3) for row in made],
        "order_draw": [stable_seed(3, row.id) for row in made],
    }
    assert {name: rows.column(name).tolist() for name in columns} == columns
    assert len(set(columns["is_sound"])) == len(set(columns["is_made"])) == 2


def side_draw(row: Row, seed: int) -> float:
    drawn = f"prompt\x00{make_keys(row)[16:].hex()}" if row.group is None else f"group\x00{row.group}"
    return stable_seed(seed, drawn) / 2**64


@each_way
def test_what_was_made_while_reading_holds_for_its_settings_alone(tmp_path: Path, fast_bytes: int) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines()))
    given = context(tmp_path, 1)
    rows, _ = read_in_chunks(given, fast_bytes)
    assert given.recipe.dedup is not None
    split, dedup = given.recipe.split, Dedup(prefer=["newest"])
    assert all(rows.table.has(maker) for maker in all_makers(given).columns)
    others = Ranks(dedup), SideDraw(Split(by="row"), 0), SideDraw(split, 1), OrderDraw(split, 1)
    for maker in (*others, ComparedKeys("answer")):
        assert not rows.table.has(maker)
    assert rows.values(others[0]).tolist() == [list(ranking(dedup)(row)) for row in rows.rows]
    assert rows.values(others[2]).tolist() == [side_draw(row, 1) for row in rows.rows]
    assert rows.values(others[3]).tolist() == [stable_seed(1, row.id) for row in rows.rows]
    assert rows.table.packs(SketchPacks("prompt", banding_of(given.recipe.dedup, 0))) is not None
    assert rows.table.packs(SketchPacks("prompt", banding_of(given.recipe.dedup, 9))) is None
    assert rows.table.packs(SketchPacks("answer", banding_of(given.recipe.dedup, 0))) is None


@each_way
@pytest.mark.parametrize("on", ["answer", "conversation"])
def test_keys_of_other_texts_come_with_the_columns(tmp_path: Path, fast_bytes: int, on: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines()))
    rows, _ = read_in_chunks(context(tmp_path, 1, dedup={"on": on}), fast_bytes)
    plain, _ = one_by_one(context(tmp_path, 1).recipe.sources[0], tmp_path)
    assert rows.table.has(ComparedKeys(on))
    keys = rows.column(ComparedKeys.name)
    assert [key.tobytes() for key in keys] == [text_key(chosen_text(one.row, on)) for one in plain]
    assert rows.column("lengths")[:, 1].tolist() == [len(chosen_text(one.row, "conversation")) for one in plain]


@each_way
@pytest.mark.parametrize("on", ["prompt", "conversation"])
def test_sketches_made_while_reading_are_those_of_all_texts_at_once(tmp_path: Path, fast_bytes: int, on: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines()))
    given = context(tmp_path, 1, dedup={"on": on})
    assert given.recipe.dedup is not None
    rows, _ = read_in_chunks(given, fast_bytes, 700)
    banding = banding_of(given.recipe.dedup, given.recipe.seed)
    packs = rows.table.packs(SketchPacks(on, banding))
    assert packs is not None
    parts = [Sketches.unpacked(rows.table.spool.read(start, size)) for _, start, size in packs]
    scenes = np.ascontiguousarray(rows.column(Beside.name)[:, 0])
    whole = sketch([chosen_text(row, on) for row in rows.rows], banding, scenes=scenes)
    assert [texts for texts, *_ in packs] == [part.starts.size - 1 for part in parts]
    assert len(parts) > 1
    assert (np.concatenate([part.shingles for part in parts]) == whole.shingles).all()
    assert (np.concatenate([part.band_keys for part in parts], 1) == whole.band_keys).all()
    assert np.concatenate([np.diff(part.starts) for part in parts]).tolist() == np.diff(whole.starts).tolist()


@each_way
def test_a_process_that_dies_is_told_and_not_waited_for(tmp_path: Path, fast_bytes: int) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines() * 50))
    given = context(tmp_path, 2)
    how = {"chunk_bytes": 100, "pool_bytes": 0, "fast_bytes": fast_bytes}
    with (
        pytest.raises(ServiceError, match="ended from outside"),
        reading(given, all_makers(given), 1, **how) as reader,
    ):
        parts = chunks_of(reader, given)
        next(parts)
        for process in multiprocessing.active_children():
            assert process.pid is not None
            os.kill(process.pid, 9)
        list(parts)
        pytest.fail("it went on")


@each_way
def test_a_file_that_changes_under_the_reading_is_told(tmp_path: Path, fast_bytes: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines()))
    given = context(tmp_path, 1)
    with reading(given, all_makers(given), 1, fast_bytes=fast_bytes) as reader:
        assert sum(chunk.records for chunk in chunks_of(reader, given)) == len(lines()) - 2  # two are blank
        rows = RowSelection.all_of(reader.table)
        reader.check()
        path.write_bytes(b"something else\n")
        with pytest.raises(DataError, match="changed while it was read"):
            reader.check()
        (whole,) = rows.take(rows.find({"whole"}))
        with pytest.raises(DataError, match="changed while it was read"):
            _ = whole.row
        assert rows[0].row.messages[0].text == "after a byte order mark"  # it had to be written anew
