"""The split: groups stay whole, new rows move no old ones, order is no input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.compose.split import count_labels, split_rows
from curate.core.errors import DataError
from curate.core.manifest import SIDES, Side
from curate.recipe.recipe import Split
from curate.table.selection import RowSelection
from tests.curate.row_makers import make_row, select

SPLIT = Split.model_validate({"shares": {"train": 0.5, "val": 0.2, "test": 0.3}})
rows = st.lists(
    st.tuples(st.integers(0, 60), st.one_of(st.none(), st.sampled_from("abcdefgh"))), unique=True, max_size=40
)


def rows_of(pairs: list[tuple[int, str | None]]) -> RowSelection:
    return select([make_row(f"prompt {n}", id=f"{n}{group}", group=group) for n, group in pairs])


def sides_of(sides: dict[Side, RowSelection]) -> dict[str, Side]:
    return {name: side for side, members in sides.items() for name in members.ids()}


@given(rows, rows, st.integers(0, 5))
def test_adding_rows_moves_no_old_row(
    old: list[tuple[int, str | None]], new: list[tuple[int, str | None]], seed: int
) -> None:
    before = sides_of(split_rows(rows_of(old), SPLIT, seed, {}))
    after = sides_of(split_rows(rows_of(list(dict.fromkeys(new + old))), SPLIT, seed, {}))
    assert before == {name: after[name] for name in before}


@given(rows, st.dictionaries(st.integers(0, 39), st.sampled_from("xyz")), st.integers(0, 5))
def test_groups_and_ties_stay_whole_and_nothing_is_lost(
    pairs: list[tuple[int, str | None]], tied: dict[int, str], seed: int
) -> None:
    made = rows_of(pairs)
    ties = {made[at].id: name for at, name in tied.items() if at < len(made)}
    found = split_rows(made, SPLIT, seed, ties)
    sides = sides_of(found)
    assert sorted(name for side in found.values() for name in side.ids()) == sorted(made.ids())
    for name in "abcdefgh":
        assert len({sides[row.id] for row in made if row.group == name}) <= 1
    for name in "xyz":
        assert len({sides[row] for row, tie in ties.items() if tie == name}) <= 1


@given(rows, st.randoms())
def test_the_order_of_rows_is_no_input(pairs: list[tuple[int, str | None]], shuffle) -> None:  # type: ignore[no-untyped-def]
    shuffled = pairs.copy()
    shuffle.shuffle(shuffled)
    one, other = (split_rows(rows_of(order), SPLIT, 1, {}) for order in (pairs, shuffled))
    for side in one:
        assert list(one[side].rows) == list(other[side].rows)


def test_shares_are_met_on_average() -> None:
    sides = split_rows(rows_of([(n, None) for n in range(4000)]), SPLIT, 3, {})
    # Four standard deviations of a binomial draw: sqrt(4000 * 0.3 * 0.7) = 29.
    assert abs(len(sides["test"]) - 1200) < 4 * 29
    assert abs(len(sides["val"]) - 800) < 4 * 26
    assert set(count_labels(sides)) == {"train", "val", "test"}


def test_changing_the_share_of_val_leaves_test_alone() -> None:
    made = rows_of([(n, None) for n in range(200)])
    other = Split.model_validate({"shares": {"train": 0.6, "val": 0.1, "test": 0.3}})
    one, two = (split_rows(made, settings, 3, {})["test"].ids() for settings in (SPLIT, other))
    assert one == two != []


def test_rows_with_one_prompt_stay_together_without_a_group() -> None:
    made = select([make_row(f"prompt {n // 2}", str(n), id=str(n)) for n in range(100)])
    sides = sides_of(split_rows(made, SPLIT, 3, {}))
    assert all(sides[str(n)] == sides[str(n + 1)] for n in range(0, 100, 2))
    assert len(set(sides.values())) == 3


GIVEN = Split.model_validate({"from": "split"})


def test_sides_that_rows_name_are_kept() -> None:
    names = {"train": "train", "Valid": "val", "dev": "val", " test ": "test", "training": "train"}
    made = select([make_row(name, id=name, meta={"split": name}) for name in names])
    assert sides_of(split_rows(made, GIVEN, 0, {})) == names
    by_source = Split.model_validate({"from": "source"})
    made = select([make_row(f"prompt {n}", id=str(n), source=name) for n, name in enumerate(("test", "train"))])
    assert sides_of(split_rows(made, by_source, 0, {})) == {"0": "test", "1": "train"}


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (["train", "gold", "gold"], "2 of 3 rows name no side in meta.split; its values are 'gold' 2, 'train' 1"),
        (["train", None], "1 of 2 rows name no side in meta.split; its values are 'train' 1, '(none)' 1"),
        ([1, 0], "'1' 1, '0' 1"),
    ],
)
def test_a_value_that_is_no_side_is_an_error(values: list[object], what: str) -> None:
    rows = [make_row(f"prompt {n}", meta={"split": value}) for n, value in enumerate(values)]
    with pytest.raises(DataError) as caught:
        split_rows(select(rows), GIVEN, 0, {})
    assert what in str(caught.value)


def test_rows_that_belong_together_are_told_where_a_given_split_tears_them() -> None:
    made = select(
        [
            *(make_row("one prompt", str(n), id=f"p{n}", meta={"split": side}) for n, side in enumerate(SIDES)),
            make_row("tied", id="t0", meta={"split": "train"}),
            make_row("too", id="t1", meta={"split": "test"}),
            *(make_row(f"g{n}", id=f"g{n}", group="g", meta={"split": "val"}) for n in range(2)),
        ]
    )
    warnings: list[str] = []
    sides = split_rows(made, GIVEN, 0, {"t0": "tie", "t1": "tie"}, warnings)
    assert {side: len(rows) for side, rows in sides.items()} == {"train": 2, "val": 3, "test": 2}
    [text] = warnings
    assert text.startswith("5 rows belong to rows on another side of the split that is given (2 in train, 1 in val, 2")
    assert text.endswith("p0, p1, p2, t0, t1")


def test_a_dataset_can_be_test_only() -> None:
    only = Split.model_validate({"shares": {"train": 0, "val": 0, "test": 1}})
    warnings: list[str] = []
    sides = split_rows(rows_of([(n, None) for n in range(50)]), only, 0, {}, warnings)
    assert (len(sides["test"]), warnings) == (50, [])


def test_shares_that_are_missed_by_more_than_the_largest_group_are_told() -> None:
    shares = Split.model_validate({"shares": {"train": 0.5, "val": 0.25, "test": 0.25}})
    groups: list[tuple[int, str | None]] = [(n, f"group {n // 40}") for n in range(240)]
    told = []
    wanted: dict[Side, int] = {"train": 120, "val": 60, "test": 60}
    for seed in range(20):
        warnings: list[str] = []
        sizes = {side: len(rows) for side, rows in split_rows(rows_of(groups), shares, seed, {}, warnings).items()}
        # An empty side is told by the build.
        missed = [side for side in SIDES if sizes[side] and abs(sizes[side] - wanted[side]) > 40]
        assert [text.split()[0] for text in warnings] == missed
        told += warnings
    assert any("rows (" in text and "its share is 0.5" in text for text in told)


@pytest.mark.parametrize("rows", [60, 1000])
def test_rows_drawn_one_by_one_raise_no_alarm(rows: int) -> None:
    made = rows_of([(n, None) for n in range(rows)])
    for seed in range(20):
        warnings: list[str] = []
        split_rows(made, SPLIT, seed, {}, warnings)
        assert warnings == []


def test_a_field_under_by_and_shares_beside_a_given_split_are_refused() -> None:
    with pytest.raises(ValueError, match="write `from: meta"):
        Split.model_validate({"by": "meta.split"})
    with pytest.raises(ValueError, match="keep one"):
        Split.model_validate({"from": "split", "shares": {"train": 0.9, "val": 0.05, "test": 0.05}})
    assert Split.model_validate(GIVEN.model_dump(by_alias=True)) == GIVEN
