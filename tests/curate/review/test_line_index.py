"""Lines of files by number: found fast, read one at a time, damaged ones shown as such."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import DataError
from curate.core.files import read_lines
from curate.core.review.decisions import Key
from curate.review import line_index as lines
from curate.review.line_index import LineIndex
from curate.review.rejected_deck import PairDeck, RejectedDeck
from curate.review.rows_deck import RowDeck, open_rows, row_kind
from curate.table.rejections import Because, Rejection, encode_rejection
from tests.curate.core.review.decks import make_deck, make_session, record, write_rows


@given(
    st.lists(st.sampled_from([b"", b"\r", b"a", b"{}", b"x" * 20, b"b\r", "\u00e9".encode()])),
    st.booleans(),
    st.booleans(),
)
def test_the_lines_are_those_that_reading_finds(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], ends: bool, mark: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + b"\n".join(parts) + (b"\n" if ends else b""))
    index = LineIndex([path])
    expected = [(line.number, line.raw) for line in read_lines(path)]
    assert [(int(index.place(at).partition(":")[2]), index.read(at)) for at in range(len(index))] == expected
    assert all(index.at(index.place(at)) == at for at in range(len(index)))


def test_chunks_meet_within_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 7)
    path = write_rows(tmp_path / "a.jsonl", [{"n": n} for n in range(50)])
    index = LineIndex([path])
    assert [json.loads(index.read(at))["n"] for at in range(len(index))] == list(range(50))


def test_two_files_are_one_deck(tmp_path: Path) -> None:
    paths = [write_rows(tmp_path / f"{name}.jsonl", [record(n)]) for n, name in enumerate(("train", "val"))]
    deck = RowDeck(paths)
    assert [deck.key(at).place for at in range(2)] == ["train.jsonl:1", "val.jsonl:1"]
    assert deck.find([deck.key(1), Key("r1", "sha256:other", "val.jsonl:1")]) == {deck.key(1): 1}


def test_a_row_that_stands_elsewhere_now_is_found(tmp_path: Path) -> None:
    deck = make_deck(tmp_path)
    key = deck.key(5)
    rows = [record(7, label="cancel"), record(5, label="cancel")]
    again = RowDeck([write_rows(tmp_path / "rows.jsonl", rows)])
    assert again.find([key]) == {key: 1}


def test_damaged_lines_are_shown_and_can_be_decided(tmp_path: Path) -> None:
    rows = [record(0), b'{"id": "x", "messages": [}', b"\xff\xfe latin", b"[1]", record(4)]
    deck = RowDeck([write_rows(tmp_path / "rows.jsonl", rows)])
    session = make_session(deck, [])
    faults = [deck.item(at).blocks[0].title for at in (1, 2, 3)]
    assert faults == [f"this line is no row: {reason}" for reason in ("not-json", "not-utf-8", "not-an-object")]
    for _ in range(5):
        session.decide(deck.kind.choices[1])
    assert session.left == 0
    session.go_to(1)
    assert session.edit(deck.row(0)) == ["this item can't be edited"]  # type: ignore[arg-type]  # row 0 is one


def test_a_damaged_rejection_hides_no_pair(tmp_path: Path) -> None:
    gone = Rejection(
        id="r1", path="a.jsonl", line=2, offset=90, stage="near", reason="near-duplicate", detail="",
        because_of=Because("r0", 0.9), raw=json.dumps(record(1)),
    )  # fmt: skip
    (tmp_path / "rejected.jsonl").write_bytes(encode_rejection(gone) + b'\n{"id": \n')
    assert RejectedDeck(tmp_path).field(1, "reason") == "not-a-rejection"
    deck = PairDeck(tmp_path)
    assert [deck.key(at).item for at in range(len(deck))] == ["r1 ~ r0"]


def test_a_line_that_is_too_long_is_not_read_whole(tmp_path: Path) -> None:
    rows = [record(0), b'{"id": "' + b"x" * (17 << 20) + b'"}']
    deck = RowDeck([write_rows(tmp_path / "rows.jsonl", rows)])
    assert "line-too-long" in deck.item(1).blocks[0].title
    assert deck.heading(1) == "(not a row: line-too-long)"


def test_rows_in_other_formats(tmp_path: Path) -> None:
    rows = [{"instruction": "Say hi.", "input": "", "output": "hi"}]
    deck = open_rows(write_rows(tmp_path / "alpaca.jsonl", rows), row_kind())
    assert deck.heading(0) == "Say hi."
    assert [block.role for block in deck.item(0).blocks] == ["user", "assistant"]
    assert deck.find([deck.key(0)]) == {deck.key(0): 0}


def test_what_cannot_be_opened_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_rows(tmp_path / "none", row_kind())
    with pytest.raises(DataError, match="no dataset"):
        open_rows(tmp_path, row_kind())
    (tmp_path / "rows.csv").write_text("prompt,completion\na,b\n")
    with pytest.raises(DataError, match="only JSON lines"):
        open_rows(tmp_path / "rows.csv", row_kind())
    assert len(open_rows(write_rows(tmp_path / "empty.jsonl", []), row_kind())) == 0
