"""Reading: every record comes out as a row or as a rejection that says where and why."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.build.stage_inputs import find_files
from curate.core.errors import ConfigError, DataError
from curate.core.rows.formats.format import Format
from curate.core.rows.formats.registry import FORMATS
from curate.core.rows.row import Row, encode_row
from curate.core.sources.records import find_inputs, read_records
from curate.core.sources.source import LooseFiles, Source
from curate.table.rejections import Rejection
from curate.table.selection import RowRef
from tests.conftest import Run
from tests.curate.row_makers import chat, make_context, read_source, write_recipe

pytestmark = pytest.mark.usefixtures("each_way_to_read")


def read(folder: Path, **settings: Any) -> list[RowRef | Rejection]:
    source = Source.model_validate({"name": "s", "path": "rows.jsonl", **settings})
    inputs = [found for path in source.paths for found in find_inputs(path, folder)]
    return read_source(source, inputs, folder)


def read_one(folder: Path, line: bytes, **settings: Any) -> RowRef | Rejection:
    (folder / "rows.jsonl").write_bytes(json.dumps(chat("first")).encode() + b"\n" + line)
    first, second = read(folder, **settings)
    assert isinstance(first, RowRef) or settings
    return second


def adapter(folder: Path, body: str) -> str:
    (folder / "adapter.py").write_text(f"def adapt(record):\n    {body}\n")
    return "adapter.py:adapt"


def test_a_line_is_a_row_with_the_sources_defaults_and_unknown_keys_in_meta(tmp_path: Path) -> None:
    line = json.dumps(chat("q", meta={"a": 1}, extra="kept", group=None)).encode()
    found = read_one(tmp_path, line, origin="synthetic", label="l")
    assert isinstance(found, RowRef)
    assert (found.row.source, found.row.origin, found.row.label) == ("s", "synthetic", "l")
    assert found.row.meta == {"a": 1, "extra": "kept"}
    assert len(found.row.id) == 16
    assert found.raw == line
    assert (found.place.line, found.place.offset) == (2, len(json.dumps(chat("first"))) + 1)


def test_keys_of_ours_that_mean_something_else_are_kept_in_meta(tmp_path: Path) -> None:
    others = {"source": ["web", "forum"], "label": {"a": 1}, "group": [1], "id": [2], "meta": "a note"}
    found = read_one(tmp_path, json.dumps(chat("q", **others)).encode())
    assert isinstance(found, RowRef)
    assert found.row.meta == others
    assert (found.row.label, found.row.group, found.row.source, len(found.row.id)) == (None, None, "s", 16)


def test_what_a_row_says_wins_over_what_its_source_says(tmp_path: Path) -> None:
    found = read_one(tmp_path, json.dumps(chat("q", id="mine", source="else", label="own")).encode(), label="l")
    assert isinstance(found, RowRef)
    assert (found.row.id, found.row.label) == ("mine", "own")


@pytest.mark.parametrize(
    ("own", "meta"),
    [
        ({"source": "else"}, {"source": "else"}),
        ({"source": "s"}, {}),
        ({"source": ""}, {"source": ""}),
        ({"source": "else", "meta": {"a": 1, "source": "first"}}, {"a": 1, "source": "first", "source_2": "else"}),
        ({"source": "else", "meta": {"source": "else"}}, {"source": "else"}),
        ({"source": 7, "extra": "kept"}, {"extra": "kept", "source": "7"}),
    ],
)
def test_the_recipe_s_name_of_a_source_stands_and_the_row_s_own_goes_to_meta(
    tmp_path: Path, own: dict[str, Any], meta: dict[str, Any]
) -> None:
    found = read_one(tmp_path, json.dumps(chat("q", id="mine", **own)).encode())
    assert isinstance(found, RowRef)
    assert (found.row.source, found.row.meta) == ("s", meta)
    assert msgspec.json.decode(found.line, type=Row) == found.row


def test_files_that_no_recipe_names_keep_the_names_in_their_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(chat("q", id="mine", source="else")) + "\n")
    loose = LooseFiles(name="input", path="rows.jsonl")
    [found] = read_source(loose, find_inputs("rows.jsonl", tmp_path), tmp_path)
    assert isinstance(found, RowRef)
    assert (found.row.source, found.row.meta) == ("else", {})
    assert found.line == found.raw


@pytest.mark.parametrize(
    ("group", "name"),
    [(12, "12"), ("12", "12"), (12.0, "12"), (1.5, "1.5"), (True, "true"), (False, "false"), (None, None), (-0.0, "0")],
)
def test_equal_groups_have_one_name(tmp_path: Path, group: object, name: str | None) -> None:
    found = read_one(tmp_path, json.dumps(chat("q", group=group)).encode())
    assert isinstance(found, RowRef)
    assert (found.row.group, found.group) == (name, name)


def test_rows_whose_group_is_empty_belong_to_no_group(tmp_path: Path) -> None:
    for more in ({}, {"extra": 1}):  # as it is read in machine code, and else
        found = read_one(tmp_path, json.dumps(chat("q", group=" ", **more)).encode())
        assert isinstance(found, RowRef)
        assert found.group is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"messages": [', "not-json"),
        (b'{"messages": [{"role": "user", "conte', "not-json"),
        (b'{"messages": NaN}', "not-a-number"),
        (b"[" * 100_000, "too-deep"),
        (b'{"messages": [], "x": 1e999}', "huge-number"),
        (b'{"messages": [], "meta": {"x": 123456789012345678901}}', "huge-number"),
        (b'{"messages": "\\ud800 half"}', "unpaired-surrogate"),
        (b'{"instruction": "i", "output": "o"}', "other-format"),
        ('{"messages": "é"}'.encode("latin-1"), "not-utf-8"),
        (b"[1, 2]", "not-an-object"),
        (b'{"messages": [], "label": "a", "label": "b"}', "repeated-key"),
        (b'{"messages": [{"role": "user", "content": "one", "content": "two"}]}', "repeated-key"),
        (b'{"id": "x"}', "not-a-row"),
        (b'{"messages": [{"content": "no role"}]}', "not-a-row"),
        (b'{"messages": [], "origin": "guessed"}', "not-a-row"),
    ],
)
def test_a_damaged_line_is_rejected_and_the_rest_goes_on(tmp_path: Path, line: bytes, reason: str) -> None:
    item = read_one(tmp_path, line)
    assert isinstance(item, Rejection)
    assert (item.stage, item.reason, item.path, item.line) == ("read", reason, "rows.jsonl", 2)
    assert item.raw == line.decode("utf-8", "backslashreplace")
    assert item.detail


def test_quotes_within_texts_are_no_keys(tmp_path: Path) -> None:
    said = '{"role": "say \\": twice", "again": "\\":"}'
    found = read_one(tmp_path, json.dumps(chat(said, id="x", source="s")).encode())
    assert isinstance(found, RowRef)
    assert found.row.messages[0].text == said


def test_an_adapter_makes_the_row(tmp_path: Path) -> None:
    body = "return {'messages': record['messages'], 'group': record['messages'][0]['content'].upper()}"
    item = read_one(tmp_path, json.dumps(chat("q")).encode(), adapter=adapter(tmp_path, body))
    assert isinstance(item, RowRef)
    assert item.row.group == "Q"


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        ("return None", "adapter-returned-none", "adapter.py:adapt"),
        ("return record['nope']", "adapter-failed", "KeyError: 'nope'"),
        ("return 3", "adapter-failed", "int"),
        ("return {'messages': 'text'}", "not-a-row", "messages"),
        ("return {'messages': [], 'meta': {'x': object()}}", "not-a-row", "object"),
        ("return {'messages': [], 'meta': {'x': float('nan')}}", "not-a-number", "nan"),
        ("return {'messages': [{'role': 'user', 'content': chr(0xd800)}]}", "not-a-row", "surrogate"),
    ],
)
def test_an_adapters_trouble_is_the_rows_not_the_jobs(tmp_path: Path, body: str, reason: str, detail: str) -> None:
    item = read_one(tmp_path, json.dumps(chat("q", id="given")).encode(), adapter=adapter(tmp_path, body))
    assert isinstance(item, Rejection)
    assert (item.id, item.reason) == ("given", reason)
    assert detail in item.detail


@pytest.mark.parametrize(
    ("body", "prompts", "unread"),
    [
        ("return [{'messages': [m]} for m in record['messages']]", ["q", "yes"], []),
        ("return ({'messages': [m]} for m in record['messages'])", ["q", "yes"], []),
        ("return []", [], ["adapter-returned-none"]),
        ("return [{'messages': record['messages']}, 3, None]", ["q"], ["adapter-failed", "adapter-failed"]),
        ("return [{'messages': record['messages']}, {'messages': 3}]", ["q"], ["not-a-row"]),
    ],
)
def test_an_adapter_makes_several_rows_of_a_record(
    tmp_path: Path, body: str, prompts: list[str], unread: list[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(chat("q", id="given")) + "\n")
    found = read(tmp_path, adapter=adapter(tmp_path, body))
    assert [each.row.messages[0].text for each in found if isinstance(each, RowRef)] == prompts
    assert [(each.reason, each.line) for each in found if isinstance(each, Rejection)] == [(why, 1) for why in unread]


def test_an_adapter_takes_records_that_are_no_objects(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('"one"\n["two", "three"]\n4\n')
    body = "return {'messages': [{'role': 'user', 'content': str(record)}]}"
    found = read(tmp_path, adapter=adapter(tmp_path, body))
    texts = [each.row.messages[0].text for each in found if isinstance(each, RowRef)]
    assert texts == ["one", "['two', 'three']", "4"]


def test_a_bare_list_of_messages_and_messages_as_text_are_chat(tmp_path: Path) -> None:
    talk = chat("q")["messages"]
    lines = [talk, {"messages": json.dumps(talk)}, {"messages": talk}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read(tmp_path)
    assert [each.row.messages[0].text for each in found if isinstance(each, RowRef)] == ["q"] * 3


@pytest.mark.parametrize("pinned", sorted(FORMATS))
def test_only_what_a_pinned_format_does_not_fit_is_said_to_be_in_another(tmp_path: Path, pinned: str) -> None:
    damaged: dict[str, Any] = {"messages": 3, "conversations": [{}], "prompt": "p", "chosen": [3], "rejected": "r"}
    record = {**damaged, "instruction": {}, "output": {}, "completion": {}, "response": {}, "input": {}}
    (tmp_path / "rows.jsonl").write_text(json.dumps(record) + "\n")
    for found in read(tmp_path, format=pinned):
        assert isinstance(found, Rejection)
        assert (found.reason == "other-format") == (not FORMATS[pinned].fits(record))


def test_a_join_puts_the_other_files_record_under_its_key(tmp_path: Path) -> None:
    (tmp_path / "more.jsonl").write_text('{"id": "a", "text": "joined"}\n')
    (tmp_path / "rows.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n')
    body = "return {'messages': [{'role': 'user', 'content': record['other']['text']}]}"
    joined, missing = read(
        tmp_path, adapter=adapter(tmp_path, body), join={"other": {"path": "more.jsonl", "on": "id"}}
    )
    assert isinstance(joined, RowRef)
    assert joined.row.messages[0].text == "joined"
    assert isinstance(missing, Rejection)
    assert (missing.reason, missing.id) == ("join-missing", "b")


@pytest.mark.parametrize("text", ['{"id": "a"', '{"key": 1}', '{"id": 1}\n{"id": 1}'])
def test_a_joined_file_that_cannot_be_trusted_ends_the_job(tmp_path: Path, text: str) -> None:
    (tmp_path / "more.jsonl").write_text(text)
    (tmp_path / "rows.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(DataError, match=r"more\.jsonl:\d"):
        read(tmp_path, join={"other": {"path": "more.jsonl"}})


def test_a_json_array_is_read_element_by_element_with_lines_and_offsets(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b'\n [ {"a": 1},\n\n  {"b":\n 2},  {"a": 1} ]')
    records = list(read_records(path))
    assert [record.raw for record in records] == [b'{"a": 1}', b'{"b":\n 2}', b'{"a": 1}']
    assert [record.number for record in records] == [2, 4, 5]
    data = path.read_bytes()
    assert all(data[record.offset :].startswith(record.raw) for record in records)


def test_a_damaged_array_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"a": 1}, {"b"')
    with pytest.raises(DataError, match=r"rows\.json"):
        list(read_records(tmp_path / "rows.json"))


def test_globs_and_folders_name_their_files_as_the_recipe_does(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("b.jsonl", "a.jsonl", "notes.txt"):
        (tmp_path / "data" / name).write_text("{}\n")
    assert [found.shown for found in find_inputs("data/*.jsonl", tmp_path)] == ["data/a.jsonl", "data/b.jsonl"]
    assert [found.shown for found in find_inputs("data/", tmp_path)] == ["data/a.jsonl", "data/b.jsonl"]
    assert find_inputs(f"{tmp_path}/data/[a].jsonl", Path("/"))[0].path == tmp_path / "data" / "a.jsonl"
    with pytest.raises(DataError, match=r"\*\.parquet"):
        find_inputs("data/*.parquet", tmp_path)


ROWS = [{"prompt": f"q{n}", "completion": 'a, "b"\nc', "n": n} for n in range(5000)]


def write_rows(path: Path) -> None:
    import bz2
    import gzip
    import lzma

    import polars as pl
    import zstandard

    text = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    half = text.index(b"\n", len(text) // 2) + 1
    writers = {
        ".jsonl": lambda: path.write_bytes(text),
        ".json": lambda: path.write_text(json.dumps(ROWS)),
        ".gz": lambda: path.write_bytes(gzip.compress(text[:half]) + gzip.compress(text[half:])),
        ".zst": lambda: path.write_bytes(zstandard.compress(text[:half]) + zstandard.compress(text[half:])),
        ".parquet": lambda: pl.DataFrame(ROWS).write_parquet(path),
        ".bz2": lambda: path.write_bytes(bz2.compress(text[:half]) + bz2.compress(text[half:])),
        ".xz": lambda: path.write_bytes(lzma.compress(text[:half]) + lzma.compress(text[half:])),
        ".arrow": lambda: pl.DataFrame(ROWS).write_ipc_stream(path),
        ".feather": lambda: pl.DataFrame(ROWS).write_ipc(path),
        ".csv": lambda: pl.DataFrame(ROWS).write_csv(path),
        ".tsv": lambda: pl.DataFrame(ROWS).write_csv(path, separator="\t"),
    }
    writers[path.suffix]()


@pytest.mark.parametrize(
    "name",
    [
        *("rows.jsonl", "rows.jsonl.gz", "rows.jsonl.zst", "rows.jsonl.bz2", "rows.jsonl.xz", "rows.json"),
        *("rows.parquet", "rows.arrow", "rows.feather", "rows.csv", "rows.tsv"),
    ],
)
def test_every_kind_of_file_holds_the_same_rows(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / name)
    items = read(tmp_path, path=name)
    rows = [item for item in items if isinstance(item, RowRef)]
    assert len(rows) == len(items) == len(ROWS)
    assert [found.row.messages[0].text for found in rows] == [row["prompt"] for row in ROWS]
    assert {found.row.messages[1].text for found in rows} == {'a, "b"\nc'}
    assert [str(found.row.meta["n"]) for found in rows] == [str(row["n"]) for row in ROWS]
    assert len({found.place.offset for found in rows}) == len(ROWS)
    lines = [found.place.line for found in rows]
    assert lines == sorted(lines)
    if name in {"rows.csv", "rows.jsonl", "rows.json"}:
        data = (tmp_path / name).read_bytes()
        assert all(data[found.place.offset :].startswith(found.raw) for found in rows)
    if name == "rows.csv":
        assert lines[:3] == [2, 4, 6]  # each record takes two lines


def test_a_packed_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    for name in ("rows.jsonl.gz", "rows.jsonl.zst", "rows.jsonl.bz2", "rows.jsonl.xz", "rows.parquet", "rows.arrow"):
        write_rows(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 3 // 4])
        with pytest.raises(DataError, match=name):
            read(tmp_path, path=name)


def test_standard_input_is_read_like_a_file(tmp_path: Path, run_cli: Run) -> None:
    recipe = write_recipe(tmp_path, [], {"sources": [{"name": "piped", "path": "-"}], "dedup": None})
    lines = "".join(json.dumps(row) + "\n" for row in ROWS[:20])
    result = run_cli("curate", "build", recipe, "--json", input=lines)
    assert result.returncode == 0, result.stderr
    (described,) = json.loads(result.stdout)["manifest"]["inputs"]
    assert (described["path"], described["lines"], described["format"]) == ("-", 20, "prompt-completion")
    assert "piped: read as prompt-completion; pin it with `format: prompt-completion`" in result.stderr


def test_a_row_that_needs_nothing_keeps_its_bytes(tmp_path: Path) -> None:
    whole = (
        b'{ "source": "s", "messages":[{"content":"q","role":"user"},{"role":"assistant","content":"a"}], "id":"x" }'
    )
    needs = {
        "an id": whole.replace(b', "id":"x"', b""),
        "its source": whole.replace(b'"source": "s", ', b""),
        "an unknown key in meta": whole.replace(b'"id"', b'"stars": 5, "id"'),
        "a message's unknown key in meta": whole.replace(b'"content":"q"', b'"content":"q", "seen": 1'),
    }
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join([whole, *needs.values()]))
    first, *others = [item for item in read(tmp_path) if isinstance(item, RowRef)]
    assert first.line == whole
    assert msgspec.json.decode(first.line, type=Row) == first.row
    for found in others:
        assert found.line == encode_row(found.row)
    assert others[2].row.meta == {"stars": 5}
    assert others[3].row.meta == {"message_extras": {"0": {"seen": 1}}}
    synthetic = read(tmp_path, origin="synthetic")[0]
    assert isinstance(synthetic, RowRef)
    assert synthetic.row.origin == "synthetic"
    assert synthetic.line == encode_row(synthetic.row)


def test_missing_files_and_functions_are_told_before_anything_is_read(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    with pytest.raises(DataError, match=r"made\.jsonl"):
        find_files(context)
    (tmp_path / "made.jsonl").write_text("{}\n")
    assert [file.kind for file in find_files(context)] == ["source"]
    missing = make_context(tmp_path, sources=[{"name": "s", "path": "made.jsonl", "adapter": "no.py:f"}])
    with pytest.raises(ConfigError, match=r"no\.py"):
        find_files(missing)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n \n")
    with pytest.raises(DataError, match="no records"):
        read(tmp_path)


def test_a_format_that_takes_a_key_for_granted_loses_a_record_and_not_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Format("asked", "ask, reply", lambda record: "ask" in record, lambda record: {"messages": record["reply"]})
    monkeypatch.setattr("curate.core.sources.row_readers.FORMATS", {**FORMATS, "chat": asked})
    (tmp_path / "a.jsonl").write_text('{"ask": 1}\n')
    source = Source(name="s", path="a.jsonl", format="chat")
    [found] = read_source(source, find_inputs("a.jsonl", tmp_path), tmp_path)
    assert isinstance(found, Rejection)
    assert "reply is missing" in found.detail
