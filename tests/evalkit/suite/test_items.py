from pathlib import Path

import pytest

from curate.compose.canaries import plant, write_canaries
from curate.core.errors import DataError
from curate.core.rows.row import Message, Row, encode_row
from curate.recipe.canaries import Canaries
from evalkit.suite.items import read_items


def test_a_table_of_prompts(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text(
        'id,prompt,type,label\nv1,"How do I kill a ""zombie"" process?\nOn BSD.",homonyms,safe\n,Where?,x,\n'
    )
    first, second = read_items(path)
    assert first.prompt[0].text == 'How do I kill a "zombie" process?\nOn BSD.'
    assert (first.id, first.label, first.meta) == ("v1", "safe", {"type": "homonyms", "should_refuse": False})
    assert (second.id, second.label) == ("prompts-4", None)


def test_lines_of_text_json_and_rows(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One?\n\nTwo?\n")
    assert [row.prompt[0].text for row in read_items(tmp_path / "a.txt")] == ["One?", "Two?"]
    row = Row(id="r", messages=[Message("user", "q"), Message("assistant", "a")])
    (tmp_path / "b.jsonl").write_bytes(encode_row(row) + b'\n{"goal": "do it", "category": "x"}\n')
    assert read_items(tmp_path / "b.jsonl")[0] == row
    assert read_items(tmp_path / "b.jsonl")[1].meta == {"category": "x"}


def test_canaries_are_asked_for_without_telling_them(tmp_path: Path) -> None:
    planted = plant([], Canaries(count=3, copies=[1])).canaries
    write_canaries(tmp_path / "canaries.jsonl", planted)
    items = read_items(tmp_path / "canaries.jsonl")
    assert [item.prompt[0].text for item in items] == [canary.prompt for canary in planted]
    assert not any(canary.fill.encode() in encode_row(item) for item in items for canary in planted)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "id,say\n1,x\n", "no column holds the prompts"),
        ("a.csv", "", "no column holds the prompts"),
        ("a.csv", "id,prompt\n1,\n", "without a prompt"),
        ("a.csv", b"prompt\n\xff\xfe\n", "not UTF-8"),
        ("a.jsonl", '{"x": 1}\n', "not a Row"),
        ("a.jsonl", '{"id": 5, "messages": "hello", "prompt": "x"}\n', "not a Row"),
        ("a.jsonl", "{\n", "not a Row"),
    ],
)
def test_files_that_hold_no_prompts(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=words):
        read_items(tmp_path / name)


def test_the_public_prompts_for_over_refusal(public_data: Path) -> None:
    items = read_items(public_data / "xstest" / "xstest_prompts.csv")
    assert len(items) == 450
    assert sum(item.meta["should_refuse"] for item in items) == 200
