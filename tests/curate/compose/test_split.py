"""The split: groups stay whole, new rows move no old ones, order is no input."""

from hypothesis import given
from hypothesis import strategies as st

from curate.compose.split import count_labels, split_rows
from curate.core.manifest import Side
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
