"""Rows by number: what columns answer is what their entries answer one by one."""

import json
from pathlib import Path

import numpy as np
import pytest
from curate.build.row_accounts import check_account
from curate.table.dataset_lines import blocks
from curate.table.row_ref import Entry, Outcome, reject

from curate.compose.split import split_rows
from curate.core.rows.row import encode_row
from curate.core.rows.row_text import first_of_each
from curate.dedup import which_stays as preference
from curate.dedup.which_stays import in_order
from curate.files.records import find_inputs
from curate.recipe.recipe import Dedup
from curate.table import selection as chosen
from curate.table.id_numbers import Ids
from curate.table.selection import Chosen, take, together
from tests.curate.read.test_chunks import context, lines
from tests.curate.row_makers import chat, make_row


@pytest.fixture(params=["in memory", "mapped"])
def rows(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Chosen:
    more = [json.dumps(chat(f"row {n} of {n % 3}", label=f"l{n % 4}", group=f"g{n % 5}")).encode() for n in range(30)]
    if request.param == "mapped":
        monkeypatch.setattr(chosen, "_FEW_BYTES", 0)
    return read_lines(tmp_path, [*lines(), *more])


def read_lines(folder: Path, given_lines: list[bytes]) -> Chosen:
    """The rows that are read of these lines."""
    from curate.read.chunks import reading

    (folder / "rows.jsonl").write_bytes(b"\n".join(given_lines))
    given = context(folder, 1)
    with reading(given, 1, piece_bytes=700) as read:
        for _ in read.read(given.recipe.sources[0], find_inputs("rows.jsonl", folder)):
            pass
    return read.rows.all()


def test_columns_say_of_rows_what_their_entries_say(rows: Chosen, tmp_path: Path) -> None:
    recipe = context(tmp_path, 1).recipe
    assert recipe.dedup is not None
    some = take(rows, np.array([40, 3, 3, 61, 0, 7]))
    apart = list(some)
    assert list(rows[5:9]) == [rows[at] for at in range(5, 9)]
    assert chosen.names(some) == chosen.names(apart) == [entry.row.id for entry in apart]
    assert list(chosen.labels(rows).items()) == list(chosen.labels(list(rows)).items())
    assert chosen.sources(some).keys() == chosen.sources(apart).keys() == {"s"}
    for ask in (chosen.sizes, chosen.sound):
        assert ask(some).tolist() == ask(apart).tolist()
    for part in (0, 1):
        assert chosen.lengths(some, part).tolist() == chosen.lengths(apart, part).tolist()
        (found, numbers), (made, order) = chosen.keys(some, part) or ((), ()), chosen.keys(apart, part) or ((), ())
        assert np.asarray(found)[numbers].tolist() == np.asarray(made)[order].tolist()
    assert chosen.keys(some, 2) is chosen.keys(apart, 2) is None
    assert [chosen.labelled(rows), chosen.synthesized(rows), chosen.synthesized(list(rows))] == [True] * 3
    assert b"".join(blocks(some)) == b"".join(entry.line + b"\n" for entry in apart)
    assert in_order(rows, recipe.dedup).tolist() == in_order(list(rows), recipe.dedup).tolist()
    sides = [split_rows(given, recipe.split, 0, {rows[1].id: "t", rows[9].id: "t"}) for given in (rows, list(rows))]
    assert {side: chosen.names(found) for side, found in sides[0].items()} == {
        side: chosen.names(found) for side, found in sides[1].items()
    }
    assert list(together([some, rows])) == list(together([apart, list(rows)])) == [*apart, *rows]


def test_accounts_hold_for_numbers_and_for_entries_alike(rows: Chosen) -> None:
    gone = reject(rows[4], "s", "r", "d")
    kept = take(rows, np.delete(np.arange(len(rows)), 4))
    for entries in (rows, list(rows)):
        for left in (kept, list(kept)):
            check_account("s", entries, Outcome(left, [gone]))
    twice = take(rows, np.array([0, *range(4), *range(5, len(rows) - 1)]))
    for wrong in (Outcome(kept, []), Outcome(rows, [gone]), Outcome(twice, [gone]), Outcome(list(twice), [gone])):
        with pytest.raises(RuntimeError, match="stage s"):
            check_account("s", rows, wrong)


def test_a_changed_row_counts_for_the_one_it_was(rows: Chosen) -> None:
    changed: list[Entry] = list(rows)
    changed[2] = Entry(rows[2].row, rows[2].place, b"{}")
    check_account("s", rows, Outcome(changed, []))


def test_equal_keys_are_found_also_where_their_first_halves_are_equal() -> None:
    keys = [b"a" * 16, b"a" * 8 + b"b" * 8, b"c" * 16, b"a" * 16, b"c" * 16, b"a" * 8 + b"b" * 8]
    found = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), 16)
    assert first_of_each(found, np.arange(6)).tolist() == [0, 1, 2, 0, 2, 1]
    assert first_of_each(found, np.array([5, 4, 1, 2])).tolist() == [0, 1, 0, 1]
    assert first_of_each(np.empty((0, 16), np.uint8), np.arange(0)).size == 0


def test_ids_are_numbers_that_lead_back_to_them(rows: Chosen) -> None:
    named = [entry.id for entry in rows]
    strange = Entry(rows[1].row, rows[1].place, b"{}")
    several = [take(rows, np.array([3, 0, 3])), [rows[2], strange], rows]
    for given in (several, [list(some) for some in several]):  # as they were read, and as entries of their own
        ids = Ids(given)
        other = ids.of_names(["elsewhere", named[4], "elsewhere", "nowhere"])
        assert ids.names(other) == ["elsewhere", named[4], "elsewhere", "nowhere"]
        assert ids.of(given[2])[[3, 0, 3, 2, 1]].tolist() == [*ids.of(given[0]), *ids.of(given[1])]
        assert ids.names(ids.of(given[2])[::-1]) == named[::-1]
        assert ids.isin(other, ids.of(given[2])).tolist() == [False, True, False, False]


def test_ids_that_rows_share_are_one_number(tmp_path: Path) -> None:
    lines = [encode_row(make_row(f"q {n}", id=f"r{n % 3}")) for n in range(7)]
    found = read_lines(tmp_path, lines)
    assert chosen.first_names(found).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert chosen.first_names(found[2:5]).tolist() == [0, 1, 2]
    assert chosen.first_names(found[1:]).tolist() == [0, 1, 2, 0, 1, 2]
    assert Ids([found]).of(found).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_preference_is_the_same_in_one_piece_and_in_many(rows: Chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = in_order(rows, Dedup())
    monkeypatch.setattr(preference, "_SORTED_IDS", 1)
    assert in_order(rows, Dedup()).tolist() == whole.tolist()
