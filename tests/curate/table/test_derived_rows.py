"""Rows that stages make of others, and of those again: whose place they keep, and what they are written as."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from curate.build.run_stages import check_account
from curate.build.stages import all_makers
from curate.core.rows.row import Row, encode_row
from curate.core.rows.row_keys import make_keys
from curate.core.sources.records import find_inputs
from curate.dedup.which_stays import Ranks, ranking
from curate.read.chunks import reading
from curate.recipe.recipe import Dedup
from curate.table.rejections import Rejections
from curate.table.row_table import Place, RowTable
from curate.table.selection import RowSelection
from curate.table.stage import StageResult
from tests.curate.read.test_chunks import context
from tests.curate.row_makers import make_row, select

ROWS = [make_row(f"prompt {n}", label=f"l{n % 2}", group=f"g{n}", source="s" if n else None) for n in range(4)]


@pytest.fixture
def read(tmp_path: Path) -> RowSelection:
    """Four rows of a file: the first is written anew, since its line lacks the source, the others are as they came."""
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(encode_row, ROWS)))
    given = context(tmp_path, 1)
    with reading(given, all_makers(given), 1) as reader:
        list(reader.read(given.recipe.sources[0], find_inputs("rows.jsonl", tmp_path)))
    return RowSelection.all_of(reader.table)


@pytest.mark.parametrize("owns", itertools.product([False, True], repeat=3))
def test_what_stages_make_of_rows_keeps_their_place(read: RowSelection, owns: tuple[bool, ...]) -> None:
    """Three stages that change rows 2 and 0, each those that the one before it made."""
    rows, places, raws = read, [one.place for one in read], read.raws()
    for step, own_record in enumerate(owns):
        made = [make_row(f"{step} {n}", "ß", label=f"new {n % 2}", group=None if n else f"{step}") for n in (2, 0)]
        before, rows = rows, rows.changed([2, 0], made, own_record=own_record)
        after = {2: made[0], 0: made[1]}
        if own_record:
            raws[2], raws[0] = map(encode_row, made)
        assert [one.place for one in rows] == places
        assert [one.raw for one in rows] == rows.raws() == raws
        assert rows.sizes().tolist() == list(map(len, raws))
        for at, one in enumerate(rows):
            row = after.get(at)
            assert (one.line, one.row) == ((encode_row(row), row) if row else (read[at].line, read[at].row))
            assert (one.id, one.label, one.group) == (one.row.id, one.row.label, one.row.group)
            assert rows.column("row_key")[at].tobytes() == make_keys(one.row)[:16]
            assert rows.column("ranks")[at].tolist() == list(ranking(Dedup())(one.row))
        assert rows.table.has(Ranks(Dedup()))
        assert b"".join(rows.blocks()) == b"".join(one.line + b"\n" for one in rows)
        check_account("s", before, StageResult(rows))
        check_account("s", rows, StageResult(rows[::-1]))
        check_account("s", before, StageResult(rows[1:], Rejections.of_rows("s", rows[:1], [("r", "d")])))
        with pytest.raises(RuntimeError, match="stage s: 4 rows went in, 5 kept"):
            check_account("s", before, StageResult(rows.followed_by(rows[2:3])))
        (item,) = Rejections.of_rows("s", rows[2:3], [("r", "d")])
        assert (item.id, item.path, item.line, item.offset) == (rows[2].id, "rows.jsonl", 3, places[2].offset)
        assert item.raw == raws[2].decode()


def test_a_stage_may_change_what_it_changed(read: RowSelection) -> None:
    once = read.changed([1], [make_row("once")], own_record=False)
    check_account("s", once, StageResult(once.changed([1], [make_row("again")], own_record=True)))


def test_the_rows_of_other_selections_stay_what_they_were(read: RowSelection) -> None:
    before = list(read.rows)
    assert read.changed([], [], own_record=True) is read
    read.changed([0, 1], [make_row("x"), make_row("y")], own_record=False)
    assert list(read.rows) == before
    assert len(read) == 4


def test_rows_that_are_made_of_none_stand_where_they_are_said_to() -> None:
    table = RowTable()
    first = RowSelection.of_rows([make_row("a"), make_row("b")], "s", "p", table)
    numbers = table.append_rows([make_row("c"), make_row("d")], own_record=True, place=Place("t", "q", 7, 9))
    second = RowSelection(table, numbers)
    assert [one.place for one in first] == [Place("s", "p", 1, 0), Place("s", "p", 2, 1)]
    assert [one.place for one in second] == [Place("t", "q", 7, 9), Place("t", "q", 8, 10)]
    both = first.followed_by(second)
    assert {name: at.tolist() for name, at in both.by_source().items()} == {"s": [0, 1], "t": [2, 3]}
    assert [one.raw for one in both] == [one.line for one in both] == [encode_row(row) for row in both.rows]
    assert table.append_rows([], np.empty(0, np.int64), own_record=True).size == 0
    assert table.append_rows([], np.empty(0, np.int64), own_record=False).size == 0
    assert len(table) == 4


def test_a_row_is_another_row_only_where_it_says_something_else() -> None:
    one, other = select([make_row("a"), make_row("b")]), select([make_row("a"), make_row("c")])
    assert [one[0] == other[0], one[1] == other[1], one[0] == one[1]] == [True, False, False]
    assert one[0] != Row(id="a", messages=[])
