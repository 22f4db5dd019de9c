"""`at`: records that stand within a line or a file, each with its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.sources.record import Record
from curate.core.sources.records import find_inputs
from curate.core.sources.records_within import records_within
from curate.core.sources.source import Source
from curate.table.rejections import Rejection
from curate.table.selection import RowRef
from tests.curate.core.rows.formats.test_formats import json_values
from tests.curate.row_makers import read_source

pytestmark = pytest.mark.usefixtures("each_way_to_read")
PAIRS = [{"question": f"Where is hut {number}?", "answer": "North."} for number in range(3)]


def read(folder: Path, text: str, at: str, name: str = "rows.json", **settings: Any) -> list[RowRef | Rejection]:
    (folder / name).write_text(text)
    source = Source.model_validate({"name": "s", "path": name, "at": at, **settings})
    return read_source(source, find_inputs(name, folder), folder)


def prompts(found: list[RowRef | Rejection]) -> list[str]:
    assert all(isinstance(each, RowRef) for each in found), found
    return [each.row.messages[0].text for each in found if isinstance(each, RowRef)]


ASKED = [pair["question"] for pair in PAIRS]


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ({"data": PAIRS, "version": "1"}, "data"),
        ({"data": PAIRS}, "data.*"),
        ({"data": {"train": PAIRS, "test": PAIRS[:1]}}, "data.train"),
        ({"parts": [{"rows": PAIRS[:2]}, {"rows": PAIRS[2:]}]}, "parts.*.rows"),
        ({"parts": [{"rows": PAIRS}, {"rows": []}]}, "parts.0.rows"),
        ({f"{number}.json": pair for number, pair in enumerate(PAIRS)}, "*"),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_records_within_one_object_are_rows(tmp_path: Path, value: object, at: str, indent: int | None) -> None:
    assert prompts(read(tmp_path, json.dumps(value, indent=indent), at)) == ASKED


def test_each_record_has_its_own_line_and_text(tmp_path: Path) -> None:
    text = json.dumps({"data": [*PAIRS, {"other": 1}]}, indent=1)
    found = read(tmp_path, text, "data")
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if line == "  {"]
    assert [each.place.line if isinstance(each, RowRef) else each.line for each in found] == lines
    last = found[-1]
    assert isinstance(last, Rejection)
    assert json.loads(last.raw) == {"other": 1}
    assert text.encode()[last.offset :].startswith(b"{")


def test_a_line_may_hold_several_records_or_none(tmp_path: Path) -> None:
    lines = [{"rows": PAIRS[:2]}, {"rows": []}, {"rest": 1}, {"rows": PAIRS[2:]}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    found = read(tmp_path, text + "{\n", "rows", "rows.jsonl")
    assert prompts([each for each in found if isinstance(each, RowRef)]) == ASKED
    unread = [(each.line, each.reason) for each in found if isinstance(each, Rejection)]
    assert unread == [(2, "nothing-within"), (3, "nothing-within"), (5, "not-json")]


def test_a_record_knows_what_stands_around_it_and_its_name(tmp_path: Path) -> None:
    passage = {"context": "A hut in the hills.", "id": 7, "qas": [{"id": "q1", **PAIRS[0]}, {"id": "q2", **PAIRS[1]}]}
    text = json.dumps({"version": 2, "data": [{"title": "Huts", "paragraphs": [passage]}]})
    first, second = read(tmp_path, text, "data.*.paragraphs.*.qas")
    assert isinstance(first, RowRef)
    assert isinstance(second, RowRef)
    assert first.row.messages[0].text == f"A hut in the hills.\n\n{ASKED[0]}"
    assert (first.row.id, second.row.id) == ("q1", "q2")
    assert first.row.meta == {"title": "Huts", "version": 2}


def test_the_name_of_a_record_becomes_its_id(tmp_path: Path) -> None:
    found = read(tmp_path, json.dumps({"x": PAIRS[0], "y": {**PAIRS[1], "id": "own"}}), "*")
    assert [each.row.id for each in found if isinstance(each, RowRef)] == ["x", "own"]


def test_a_list_of_conversations_is_read_as_chat(tmp_path: Path) -> None:
    talk = [[{"role": "user", "content": text}, {"role": "assistant", "content": "a"}] for text in ASKED]
    assert prompts(read(tmp_path, json.dumps({"talks": talk}), "talks")) == ASKED


@pytest.mark.parametrize("at", ["", ".", "a..b", "a."])
def test_a_path_that_is_none_is_refused(at: str) -> None:
    with pytest.raises(ValueError, match="no dotted path"):
        Source.model_validate({"name": "s", "path": "p", "at": at})


@settings(max_examples=40)
@given(json_values, st.lists(st.sampled_from(["*", "a", "0", "1"]), min_size=1, max_size=3), st.sampled_from([None, 1]))
def test_any_value_has_records_within_or_says_that_it_has_none(value: Any, path: list[str], indent: int | None) -> None:
    raw = json.dumps(value, indent=indent).encode()
    found = [*records_within(Record(5, 100, raw), ".".join(path))]
    assert found
    for each in found:
        assert 5 <= each.number <= 5 + raw.count(b"\n")
        assert each.fault is None or (each.fault[0], each.raw, len(found)) == ("nothing-within", raw, 1)
        json.loads(each.raw)
