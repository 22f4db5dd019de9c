"""Rows by number: what columns answer is what the rows answer one by one."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.build.run_stages import check_account
from curate.build.stages import all_makers
from curate.compose.split import split_rows
from curate.core.rows.row import Row, encode_row
from curate.core.rows.row_keys import make_keys
from curate.core.rows.row_text import chosen_text, first_of_each, text_key, text_lengths
from curate.core.sources.records import find_inputs
from curate.dedup import which_stays
from curate.dedup.near import ComparedKeys
from curate.dedup.which_stays import in_order, ranking
from curate.read.chunks import reading
from curate.recipe.recipe import Dedup, Split
from curate.table import row_table, selection
from curate.table.id_numbers import IdNumbers
from curate.table.rejections import Block, LooseRecords, Rejections, Rule
from curate.table.row_table import Place
from curate.table.selection import RowSelection
from curate.table.stage import StageResult
from curate.validate.stage import Soundness, make_rules
from tests.curate.read.test_chunks import context, lines
from tests.curate.row_makers import chat, make_row, select


@pytest.fixture(params=["in memory, row by row", "mapped, by machine code"])
def rows(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RowSelection:
    more = [json.dumps(chat(f"row {n} of {n % 3}", label=f"l{n % 4}", group=f"g{n % 5}")).encode() for n in range(30)]
    if request.param.startswith("mapped"):
        monkeypatch.setattr(row_table, "_FEW_BYTES", 0)
        return read_lines(tmp_path, [*lines(), *more], fast_bytes=0)
    return read_lines(tmp_path, [*lines(), *more])


def read_lines(folder: Path, given_lines: list[bytes], fast_bytes: int = 1 << 50) -> RowSelection:
    """The rows that are read of these lines."""
    (folder / "rows.jsonl").write_bytes(b"\n".join(given_lines))
    given = context(folder, 1)
    with reading(given, all_makers(given), 1, chunk_bytes=700, fast_bytes=fast_bytes) as read:
        for _ in read.read(given.recipe.sources[0], find_inputs("rows.jsonl", folder)):
            pass
    return RowSelection.all_of(read.table)


def test_columns_say_of_rows_what_the_rows_say(rows: RowSelection, monkeypatch: pytest.MonkeyPatch) -> None:
    some = rows.take([40, 3, 3, 61, 0, 7])
    apart = list(some)
    made = list(some.rows)
    assert made == [one.row for one in apart] == [some.rows[at] for at in range(6)] == [*some.rows[:4], *some.rows[4:]]
    assert some.ids() == [one.id for one in apart] == [row.id for row in made]
    assert [one.number for one in rows[5:9]] == [rows[at].number for at in range(5, 9)]
    assert some.sizes().tolist() == [len(one.raw) for one in apart] == list(map(len, some.raws()))
    assert some.column("row_key").tobytes() == b"".join(make_keys(row)[:16] for row in made)
    assert some.column("prompt_key").tobytes() == b"".join(make_keys(row)[16:] for row in made)
    assert some.column("lengths").tolist() == list(map(list, map(text_lengths, made)))
    assert some.column("is_made").tolist() == ["synthetic" in row.meta for row in made]
    checks, folder = context(Path(), 1).recipe.checks, Path()
    assert rows.table.has(Soundness(checks, folder)) is False  # of another folder: it is made now
    sound = [all(rule(row) is None for rule in make_rules(checks, folder)) for row in rows.rows]
    assert rows.values(Soundness(checks, folder)).tolist() == rows.column("is_sound").tolist() == sound
    for on in ("answer", "conversation"):
        assert some.values(ComparedKeys(on)).tobytes() == b"".join(text_key(chosen_text(row, on)) for row in made)
    paths, of, line = some.places()
    assert [paths[at] for at in of] == [one.place.path for one in apart] == ["rows.jsonl"] * 6
    assert line.tolist() == [one.place.line for one in apart]
    assert some.offsets().tolist() == [one.place.offset for one in apart]
    written = b"".join(one.line + b"\n" for one in apart)
    assert b"".join(some.blocks()) == written
    monkeypatch.setattr(selection, "_BLOCK_BYTES", 1)
    assert list(some.blocks()) == [one.line + b"\n" for one in apart]


def test_labels_and_sources_are_those_of_the_rows(rows: RowSelection) -> None:
    elsewhere = rows.table.append_rows(
        [make_row("p", label="calls"), make_row("q", label="")], own_record=True, place=Place("t", "t.jsonl", 3, 5)
    )
    both = RowSelection(rows.table, elsewhere[:1]).followed_by(rows, RowSelection(rows.table, elsewhere[1:]))
    labels = Counter([row.label or "(none)" for row in both.rows])
    assert list(both.labels().items()) == list(labels.items())
    last = len(both) - 1
    found = {name: at.tolist() for name, at in both.by_source().items()}
    assert found == {"s": list(range(1, last)), "t": [0, last]}
    assert list(both[1:].by_source()) == list(both[:-1].by_source()) == ["s", "t"]
    assert list(rows.by_source()) == ["s"]
    assert [rows.is_labelled, both[-1:].is_labelled, rows[:2].is_labelled] == [True, True, False]


def test_selections_are_what_lists_of_rows_would_be(rows: RowSelection) -> None:
    numbers = list(range(len(rows)))
    some = rows.take([40, 3, 61, 0])
    mask = np.array(numbers) % 7 == 2
    for found, wanted in (
        (rows.take(mask), numbers[2::7]),
        (rows.take([]), []),
        (rows.without([3, 0]), [1, 2, *numbers[4:]]),
        (rows.without([]), numbers),
        (rows[10:3:-2], [10, 8, 6, 4]),
        (some.followed_by(rows[:2], some), [40, 3, 61, 0, 0, 1, 40, 3, 61, 0]),
    ):
        assert [one.number for one in found] == wanted
        assert (len(found), found.ids()) == (len(wanted), [rows[at].id for at in wanted])
    assert some.find({rows[0].id, rows[61].id, "nobody"}).tolist() == [2, 3]
    assert some.find([]).tolist() == rows[:0].find([rows[0].id]).tolist() == []
    assert some.positions_of(np.array([0, 5, 40])).tolist() == [3, -1, 0]
    assert rows[:0].positions_of(np.array([0, 5])).tolist() == [-1, -1]
    assert rows[:5].positions_outside(some).tolist() == [1, 2, 4]


def test_order_and_split_are_those_of_the_rows_as_objects(rows: RowSelection) -> None:
    for settings in (Dedup(), Dedup(prefer=["shortest", "newest"])):
        rank = ranking(settings)
        wanted = sorted(range(len(rows)), key=lambda at: (*rank(rows[at].row), rows[at].id))
        assert in_order(rows, settings).tolist() == wanted
    apart, ties = select(list(rows.rows)), {rows[1].id: "t", rows[9].id: "t"}
    for split in (context(Path(), 1).recipe.split, Split(by="row", seed=3)):
        sides = [split_rows(given, split, 0, ties) for given in (rows, apart)]
        assert {side: found.ids() for side, found in sides[0].items()} == {
            side: found.ids() for side, found in sides[1].items()
        }
        assert sorted(name for found in sides[0].values() for name in found.ids()) == sorted(rows.ids())


def test_accounts_hold_only_where_every_row_is_kept_or_gone(rows: RowSelection) -> None:
    gone, kept = Rejections.of_rows("s", rows.take([4]), [("r", "d")]), rows.without([4])
    check_account("s", rows, StageResult(kept, gone))
    check_account("s", rows, StageResult(kept[::-1], gone))
    twice = rows.take([0, *range(4), *range(5, len(rows) - 1)])
    loose = LooseRecords(rows.table.spool, "p", [("x", 1, 0, 0, 1)])
    never = Rejections([Block("s", loose, [Rule("r")], np.zeros(1, np.uint8), ["d"])])
    (number,) = rows.table.append_rows([make_row("new")], own_record=True, place=Place("s", "p", 1, 0))
    for wrong in (
        StageResult(kept),
        StageResult(rows, gone),
        StageResult(twice, gone),
        StageResult(kept, gone + gone),
        StageResult(kept, never),
        StageResult(kept.followed_by(RowSelection(rows.table, np.array([number]))), Rejections()),
    ):
        with pytest.raises(RuntimeError, match=f"stage s: {len(rows)} rows went in"):
            check_account("s", rows, wrong)


def test_a_changed_row_counts_for_the_one_it_was(rows: RowSelection) -> None:
    changed = rows.changed([2, 7], [make_row("two"), make_row("seven")], own_record=True)
    check_account("s", rows, StageResult(changed))
    check_account("s", rows, StageResult(changed.without([7]), Rejections.of_rows("s", changed[7:8], [("r", "d")])))
    check_account("s", rows, StageResult(changed.without([7]), Rejections.of_rows("s", rows[7:8], [("r", "d")])))
    with pytest.raises(RuntimeError, match="0 rejected"):
        check_account("s", rows, StageResult(changed.followed_by(rows.take([2]))))
    with pytest.raises(RuntimeError, match="1 rejected"):
        check_account("s", rows, StageResult(changed, Rejections.of_rows("s", rows[2:3], [("r", "d")])))


def test_equal_keys_are_found_also_where_their_first_halves_are_equal() -> None:
    keys = [b"a" * 16, b"a" * 8 + b"b" * 8, b"c" * 16, b"a" * 16, b"c" * 16, b"a" * 8 + b"b" * 8]
    found = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), 16)
    assert first_of_each(found, np.arange(6)).tolist() == [0, 1, 2, 0, 2, 1]
    assert first_of_each(found, np.array([5, 4, 1, 2])).tolist() == [0, 1, 0, 1]
    assert first_of_each(np.empty((0, 16), np.uint8), np.arange(0)).size == 0


def test_ids_are_numbers_that_lead_back_to_them(rows: RowSelection) -> None:
    ids, named = IdNumbers(rows.table), rows.ids()
    other = ids.of_ids(["elsewhere", named[4], "elsewhere", "nowhere"])
    assert ids.ids(other) == ["elsewhere", named[4], "elsewhere", "nowhere"]
    assert len(set(other.tolist())) == 3
    for records in (rows, select(list(rows.rows))):  # of the table, and of another
        numbers = ids.of(records)
        assert ids.ids(numbers[::-1]) == named[::-1]
        assert numbers[[3, 0, 3]].tolist() == ids.of(records.take([3, 0, 3])).tolist()
        assert ids.isin(other, numbers).tolist() == [False, True, False, False]
    items: list[Any] = [(None, 1, 0, 0, 0), (named[4], 2, 0, 0, 0), ("nowhere", 3, 0, 0, 0)]
    assert ids.of(LooseRecords(rows.table.spool, "p", items)).tolist() == [-1, *other[[1, 3]]]
    assert ids.of_ids([]).size == 0


def test_ids_that_rows_share_are_one_number(tmp_path: Path) -> None:
    found = read_lines(tmp_path, [encode_row(make_row(f"q {n}", id=f"r{n % 3}")) for n in range(7)])
    assert found.first_with_id().tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert found[2:5].first_with_id().tolist() == [0, 1, 2]
    assert found[1:].first_with_id().tolist() == [0, 1, 2, 0, 1, 2]
    assert IdNumbers(found.table).of(found).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert IdNumbers(found.table).of_ids(["r2", "r0"]).tolist() == [2, 0]
    more = found.changed([1], [make_row("new", id="r0")], own_record=True)
    assert more.first_with_id().tolist() == [0, 0, 2, 0, 4, 2, 0]


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=3), max_size=12))
def test_any_ids_are_found_again(names: list[str]) -> None:
    table = row_table.RowTable()
    made = [Row(id=name.encode("utf-8", "replace").decode(), messages=[]) for name in names]
    rows = RowSelection.of_rows(made, "s", "p", table)
    assert rows.ids() == [one.id for one in rows] == [row.id for row in made]
    assert rows.first_with_id().tolist() == [rows.ids().index(name) for name in rows.ids()]
    for row in made:
        assert [made[at].id for at in rows.find({row.id})] == [one.id for one in made if one.id == row.id]


def test_preference_is_the_same_in_one_go_and_in_many(rows: RowSelection, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = in_order(rows, Dedup())
    monkeypatch.setattr(which_stays, "_SORTED_IDS", 1)
    assert in_order(rows, Dedup()).tolist() == whole.tolist()
