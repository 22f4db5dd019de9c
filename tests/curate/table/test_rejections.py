"""Rejections in columns: they say what the same rejections say one by one, to whoever asks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from curate.dedup.cluster_table import repeated
from curate.table.byte_store import ByteSpool
from curate.table.id_numbers import IdNumbers
from curate.table.rejections import (
    Because,
    Block,
    Instead,
    LooseRecords,
    OtherRows,
    Rejection,
    Rejections,
    Rule,
    encode_rejection,
)
from curate.table.row_table import TextNumbers
from curate.table.selection import RowSelection
from tests.curate.row_makers import make_row, select

RULES = [Rule("near", "{similarity:.2f} of {name}"), Rule("earlier", "as {name} says {{so}}")]
BROKEN = Rejection(id=None, path="p", line=1, offset=0, stage="read", reason="not-json", detail="{no", raw="{\\xff é")
NAMED = Rejection(id="r1", path="p", line=9, offset=70, stage="read", reason="not-a-row", detail="d", raw="")


@pytest.fixture
def rows() -> RowSelection:
    return select([make_row(f"prompt {n}", id=f"r{n}") for n in range(6)])


@pytest.fixture
def repeats(rows: RowSelection) -> Rejections:
    others = OtherRows(["x", "y"], ["old", "older"])
    instead = Instead(rows.table, np.array([0, ~1, 5]), np.array([0.5, 1.0, 0.75]), others)
    return Rejections([Block("near", rows.take([4, 1, 3]), RULES, np.array([0, 1, 0], np.uint8), None, instead)])


@pytest.fixture
def unread() -> Rejections:
    spool = ByteSpool()
    spool.add(b"something else")
    items = [
        (item.id, item.line, item.offset, spool.add(raw), len(raw))
        for item, raw in ((BROKEN, b"{\xff \xc3\xa9"), (NAMED, b""))
    ]
    rules = [Rule("not-a-row"), Rule("not-json")]
    return Rejections([Block("read", LooseRecords(spool, "p", items), rules, np.array([1, 0]), ["{no", "d"])])


def one_by_one(rows: RowSelection) -> list[Rejection]:
    def reject(at: int, reason: str, detail: str, because: Because) -> Rejection:
        row = rows[at]
        return Rejection(
            id=row.id, path="made.jsonl", line=at + 1, offset=at, stage="near", reason=reason, detail=detail,
            because_of=because, raw=row.raw.decode(),
        )  # fmt: skip

    return [
        reject(4, "near", "0.50 of r0", Because("r0", 0.5)),
        reject(1, "earlier", "as y of older says {so}", Because("y", 1.0, "older")),
        reject(3, "near", "0.75 of r5", Because("r5", 0.75)),
    ]


def holds(found: Rejections, plain: Sequence[Rejection]) -> bool:
    """Everything that can be asked of rejections, against the same asked of each."""
    assert list(found) == list(plain)
    assert (len(found), found.ids()) == (len(plain), [item.id for item in plain])
    assert b"".join(found.lines()) == b"".join(encode_rejection(item) + b"\n" for item in plain)
    assert [found[at] for at in range(-len(plain), len(plain))] == [*plain, *plain]
    for part in (slice(2), slice(1, 5), slice(-2, None), slice(None, None, -1), slice(9, 12)):
        assert found[part] == plain[part]
    for at in (len(plain), -len(plain) - 1):
        with pytest.raises(IndexError):
            found[at]
    reasons = Counter((item.stage, item.reason) for item in plain)
    assert list(found.reasons().items()) == list(reasons.items())
    by_rule, by_path = found.sizes_by_rule(), found.sizes_by_path()
    assert {rule: some.size for rule, some in by_rule.items()} == reasons
    assert {path: some.size for path, some in by_path.items()} == Counter(item.path for item in plain)
    return True


def test_columns_say_what_the_rejections_say(rows: RowSelection, repeats: Rejections) -> None:
    plain = one_by_one(rows)
    assert holds(repeats, plain)
    sizes = [len(item.raw.encode()) for item in plain]
    assert {rule: some.tolist() for rule, some in repeats.sizes_by_rule().items()} == {
        ("near", "near"): [sizes[0], sizes[2]],
        ("near", "earlier"): [sizes[1]],
    }
    assert {path: some.tolist() for path, some in repeats.sizes_by_path().items()} == {"made.jsonl": sizes}
    numbers = repeats.numbers()
    assert numbers is not None
    assert numbers.tolist() == [4, 1, 3]


def test_records_that_are_no_rows_say_so_too(unread: Rejections) -> None:
    assert holds(unread, [BROKEN, NAMED])
    assert unread.numbers() is None
    assert unread.sizes_by_path()["p"].tolist() == [5, 0]


def test_rows_are_rejected_for_reasons_of_their_own(rows: RowSelection) -> None:
    why = [("b", "{name} {"), ("a", "half \ud800"), ("b", "")]
    plain = Rejections.of_rows("s", rows.take([2, 0, 5]), why)
    assert [(item.id, item.reason, item.detail, item.because_of) for item in plain] == [
        ("r2", "b", "{name} {", None), ("r0", "a", "half \\ud800", None), ("r5", "b", "", None),
    ]  # fmt: skip
    assert holds(plain, list(plain))
    because: list[tuple[str, float, str | None]] = [("i1", 0.5, "suite"), ("r4", 1.0, None), ("i1", 1.0, "suite")]
    leaks = Rejections.of_rows("s", rows.take([2, 0, 5]), why, because)
    assert [item.because_of for item in leaks] == [Because(*one) for one in because]
    assert [item.detail for item in leaks] == [item.detail for item in plain]
    assert holds(leaks, list(leaks))
    assert holds(Rejections.of_rows("s", rows[:0], []), [])


def test_blocks_behave_as_one_list(rows: RowSelection, repeats: Rejections, unread: Rejections) -> None:
    several = unread + repeats + Rejections() + repeats
    plain = [BROKEN, NAMED, *one_by_one(rows), *one_by_one(rows)]
    assert holds(several, plain)
    assert several.numbers() is None
    left = several.without([0, 3, 7])
    assert holds(left, [item for at, item in enumerate(plain) if at not in {0, 3, 7}])
    assert holds(several.without([]), plain)
    assert holds(several.without(range(8)), [])
    assert holds(Rejections(), [])


def test_what_repeats_what_is_told_in_columns(rows: RowSelection, repeats: Rejections, unread: Rejections) -> None:
    ids, datasets, paths = IdNumbers(rows.table), TextNumbers(), TextNumbers()
    other = Rejections([replace(block, stage="exact") for block in repeats.blocks])
    found = repeated(unread + repeats + other, ("exact", "near"), ids, datasets, paths)
    named, files = [*datasets.texts, None], paths.texts
    told = zip(
        found.at.tolist(), ids.ids(found.id), ids.ids(found.instead), found.similarity.tolist(), found.stage.tolist(),
        [named[at] for at in found.dataset.tolist()], [files[at] for at in found.path.tolist()], found.line.tolist(),
        strict=True,
    )  # fmt: skip
    plain = one_by_one(rows)
    assert list(told) == [
        (at, item.id, because.id, because.similarity, stage, because.dataset, item.path, item.line)
        for at, stage, item in [(n, 1, plain[n - 2]) for n in (2, 3, 4)] + [(n, 0, plain[n - 5]) for n in (5, 6, 7)]
        if (because := item.because_of) is not None
    ]
    assert repeated(repeats, ("exact",), ids, datasets, paths).at.size == 0


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_what_is_changed_of_rejections_stands_where_it_stood(
    rows: RowSelection, repeats: Rejections, unread: Rejections, at_once: int
) -> None:
    several, spool = unread + repeats + repeats, ByteSpool()
    plain = list(several)

    def clean(items: Sequence[Rejection]) -> list[Rejection]:
        """Some of them with other words, an id and a place."""
        other = {
            "r1": {"id": "hidden-1", "raw": "new é"},
            "r3": {"path": "elsewhere", "detail": "{so}", "because_of": Because("hidden-2", 0.75, None)},
        }
        return [msgspec.structs.replace(item, **more) if (more := other.get(item.id or "")) else item for item in items]

    found = several.reworded(clean, spool, at_once)
    assert holds(found, clean(plain))
    assert list(several) == plain
    ids, datasets, paths = IdNumbers(rows.table), TextNumbers(), TextNumbers()
    columns = repeated(found, ("near",), ids, datasets, paths)
    wanted = [item for item in clean(plain) if item.because_of is not None]
    assert ids.ids(columns.id) == [item.id for item in wanted]
    assert ids.ids(columns.instead) == [item.because_of.id for item in wanted if item.because_of is not None]
    assert several.reworded(list, spool, at_once).numbers() is None
    numbers = repeats.reworded(list, spool, at_once).numbers()
    assert numbers is not None
    assert numbers.tolist() == [4, 1, 3]
