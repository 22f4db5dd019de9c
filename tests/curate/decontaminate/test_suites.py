"""Items from files of every shape, and what can't be read is said."""

import json
from pathlib import Path

import pytest

from curate.core.errors import DataError
from curate.core.text.leaks.items import Suite, suite_of_rows
from curate.core.text.leaks.settings import Against
from curate.decontaminate.suites import read_suites
from tests.curate.row_makers import chat, make_row


def read(folder: Path, content: str, file: str = "exam.jsonl", **more: str) -> Suite:
    (folder / file).write_text(content)
    return read_suites([Against.model_validate({"path": file, **more})], folder)[0]


@pytest.mark.parametrize(
    ("record", "question", "answer"),
    [
        (chat("why?", "so"), "why?", "so"),
        ({"question": "why?", "answer": "so"}, "why?", "so"),
        ({"instruction": "Add.", "input": "1 2", "output": "3"}, "Add.\n1 2", "3"),
        ({"prompt": "why?", "completion": "so"}, "why?", "so"),
        ({"prompt": [{"role": "user", "content": "why?"}]}, "why?", ""),
        ("why?", "why?", ""),
    ],
)
def test_common_shapes_need_no_mapping(tmp_path: Path, record: object, question: str, answer: str) -> None:
    (item,) = read(tmp_path, json.dumps(record)).items
    assert (item.suite, item.id, item.question, item.answer) == ("exam.jsonl", "1", question, answer)


def test_a_mapping_reads_any_json(tmp_path: Path) -> None:
    content = json.dumps({"data": {"test": [["hello", "greet"], {"bad": 1}, ["bye", "part"]]}})
    suite = read(tmp_path, content, "data.json", at="data.test", question="0", answer="1", name="small")
    assert [(i.suite, i.id, i.question, i.answer) for i in suite.items] == [
        ("small", "1", "hello", "greet"),
        ("small", "3", "bye", "part"),
    ]
    assert suite.unreadable == ["data.json:2: nothing at '0'"]


def test_plain_text_is_an_item_a_line(tmp_path: Path) -> None:
    assert [item.question for item in read(tmp_path, "one\n\ntwo\n", "exam.txt").items] == ["one", "two"]


def test_a_damaged_line_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    suite = read(tmp_path, '{"question": "a", "id": "q7"}\n{"question": \n{"question": " "}\n{"x": 1}\n')
    assert [item.id for item in suite.items] == ["q7"]
    assert [line.split(": ")[0] for line in suite.unreadable] == ["exam.jsonl:2", "exam.jsonl:3", "exam.jsonl:4"]
    assert list(suite.files) == ["exam.jsonl"]


@pytest.mark.parametrize(
    ("content", "more"), [("", {}), ('{"x": 1}', {}), ('{"a": {"b": 3}}', {"at": "a.b"}), ("{}", {"at": "no"})]
)
def test_a_suite_without_items_is_an_error(tmp_path: Path, content: str, more: dict[str, str]) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, "exam.json", **more)
    assert caught.value.fix


def test_rows_make_a_suite() -> None:
    (item,) = suite_of_rows("held out", [make_row("why?", "so", id="r1")]).items
    assert (item.suite, item.id, item.question, item.answer) == ("held out", "r1", "why?", "so")
