"""Files as people have them: whatever they are called, each record comes out, or the file is said to be none."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import DataError
from curate.core.sources.json_values import explain
from curate.core.sources.layout import Layout
from curate.core.sources.records import Input, find_inputs, is_plain_lines, passed_over, read_records, reading_notes
from curate.core.sources.source import Source

ONE, TWO = (
    {"ask": "Where is the ferry?", "reply": "At pier 4 – „hier“."},
    {"ask": "When?", "reply": "Half past, \nas ever"},
)


def read(path: Path, **layout: Any) -> list[dict[str, Any]]:
    """The records of a file; one that can't be read is its reason."""
    found = []
    for record in read_records(path, Layout(**layout)):
        if record.fault is not None:
            found.append({"fault": record.fault[0]})
        else:
            found.append(record.fields if record.fields is not None else json.loads(record.raw))
    return found


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


PRETTY = json.dumps(ONE, indent=2)
LINES = f"{json.dumps(ONE)}\n{json.dumps(TWO)}\n"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.ndjson", "rows", "rows.txt"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LINES, id="lines"),
        pytest.param("\ufeff" + LINES.replace("\n", "\r\n"), id="lines with a mark and carriage returns"),
        pytest.param(LINES.replace("\n", "\r"), id="lines that end in carriage returns alone"),
        pytest.param(json.dumps([ONE, TWO]), id="array"),
        pytest.param(json.dumps([ONE, TWO], indent=1), id="indented array"),
        pytest.param(f"{PRETTY}\n{json.dumps(TWO, indent=2)}", id="indented objects"),
        pytest.param(f"{PRETTY.replace(chr(10), '', 1)}{json.dumps(TWO)}", id="objects behind one another"),
        pytest.param(LINES.replace("\n", ",\n"), id="lines that end in commas"),
    ],
)
def test_json_is_read_as_what_it_is_and_not_as_what_it_is_called(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path, name, text)
    assert read(path) == [ONE, TWO]
    data = text.encode()
    records = list(read_records(path))
    assert all(data[record.offset :].removeprefix(b"\xef\xbb\xbf").startswith(record.raw) for record in records)
    assert is_plain_lines(path) == (text.startswith(("{", "\ufeff")) and text.count("\n") == 2 and ",\n" not in text)


def test_lines_are_counted_within_values_that_take_several(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.jsonl", '\n{\n"ask": 1\n}\n\n{"ask":\n2} {"ask": 3}\n')
    assert [record.number for record in read_records(path)] == [2, 6, 7]


def test_lists_of_messages_on_lines_are_a_record_each(tmp_path: Path) -> None:
    records = list(read_records(written(tmp_path, "rows.jsonl", '[{"role": "user"}]\n[{"role": "user"}]\n')))
    assert [record.raw for record in records] == [b'[{"role": "user"}]'] * 2


def test_a_damaged_object_among_indented_ones_is_a_fault_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.json", '{\n"ask": 1\n}\n{\n"ask": 2,,\n}\n{\n"ask": 3\n}\n')
    assert read(path) == [{"ask": 1}, {"fault": "not-json"}, {"ask": 3}]


def test_a_damaged_first_line_leaves_the_others_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.jsonl", '{"ask": "cut\n{"ask": 2}\n')
    assert [record.number for record in read_records(path)] == [1, 2]
    assert is_plain_lines(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("text", [LINES, json.dumps([ONE, TWO]), "ask,reply\nWo?,„hier“\n"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str, text: str) -> None:
    name = "rows.csv" if text.startswith("ask") else "rows.json"
    expected = read(written(tmp_path, f"utf-8-{name}", text))
    assert read(written(tmp_path, name, text.encode(encoding))) == expected
    assert read(written(tmp_path, name, text.encode(f"{encoding}-le")), encoding=f"{encoding}-le") == expected


def test_an_encoding_that_is_not_the_files_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name the file's own `encoding`"):
        read(written(tmp_path, "rows.jsonl", LINES), encoding="utf-16")
    with pytest.raises(ValueError, match="cp1252"):
        Source(name="s", path="rows.csv", encoding="windows-fantasy")


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ("{'ask': 1}", "as Python prints it"),
        ('{"ask": None}', "as Python prints it"),
        ('{"ask": 1,}', "a comma before a closing bracket"),
        ('{"ask": 1} // one', "another value follows"),
        ('{"ask": // one\n1}', "a comment"),
        ("{ask: 1}", "a key without quotation marks"),
        ('{“ask”: 1}', "typographic"),
        ('{"ask": "cut o', "in the middle"),
        ('{"ask": "one\ntwo"}', "within a text"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_called_by_its_name(tmp_path: Path, raw: str, what: str) -> None:
    assert what in (explain(raw.encode()) or "")
    if "another" not in what:
        with pytest.raises(DataError, match=what):
            read(written(tmp_path, "rows.json", f"[{raw}"))


TABLE = 'ask,reply\n"Where, exactly?","At ""pier"" 4;\nleft"\nWhen?,Half past|so\n'
ROWS = [{"ask": "Where, exactly?", "reply": 'At "pier" 4;\nleft'}, {"ask": "When?", "reply": "Half past|so"}]


def table(delimiter: str) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([ROWS[0], *(row.values() for row in ROWS)])
    return text.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "ROWS.CSV"])
def test_what_divides_fields_is_found_out(tmp_path: Path, delimiter: str, name: str) -> None:
    path = written(tmp_path, name, table(delimiter))
    assert read(path) == ROWS
    assert read(path, delimiter=delimiter) == ROWS
    assert reading_notes(Input(name, path), Layout()) == []


def test_quotes_in_a_table_of_tabs_may_be_quotes(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.tsv", 'ask\treply\n"Hello" she said\tGood day\nHow?\t"Well"\n')
    assert read(path) == [{"ask": '"Hello" she said', "reply": "Good day"}, {"ask": "How?", "reply": '"Well"'}]


@pytest.mark.parametrize("text", ["¿Qué pasó, señor?", "Straße nach Köln – „hier“", "L’été où ça coûte 5 €"])
def test_western_tables_are_read_and_said_to_be(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, "rows.csv", f'ask,reply\nWhat?,"{text}"\n'.encode("cp1252"))
    assert read(path) == [{"ask": "What?", "reply": text}]
    [note] = reading_notes(Input("rows.csv", path), Layout())
    assert "Windows-1252" in note


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1250", "Gdzie są łódź i żółw pięknie"), ("cp1251", "Где паром"), ("mac_roman", "Un café très cher"),
        ("gb18030", "渡轮在哪里"), ("shift_jis", "フェリーはどこ"), ("utf-8", "Köln \udc84"),
    ],
)  # fmt: skip
def test_other_encodings_are_never_guessed(tmp_path: Path, encoding: str, text: str) -> None:
    path = written(tmp_path, "rows.csv", f"ask,reply\nWhat?,{text}\n".encode(encoding, "surrogateescape"))
    assert read(path) == [{"fault": "not-utf-8"}]
    if encoding != "utf-8":
        assert read(path, encoding=encoding) == [{"ask": "What?", "reply": text}]


def test_a_first_line_that_looks_like_data_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", "What is a weir?,A low dam.\nWhat is a sluice?,A gate.\n")
    [note] = reading_notes(Input("rows.csv", path), Layout())
    assert '"What is a weir?" looks like data' in note
    names = Source(name="s", path="rows.csv", header=["ask", "reply"]).layout
    assert read(path, header=names.header)[0] == {"ask": "What is a weir?", "reply": "A low dam."}
    assert read(path, header=False)[1] == {"column_1": "What is a sluice?", "column_2": "A gate."}
    assert reading_notes(Input("rows.csv", path), names) == []


def test_a_sheet_of_a_workbook_is_a_table(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet, other = book.active, book.create_sheet("more")
    for row in [["ask", "n", "on"], ["When?", 4, datetime.date(2024, 2, 9)], [], ["Where?", None, None, "stray"]]:
        sheet.append(row)
    other.append(["ask"])
    other.append(["Why?"])
    book.save(path := tmp_path / "rows.xlsx")
    assert read(path) == [{"ask": "When?", "n": 4, "on": "2024-02-09T00:00:00"}, {"fault": "ragged-line"}]
    assert [record.number for record in read_records(path)] == [2, 4]
    assert read(path, sheet="more") == [{"ask": "Why?"}]
    assert "not more" in reading_notes(Input("rows.xlsx", path), Layout())[0]
    with pytest.raises(DataError, match="name one of its sheets: Sheet, more"):
        read(path, sheet="none")
    with pytest.raises(DataError, match="not an Excel workbook"):
        read(written(tmp_path, "other.xlsx", "PK no"))


def test_a_folder_that_datasets_saved_is_its_arrow_files(tmp_path: Path) -> None:
    import polars as pl

    def save(folder: Path, rows: list[dict[str, str]], **state: object) -> None:
        folder.mkdir(parents=True)
        pl.DataFrame(rows).write_ipc_stream(folder / "data-00000-of-00001.arrow")
        pl.DataFrame(rows).write_ipc_stream(folder / "cache-1.arrow")
        files = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], **state}
        written(folder, "state.json", json.dumps(files))
        written(folder, "dataset_info.json", "{}")

    save(tmp_path / "saved" / "train", [ONE])
    save(tmp_path / "saved" / "test", [TWO])
    written(tmp_path / "saved", "dataset_dict.json", '{"splits": ["train", "test"]}')
    assert [read(found.path) for found in find_inputs("saved/train", tmp_path)] == [[ONE]]
    both = find_inputs("saved", tmp_path)
    assert [read(found.path) for found in both] == [[ONE], [TWO]]
    assert both[1].shown == "saved/test/data-00000-of-00001.arrow"
    save(tmp_path / "chosen", [ONE], _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(DataError, match="flatten_indices"):
        find_inputs("chosen", tmp_path)
    (tmp_path / "saved/test/data-00000-of-00001.arrow").unlink()
    with pytest.raises(DataError, match="is missing"):
        find_inputs("saved", tmp_path)


def test_what_is_passed_over_in_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("a.jsonl", "README.md", "LICENSE", ".gitattributes", "dataset_infos.json", "decisions.jsonl"):
        written(tmp_path / "data", name, "{}\n")
    assert [found.shown for found in find_inputs("data", tmp_path)] == ["data/a.jsonl"]
    assert passed_over("data", tmp_path) is None
    written(tmp_path / "data", "notes.docx", "?")
    written(tmp_path / "data" / "deep", "b.parquet", "?")
    assert "passed over notes.docx, deep/;" in (passed_over("data", tmp_path) or "")
    (tmp_path / "data" / "a.jsonl").unlink()
    with pytest.raises(DataError, match="name data/deep"):
        find_inputs("data", tmp_path)


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"%PDF-1.7", b"SQLite format 3\x00", b"\x89PNG"])
def test_what_holds_no_rows_is_refused_by_what_it_is(tmp_path: Path, head: bytes) -> None:
    with pytest.raises(DataError, match="a file of rows was expected, and this is a"):
        read(written(tmp_path, "download", head))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=3), JSON, min_size=1, max_size=3), min_size=2, max_size=4)


@settings(max_examples=40, deadline=None)
@given(OBJECTS, st.sampled_from([None, 0, 2]), st.sampled_from(["\n", "", "\n\n", " ", ",\n"]), st.booleans())
def test_values_come_back_however_they_are_set(
    tmp_path_factory: pytest.TempPathFactory, objects: list[Any], indent: int | None, between: str, ascii_only: bool
) -> None:
    text = between.join(json.dumps(one, indent=indent, ensure_ascii=ascii_only) for one in objects)
    folder = tmp_path_factory.mktemp("made")
    assert read(written(folder, "rows.jsonl", text)) == objects
    array = json.dumps(objects, indent=indent, ensure_ascii=ascii_only)
    assert read(written(folder, "array.jsonl", array)) == objects


def test_the_line_in_which_excel_names_the_separator_is_no_header(tmp_path: Path) -> None:
    wanted = [{"ask": "When, please?", "reply": "Now; here"}]
    for mark in ("", "\ufeff"):
        path = written(tmp_path, "rows.csv", f'{mark}sep=;\r\nask;reply\r\nWhen, please?;"Now; here"\r\n')
        assert read(path) == wanted
        assert [record.number for record in read_records(path)] == [3]


def test_a_table_in_utf_16_without_a_mark_is_told_what_to_name(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", "ask,reply\nWhen?,Now\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="NUL characters") as told:
        read(path)
    assert "utf-16-le" in str(told.value)
    assert read(path, encoding="utf-16-le") == [{"ask": "When?", "reply": "Now"}]


def test_a_name_with_signs_of_a_pattern_is_a_name_where_there_is_such_a_file(tmp_path: Path) -> None:
    for name in ("rows [1]?.jsonl", "rows 12.jsonl"):
        written(tmp_path, name, LINES)
    assert [one.shown for one in find_inputs("rows [1]?.jsonl", tmp_path)] == ["rows [1]?.jsonl"]
    assert [one.shown for one in find_inputs("rows [1][2].jsonl", tmp_path)] == ["rows 12.jsonl"]
