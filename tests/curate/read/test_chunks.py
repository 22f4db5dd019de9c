"""Reading in pieces: the same rows, places and columns whatever the pieces and the processes."""

import gzip
import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.compose.split import drawing
from curate.core.errors import DataError, ServiceError
from curate.core.rows.row import Message
from curate.core.rows.row_keys import chosen_key
from curate.core.rows.row_text import chosen_text, text_lengths
from curate.dedup.minhash import sketch
from curate.dedup.which_stays import ranking
from curate.files.records import find_inputs, read_records
from curate.read.chunks import Read, reading
from curate.read.record_to_row import Unread
from curate.read.sources import make_reader, pinned
from curate.recipe.recipe import Recipe, Source
from curate.table.row_ref import Context, Entry, Place, Rejection, encode_rejection, reject_raw
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


def context(folder: Path, threads: int, path: str = "rows.jsonl", **settings: Any) -> Context:
    sources = [{"name": "s", "path": path, "format": "chat"}]
    recipe = {"name": "n", "behaviour": "Answers.", "output": "out", "sources": sources, **settings}
    return Context(Recipe.model_validate(recipe), folder, threads)


def one_by_one(source: Source, folder: Path) -> list[Entry | Rejection]:
    """What the records of the source's file are, found out one by one."""
    (found,) = find_inputs(source.paths[0], folder)
    reader = make_reader(source, pinned(source, found), None, {})
    items: list[Entry | Rejection] = []
    for record in read_records(found.path):
        place = Place(source.name, found.shown, record.number, record.offset)
        made = reader.find(record)
        if isinstance(made, Unread):
            items.append(reject_raw(place, record.raw, "read", made.reason, made.detail, id=made.id))
        else:
            row, verbatim = made
            messages = [Message(*(getattr(one, name) for name in Message.__struct_fields__)) for one in row.messages]
            items.append(Entry(msgspec.structs.replace(row, messages=messages), place, record.raw, verbatim))
    return items


def read_in_pieces(given: Context, piece_bytes: int) -> Iterator[Read]:
    source = given.recipe.sources[0]
    with reading(given, 1, piece_bytes=piece_bytes, pool_bytes=0) as read:
        yield from read.read(source, find_inputs(source.paths[0], given.folder))


def both(parts: Iterator[Read]) -> tuple[list[Entry], list[Rejection]]:
    found = list(parts)
    return [entry for part in found for entry in part.entries], [item for part in found for item in part.rejections]


@pytest.mark.parametrize(("threads", "piece_bytes"), [(1, 1), (1, 300), (1, 1 << 20), (2, 300)])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_pieces_hold_what_reading_in_one_go_finds(tmp_path: Path, threads: int, piece_bytes: int, name: str) -> None:
    content = b"\r\n".join(lines())  # and no line end after the last
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    given = context(tmp_path, threads, name, dedup={"prefer": ["longest", "newest"]}, seed=3)
    source, dedup = given.recipe.sources[0], given.recipe.dedup
    assert dedup is not None
    plain = one_by_one(source, tmp_path)
    entries, rejections = both(read_in_pieces(given, piece_bytes))
    told = [encode_rejection(item) for item in plain if isinstance(item, Rejection)]
    assert [encode_rejection(item) for item in rejections] == told
    assert entries == [item for item in plain if isinstance(item, Entry)]
    assert {item.reason for item in rejections} == {"not-json", "not-utf-8", "not-a-row"}
    for entry, other in zip(entries, (item for item in plain if isinstance(item, Entry)), strict=True):
        assert (entry.id, entry.label, entry.group) == (other.id, other.row.label, other.row.group)
        assert (entry.source, entry.keys, entry.verbatim) == (other.source, other.keys, other.verbatim)
        assert entry.held.lengths(entry.at) == text_lengths(other.row)
        assert entry.held.ranks(entry.at, dedup) == ranking(dedup)(other.row)
        drawn = drawing(given.recipe.split, 3)(other.id, other.group, other.keys)
        assert entry.held.draws(entry.at, given.recipe.split, 3) == drawn
        assert entry.held.synthesized(entry.at) == ("synthetic" in other.row.meta)
    assert [entry.id for entry in entries if entry.verbatim] == ["whole"]


def test_what_was_worked_out_holds_for_its_settings_alone(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines()))
    given = context(tmp_path, 1)
    other = context(tmp_path, 1, dedup={"prefer": ["newest"]}, split={"by": "row"}).recipe
    (entry, *_), _ = both(read_in_pieces(given, 1 << 20))
    assert other.dedup is not None
    assert entry.held.ranks(entry.at, other.dedup) is None
    assert entry.held.draws(entry.at, other.split, 0) is None
    assert entry.held.draws(entry.at, given.recipe.split, 1) is None


def test_a_conversations_key_and_lengths_come_with_the_columns(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines()))
    entries, _ = both(read_in_pieces(context(tmp_path, 1, dedup={"on": "conversation"}), 1 << 20))
    plain = one_by_one(context(tmp_path, 1).recipe.sources[0], tmp_path)
    for entry, other in zip(entries, [item for item in plain if isinstance(item, Entry)], strict=True):
        assert chosen_key(entry, "conversation") == chosen_key(other, "conversation")
        assert len(chosen_text(other.row, "conversation")) == text_lengths(other.row)[1]


def test_a_process_that_dies_is_told_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines() * 50))
    parts = read_in_pieces(context(tmp_path, 2), 100)
    next(parts)
    for process in multiprocessing.active_children():
        assert process.pid is not None
        os.kill(process.pid, 9)
    with pytest.raises(ServiceError, match="ended from outside"):
        list(parts)


def test_a_file_that_changes_under_the_reading_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines()))
    given = context(tmp_path, 1)
    with reading(given, 1) as read:
        entries, _ = both(read.read(given.recipe.sources[0], find_inputs("rows.jsonl", tmp_path)))
        read.check()
        path.write_bytes(b"something else\n")
        with pytest.raises(DataError, match="changed while it was read"):
            read.check()
        with pytest.raises(DataError, match="changed while it was read"):
            _ = next(entry for entry in entries if entry.verbatim).row


def test_sketches_made_while_reading_are_those_of_all_texts_at_once(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines()))
    given = context(tmp_path, 1)
    entries, _ = both(read_in_pieces(given, 1 << 20))
    held: Any = entries[0].held
    from curate.read.chunk_columns import Working

    wanted = Working(given).settings.sketched
    assert wanted is not None
    whole = sketch([chosen_text(entry.row, "prompt") for entry in entries], wanted.banding)
    made = held.sketched(wanted).load()
    assert (made.band_keys == whole.band_keys).all()
    assert (made.shingles == whole.shingles).all()
    assert held.sketched(Working(context(tmp_path, 1, seed=9)).settings.sketched) is None
