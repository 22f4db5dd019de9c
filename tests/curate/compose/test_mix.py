from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.compose.mix import MixReport, mix_rows, repeat_rows
from curate.core.errors import DataError
from curate.core.rows.row import Message, Origin, Row
from curate.recipe.balance_mix import Mix
from curate.table.stage import StageResult
from tests.curate.row_makers import select


def rows_of(origin: Origin, source: str, count: int) -> list[Row]:
    made = []
    for number in range(count):
        text = " ".join(["word"] * (1 + number % 7))
        messages = [Message("user", f"{source} {number}"), Message("assistant", text)]
        made.append(Row(id=f"{source}-{number}", messages=messages, source=source, origin=origin))
    return made


def mixed(people: int, teacher: int, /, **settings: object) -> StageResult:
    rows = [*rows_of("gold", "people", people), *rows_of("synthetic", "teacher", teacher)]
    return mix_rows(select(rows), Mix.model_validate(settings), seed=3)


def kept(result: StageResult) -> Counter[str]:
    return Counter(row.origin for row in result.kept.rows)


def report(result: StageResult) -> MixReport:
    found = msgspec.convert(result.report, MixReport)
    assert found.warnings == result.warnings
    return found


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "unit": st.sampled_from(["rows", "tokens"]),
        "synthetic": st.sampled_from([0.0, 0.1, 0.3]),
        "max_synthetic": st.sampled_from([0.3, 0.5, 0.75]),
        "size": st.integers(1, 60),
        "epochs": st.dictionaries(st.sampled_from(["people", "forum", "teacher"]), st.sampled_from([0, 0.5, 1, 2.5])),
    },
)


@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20), SETTINGS, st.randoms())
def test_nothing_is_lost_caps_hold_and_order_does_not_matter(
    people: int, forum: int, teacher: int, values: dict[str, object], random: object
) -> None:
    rows = [*rows_of("gold", "people", people), *rows_of("gold", "forum", forum)]
    rows += rows_of("synthetic", "teacher", teacher)
    config = Mix.model_validate(values)
    try:
        result = mix_rows(select(rows), config, seed=3)
    except DataError as error:
        assert "no gold" in str(error)  # noqa: PT017 - the only error that these inputs may meet
        return
    ids = result.kept.ids() + [str(one.id) for one in result.rejections]
    assert sorted(ids) == sorted(row.id for row in rows)
    found = report(result)
    assert found.units == sum(part.units for part in found.parts)
    if config.max_synthetic < 1:
        assert found.synthetic_share <= config.max_synthetic + 1e-9
    if config.size is not None and not config.epochs:
        assert found.units <= config.size
    if config.synthetic == 0:
        assert found.synthetic_share == 0
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' random is typed as object here
    again = mix_rows(select(shuffled), config, seed=3)
    assert set(again.kept.ids()) == set(result.kept.ids())
    assert (again.repetitions, again.report) == (result.repetitions, result.report)


@given(st.integers(1, 300), st.sampled_from([0.1, 0.25, 0.5, 0.8]))
def test_the_target_share_is_met_to_the_row(gold: int, share: float) -> None:
    result = mixed(gold, 2000, synthetic=share)
    left = kept(result)
    assert left["gold"] == gold
    assert abs(left["synthetic"] - gold * share / (1 - share)) <= 0.5 + 1e-6
    assert not report(result).warnings


@given(st.integers(1, 200), st.sampled_from([0.1, 0.25, 0.5]))
def test_a_size_is_met_exactly(size: int, share: float) -> None:
    result = mixed(500, 500, synthetic=share, size=size)
    assert report(result).units == size
    assert abs(kept(result)["synthetic"] - share * size) < 1


def test_too_few_synthetic_rows_are_said_not_made_up() -> None:
    result = mixed(90, 10, synthetic=0.3)
    assert kept(result) == {"gold": 90, "synthetic": 10}
    assert report(result).warnings == ["mix: synthetic rows are too few: they make 10.0%, not 30.0%"]


def test_the_cap_alone_only_takes_what_is_over_it() -> None:
    result = mixed(70, 100, max_synthetic=0.3)
    assert kept(result) == {"gold": 70, "synthetic": 30}
    assert {rejection.reason for rejection in result.rejections} == {"synthetic-cap"}
    assert result.rejections[0].detail == "30 of the 100 synthetic rows from 'teacher' are in the mix"
    assert kept(mixed(70, 20, max_synthetic=0.3)) == {"gold": 70, "synthetic": 20}


def test_a_mix_without_gold_is_an_error_where_a_share_is_asked_for() -> None:
    with pytest.raises(DataError, match="no gold"):
        mixed(0, 5, synthetic=0.3)
    result = mixed(0, 5)
    assert kept(result) == {"synthetic": 5}
    assert "max_synthetic would cap them" in report(result).warnings[0]


def test_epochs_repeat_rows_without_copying_ids() -> None:
    result = mixed(10, 10, epochs={"people": 2.5, "teacher": 0.5})
    assert len(result.rejections) == 5
    assert {rejection.reason for rejection in result.rejections} == {"under-one-epoch"}
    assert Counter(result.repetitions.values()) == {2: 5, 3: 5}
    assert [(part.units, part.repeats) for part in report(result).parts] == [(25, 15), (5, 0)]
    rows = repeat_rows(result.kept, result.repetitions, seed=3)
    assert len(set(rows.ids())) == len(rows) == 30
    again = next(row for row in rows.rows if row.id.endswith("#3"))
    assert again.meta["repeat_of"] == again.id.removesuffix("#3")
    assert list(repeat_rows(result.kept[::-1], result.repetitions, seed=3)) == list(rows)


def test_epochs_count_in_the_shares() -> None:
    result = mixed(10, 100, synthetic=0.5, epochs={"people": 3})
    assert kept(result) == {"gold": 10, "synthetic": 30}
    assert report(result).synthetic_share == 0.5


def test_a_repetition_never_takes_another_rows_id() -> None:
    first = rows_of("gold", "people", 1)[0]
    taken = Row(id="people-0#2", messages=first.messages)
    with pytest.raises(DataError, match="the id of another row"):
        repeat_rows(select([first, taken]), {"people-0": 2})


def test_an_unknown_source_in_epochs_is_said() -> None:
    assert report(mixed(2, 0, epochs={"poeple": 2})).warnings == ["mix: no row is from 'poeple', which epochs names"]


def test_tokens_are_counted_or_the_stand_in_is_named() -> None:
    rows = select([*rows_of("gold", "people", 10), *rows_of("synthetic", "teacher", 10)])
    config = Mix(unit="tokens", synthetic=0.2)
    tokens = {row.id: 100 if row.origin == "gold" else 50 for row in rows.rows}
    result = mix_rows(rows, config, tokens=tokens)
    assert kept(result) == {"gold": 10, "synthetic": 5}
    assert (report(result).counted, report(result).units) == ("tokens", 1250)
    assert report(mix_rows(rows, config)).counted == "words"
    with pytest.raises(DataError, match="not counted"):
        mix_rows(rows, config, tokens={})


def test_a_synthetic_budget_is_divided_in_proportion() -> None:
    rows = [*rows_of("gold", "people", 30), *rows_of("synthetic", "a", 40), *rows_of("synthetic", "b", 20)]
    result = mix_rows(select(rows), Mix(synthetic=0.25))
    assert {part.source: part.kept for part in report(result).parts} == {"people": 30, "a": 7, "b": 3}


def test_new_rows_push_few_others_out() -> None:
    before = set(mixed(40, 100, synthetic=0.5).kept.ids())
    after = set(mixed(40, 103, synthetic=0.5).kept.ids())
    assert len(before - after) <= 3


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"synthetic": 0.5, "max_synthetic": 0.3}, "above max_synthetic"),
        ({"epochs": {"a": -1}}, "not between 0 and 100"),
        ({"synthetic": 1}, "less than 1"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(values: dict[str, object], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Mix.model_validate(values)
