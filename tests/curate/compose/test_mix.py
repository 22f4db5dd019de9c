from collections import Counter

import pytest
from curate.table.row_ref import Entry, Place
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.compose.mix import Mixed, mix_rows, repeat_rows
from curate.core.errors import DataError
from curate.core.rows.row import Message, Origin, Row, encode_row
from curate.recipe.balance_mix import Mix


def rows_of(origin: Origin, source: str, count: int) -> list[Entry]:
    made = []
    for number in range(count):
        text = " ".join(["word"] * (1 + number % 7))
        messages = [Message("user", f"{source} {number}"), Message("assistant", text)]
        row = Row(id=f"{source}-{number}", messages=messages, source=source, origin=origin)
        made.append(Entry(row, Place(source, f"{source}.jsonl", number + 1, 0), encode_row(row)))
    return made


def mixed(people: int, teacher: int, /, **settings: object) -> Mixed:
    entries = [*rows_of("gold", "people", people), *rows_of("synthetic", "teacher", teacher)]
    return mix_rows(entries, Mix.model_validate(settings), seed=3)


def kept(result: Mixed) -> Counter[str]:
    return Counter(entry.row.origin for entry in result.outcome.kept)


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
    entries = [*rows_of("gold", "people", people), *rows_of("gold", "forum", forum)]
    entries += rows_of("synthetic", "teacher", teacher)
    config = Mix.model_validate(values)
    try:
        result = mix_rows(entries, config, seed=3)
    except DataError as error:
        assert "no gold" in str(error)  # noqa: PT017 - the only error that these inputs may meet
        return
    ids = [entry.row.id for entry in result.outcome.kept] + [str(one.id) for one in result.outcome.rejections]
    assert sorted(ids) == sorted(entry.row.id for entry in entries)
    report = result.report
    assert report.units == sum(part.units for part in report.parts)
    if config.max_synthetic < 1:
        assert report.synthetic_share <= config.max_synthetic + 1e-9
    if config.size is not None and not config.epochs:
        assert report.units <= config.size
    if config.synthetic == 0:
        assert report.synthetic_share == 0
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' random is typed as object here
    again = mix_rows(shuffled, config, seed=3)
    assert {entry.row.id for entry in again.outcome.kept} == {entry.row.id for entry in result.outcome.kept}
    assert (again.times, again.report) == (result.times, report)


@given(st.integers(1, 300), st.sampled_from([0.1, 0.25, 0.5, 0.8]))
def test_the_target_share_is_met_to_the_row(gold: int, share: float) -> None:
    result = mixed(gold, 2000, synthetic=share)
    left = kept(result)
    assert left["gold"] == gold
    assert abs(left["synthetic"] - gold * share / (1 - share)) <= 0.5 + 1e-6
    assert not result.report.warnings


@given(st.integers(1, 200), st.sampled_from([0.1, 0.25, 0.5]))
def test_a_size_is_met_exactly(size: int, share: float) -> None:
    result = mixed(500, 500, synthetic=share, size=size)
    assert result.report.units == size
    assert abs(kept(result)["synthetic"] - share * size) < 1


def test_too_few_synthetic_rows_are_said_not_made_up() -> None:
    result = mixed(90, 10, synthetic=0.3)
    assert kept(result) == {"gold": 90, "synthetic": 10}
    assert result.report.warnings == ["mix: synthetic rows are too few: they make 10.0%, not 30.0%"]


def test_the_cap_alone_only_takes_what_is_over_it() -> None:
    result = mixed(70, 100, max_synthetic=0.3)
    assert kept(result) == {"gold": 70, "synthetic": 30}
    assert {rejection.reason for rejection in result.outcome.rejections} == {"synthetic-cap"}
    assert result.outcome.rejections[0].detail == "30 of the 100 synthetic rows from 'teacher' are in the mix"
    assert kept(mixed(70, 20, max_synthetic=0.3)) == {"gold": 70, "synthetic": 20}


def test_a_mix_without_gold_is_an_error_where_a_share_is_asked_for() -> None:
    with pytest.raises(DataError, match="no gold"):
        mixed(0, 5, synthetic=0.3)
    result = mixed(0, 5)
    assert kept(result) == {"synthetic": 5}
    assert "max_synthetic would cap them" in result.report.warnings[0]


def test_epochs_repeat_rows_without_copying_ids() -> None:
    result = mixed(10, 10, epochs={"people": 2.5, "teacher": 0.5})
    assert len(result.outcome.rejections) == 5
    assert {rejection.reason for rejection in result.outcome.rejections} == {"under-one-epoch"}
    assert Counter(result.times.values()) == {2: 5, 3: 5}
    assert [(part.units, part.repeats) for part in result.report.parts] == [(25, 15), (5, 0)]
    rows = repeat_rows(result.outcome.kept, result.times, seed=3)
    assert len({entry.row.id for entry in rows}) == len(rows) == 30
    again = next(entry.row for entry in rows if entry.row.id.endswith("#3"))
    assert again.meta["repeat_of"] == again.id.removesuffix("#3")
    assert repeat_rows(list(reversed(result.outcome.kept)), result.times, seed=3) == rows


def test_epochs_count_in_the_shares() -> None:
    result = mixed(10, 100, synthetic=0.5, epochs={"people": 3})
    assert kept(result) == {"gold": 10, "synthetic": 30}
    assert result.report.synthetic_share == 0.5


def test_a_repetition_never_takes_another_rows_id() -> None:
    first = rows_of("gold", "people", 1)[0]
    taken = Entry(Row(id="people-0#2", messages=first.row.messages), first.place, first.raw)
    with pytest.raises(DataError, match="the id of another row"):
        repeat_rows([first, taken], {"people-0": 2})


def test_an_unknown_source_in_epochs_is_said() -> None:
    assert mixed(2, 0, epochs={"poeple": 2}).report.warnings == ["mix: no row is from 'poeple', which epochs names"]


def test_tokens_are_counted_or_the_stand_in_is_named() -> None:
    entries = [*rows_of("gold", "people", 10), *rows_of("synthetic", "teacher", 10)]
    config = Mix(unit="tokens", synthetic=0.2)
    tokens = {entry.row.id: 100 if entry.row.origin == "gold" else 50 for entry in entries}
    result = mix_rows(entries, config, tokens=tokens)
    assert kept(result) == {"gold": 10, "synthetic": 5}
    assert (result.report.counted, result.report.units) == ("tokens", 1250)
    assert mix_rows(entries, config).report.counted == "words"
    with pytest.raises(DataError, match="not counted"):
        mix_rows(entries, config, tokens={})


def test_a_synthetic_budget_is_divided_in_proportion() -> None:
    entries = [*rows_of("gold", "people", 30), *rows_of("synthetic", "a", 40), *rows_of("synthetic", "b", 20)]
    result = mix_rows(entries, Mix(synthetic=0.25))
    assert {part.source: part.kept for part in result.report.parts} == {"people": 30, "a": 7, "b": 3}


def test_new_rows_push_few_others_out() -> None:
    before = {entry.row.id for entry in mixed(40, 100, synthetic=0.5).outcome.kept}
    after = {entry.row.id for entry in mixed(40, 103, synthetic=0.5).outcome.kept}
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
