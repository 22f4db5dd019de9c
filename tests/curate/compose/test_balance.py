from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.compose.apportion import divide_within, largest_remainder
from curate.compose.balance import BalanceReport, balance_rows, dominant_class
from curate.core.errors import ConfigError, DataError
from curate.core.rows.row import Message, Row
from curate.recipe.balance_mix import Balance
from curate.table.stage import StageResult
from tests.curate.row_makers import select


def row_of(number: int, label: str | None, **more: object) -> Row:
    messages = [Message("user", f"question {number} of {label}"), Message("assistant", f"answer {number}")]
    return Row(id=f"{label}-{number}", messages=messages, label=label, **more)  # type: ignore[arg-type]  # test data


def rows_of(**sizes: int) -> list[Row]:
    return [row_of(number, label) for label, size in sizes.items() for number in range(size)]


def balance(rows: Sequence[Row], *rules: dict[str, object], **more: object) -> StageResult:
    return balance_rows(select(rows), Balance.model_validate({"rules": list(rules), **more}), seed=1)


def report(result: StageResult) -> BalanceReport:
    found = msgspec.convert(result.report, BalanceReport)
    assert found.warnings == result.warnings
    return found


def kept_ids(result: StageResult) -> set[str]:
    return set(result.kept.ids())


def sizes(result: StageResult) -> Counter[str | None]:
    return Counter(row.label for row in result.kept.rows)


SIZES = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 25), min_size=1)
RULES = st.sampled_from(
    [
        {"by": "label", "cap": 5},
        {"by": "label", "cap": 12, "caps": {"a": 3}, "floor": 2},
        {"by": "label", "temperature": 2},
        {"by": "label", "temperature": 3, "cap": 9, "floors": {"b": 4}},
        {"by": "label", "temperature": 2, "rows": 17},
        {"by": "label", "shares": {"a": 0.5, "b": 0.25}},
        {"by": "label", "shares": {"a": 0.34}, "rows": 20},
        {"by": "label", "quotas": {"a": 4, "b": 0}},
        {"by": "length", "cap": 3, "edges": [4, 5]},
    ]
)


@given(st.dictionaries(st.text(max_size=4), st.floats(0, 1e6), min_size=1), st.integers(0, 10_000))
def test_largest_remainder_sums_exactly(weights: dict[str, float], total: int) -> None:
    if not any(weights.values()):
        weights = {**weights, "x": 1.0}
    parts = largest_remainder(total, weights)
    whole = sum(weights.values())
    assert sum(parts.values()) == total
    assert all(abs(parts[name] - total * weights[name] / whole) < 1 + 1e-6 for name in weights)


def test_largest_remainder_gives_the_seats_of_a_known_election() -> None:
    votes = {"A": 47_000, "B": 16_000, "C": 15_900, "D": 12_000, "E": 6_000, "F": 3_100}
    assert largest_remainder(10, votes) == {"A": 5, "B": 2, "C": 1, "D": 1, "E": 1, "F": 0}


@given(SIZES, st.integers(0, 200))
def test_dividing_within_limits_uses_all_that_fits(limits: dict[str, int], total: int) -> None:
    parts = divide_within(total, {name: limit**0.5 for name, limit in limits.items()}, limits)
    assert sum(parts.values()) == min(total, sum(limits.values()))
    assert all(0 <= parts[name] <= limits[name] for name in limits)


@given(SIZES, RULES, st.randoms())
def test_nothing_is_lost_and_order_does_not_matter(
    counts: dict[str, int], rule: dict[str, object], random: object
) -> None:
    rows = rows_of(**counts)
    result = balance(rows, rule)
    assert sorted([*result.kept.ids(), *map(str, result.rejections.ids())]) == sorted(row.id for row in rows)
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' random is typed as object here
    again = balance(shuffled, rule)
    assert kept_ids(again) == kept_ids(result)
    assert again.report == result.report


@given(SIZES)
def test_caps_hold_and_what_is_under_them_stays(counts: dict[str, int]) -> None:
    left = sizes(balance(rows_of(**counts), {"by": "label", "cap": 7, "caps": {"a": 2}}))
    assert left == {name: min(size, 2 if name == "a" else 7) for name, size in counts.items()}


@given(SIZES, st.sampled_from("abcde"), st.sampled_from([{"cap": 6}, {"cap": 9, "temperature": 2.0}]))
def test_a_new_row_changes_no_other_class(counts: dict[str, int], label: str, limits: dict[str, object]) -> None:
    rule = {"by": "label", **limits}
    rows = rows_of(**counts)
    before = kept_ids(balance(rows, rule))
    # The smallest class sets how much a temperature leaves of the others.
    if "temperature" in limits and counts.get(label, 0) <= min(counts.values()):
        return
    after = kept_ids(balance([*rows, row_of(900, label)], rule))
    assert {row for row in after if not row.startswith(label)} == {row for row in before if not row.startswith(label)}
    assert len(before - after) <= 1


@given(st.integers(1, 30), st.integers(1, 30))
def test_raising_a_cap_only_adds_rows(low: int, more: int) -> None:
    rows = rows_of(a=40, b=5)
    assert kept_ids(balance(rows, {"by": "label", "cap": low})) <= kept_ids(
        balance(rows, {"by": "label", "cap": low + more})
    )


def test_temperature_gives_shares_in_proportion_to_the_root() -> None:
    assert sizes(balance(rows_of(a=400, b=100, c=25), {"by": "label", "temperature": 2})) == {
        "a": 100,
        "b": 50,
        "c": 25,
    }
    assert sizes(balance(rows_of(a=40, b=10), {"by": "label", "temperature": 1})) == {"a": 40, "b": 10}
    assert sizes(balance(rows_of(a=400, b=100), {"by": "label", "temperature": 2, "rows": 30})) == {"a": 20, "b": 10}


def test_shares_are_met_without_running_out() -> None:
    result = balance(rows_of(a=90, b=10), {"by": "label", "shares": {"a": 0.75, "b": 0.25}})
    assert sizes(result) == {"a": 30, "b": 10}
    assert {rejection.reason for rejection in result.rejections} == {"over-share"}
    rest = balance(rows_of(a=50, b=60, c=20), {"by": "label", "shares": {"a": 0.5}, "rows": 40})
    assert sizes(rest) == {"a": 20, "b": 15, "c": 5}


def test_a_class_without_rows_does_not_take_the_others_along() -> None:
    result = balance(rows_of(a=90, b=10), {"by": "label", "shares": {"a": 0.5, "b": 0.25, "x": 0.25}})
    assert sizes(result) == {"a": 20, "b": 10}
    assert "no row has label 'x'" in report(result).warnings[0]


def test_a_floor_protects_from_temperature_but_not_from_a_cap() -> None:
    left = sizes(balance(rows_of(a=400, b=4), {"by": "label", "temperature": 10, "floor": 50, "cap": 300}))
    assert left == {"a": 50, "b": 4}


def test_a_floor_that_cannot_be_met_is_said_or_stops_the_build() -> None:
    rule: dict[str, object] = {"by": "label", "floors": {"b": 20, "x": 1}}
    result = balance(rows_of(a=5, b=4), rule)
    assert report(result).warnings[:2] == [
        "balance: label 'b' has 4 rows of the 20 wanted",
        "balance: label 'x' has 0 rows of the 1 wanted",
    ]
    with pytest.raises(DataError, match="4 rows of the 20 wanted"):
        balance(rows_of(a=5, b=4), {**rule, "required": True})


def test_a_floor_that_a_later_rule_breaks_is_said() -> None:
    rows = [row_of(number, "a", source="web") for number in range(10)]
    result = balance(rows, {"by": "label", "floor": 8}, {"by": "source", "cap": 3})
    assert "label 'a' has 3 rows of the 8 wanted; other rules took the rest" in report(result).warnings[0]


@given(st.integers(1, 20), st.integers(0, 60), st.floats(0.01, 0.9))
def test_trimming_reaches_the_required_share(negatives: int, others: int, share: float) -> None:
    rows = rows_of(no_call=negatives, call=others)
    need = {"name": "hard negatives", "values": ["no_call"], "share": share, "when_short": "trim"}
    result = balance(rows, require=[need])
    left = sizes(result)
    assert left["no_call"] == negatives
    assert report(result).requirements[0].met
    assert len(result.kept) + len(result.rejections) == len(rows)
    if result.rejections:  # not one row more went than had to
        assert negatives < share * (negatives + left["call"] + 1)


def test_requirements_are_counted_by_label_or_by_a_field() -> None:
    rows = [row_of(number, "x", meta={"refusal": number < 2, "kind": {"hard": number % 2}}) for number in range(10)]
    needs = [
        {"name": "refusals", "field": "meta.refusal", "share": 0.2},
        {"name": "hard", "field": "meta.kind.hard", "values": ["1"], "share": 0.6},
    ]
    result = balance(rows, require=needs)
    assert [(need.rows, need.met) for need in report(result).requirements] == [(2, True), (5, False)]
    assert "balance: hard make 50.0% of the rows, not 60.0%" in report(result).warnings
    with pytest.raises(DataError, match="hard make"):
        balance(rows, require=[{**needs[1], "when_short": "error"}])
    with pytest.raises(DataError, match="no row counts as"):
        balance(rows, require=[{**needs[1], "values": ["7"], "when_short": "trim"}])


def test_one_class_that_drowns_the_others_is_warned_of() -> None:
    rows = rows_of(a=96, b=4)
    assert "label 'a' makes 96.0%" in str(dominant_class(select(rows)))
    assert dominant_class(select(rows_of(a=94, b=6))) is None
    assert dominant_class(select([row_of(1, None)])) is None
    result = balance(rows, {"by": "length", "cap": 1000})
    (warning,) = report(result).warnings
    assert "label 'a' makes 96.0%" in warning
    assert not report(balance(rows, {"by": "label", "cap": 4})).warnings


def test_lengths_fall_into_classes_by_edges() -> None:
    long = row_of(1, "a", meta={"score": 0.7})
    result = balance([long, row_of(2, "a")], {"by": "answer_length", "cap": 9, "edges": [2, 4]})
    assert [(one.name, one.after) for one in report(result).fields[0].classes] == [("2-4", 2)]
    scores = balance([long, row_of(2, "a")], {"by": "meta.score", "cap": 9, "edges": [0.5]})
    assert {one.name for one in report(scores).fields[0].classes} == {">=0.5", "(none)"}
    counted = balance_rows(select([long]), Balance.model_validate(
        {"rules": [{"by": "length", "cap": 9, "length_in": "tokens", "edges": [100]}]}
    ), measured={"tokens": {long.id: 150}})  # fmt: skip
    assert report(counted).fields[0].classes[0].name == ">=100"


def test_a_row_s_own_language_stands_before_what_the_screen_of_that_name_measured() -> None:
    rows = [row_of(1, "a", meta={"language": "de"}), row_of(2, "a", meta={"language": "en"})]
    rule: dict[str, object] = {"by": "language", "caps": {"de": 0}}
    assert kept_ids(balance(rows, rule)) == {"a-2"}
    column = {"language": {"a-1": 0.0, "a-2": 0.5}, "label": {"a-1": 0.0, "a-2": 0.5}}
    for asked in (rule, {"by": "label", "caps": {"a": 1}}):
        alone = balance_rows(select(rows), Balance.model_validate({"rules": [asked]}))
        result = balance_rows(select(rows), Balance.model_validate({"rules": [asked]}), measured=column)
        assert kept_ids(result) == kept_ids(alone) != set()


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ({"by": "meta.lable", "cap": 1}, "no row has a field 'meta.lable'"),
        ({"by": "lable", "cap": 1}, "'lable' is not a field"),
        ({"by": "length", "cap": 1, "length_in": "tokens"}, "no tokens were counted"),
    ],
)
def test_a_field_that_is_not_there_is_an_error(rule: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        balance(rows_of(a=2), rule)


def test_text_where_numbers_are_expected_is_an_error() -> None:
    with pytest.raises(DataError, match="label is 'a', not a number"):
        balance(rows_of(a=2), {"by": "label", "cap": 1, "edges": [3]})


@settings(max_examples=10)
@given(st.integers(1, 9))
def test_gold_rows_can_be_kept_first(cap: int) -> None:
    rows = [row_of(number, "a", origin="synthetic" if number % 2 else "gold") for number in range(10)]
    result = balance(rows, {"by": "label", "cap": cap}, gold_first=True)
    gold = sum(row.origin == "gold" for row in result.kept.rows)
    assert gold == min(cap, 5)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"rules": []}, "at least one rule"),
        ({"rules": [{"by": "label"}]}, "say what to do"),
        ({"rules": [{"by": "label", "cap": 3, "floor": 4}]}, "the floor 4 is above the cap 3"),
        ({"rules": [{"by": "label", "cap": 3, "floors": {"a": 4}}]}, "a: the floor 4 is above the cap 3"),
        ({"rules": [{"by": "label", "shares": {"a": 0.7, "b": 0.7}}]}, "more than 1"),
        ({"rules": [{"by": "label", "shares": {"a": 0.7}, "temperature": 2}]}, "keep one"),
        ({"rules": [{"by": "label", "quotas": {"a": 3}, "caps": {"a": 2}}]}, "a quota is a cap"),
        ({"rules": [{"by": "label", "cap": 3, "rows": 4}]}, "without them use cap"),
        ({"rules": [{"by": "label", "cap": 3, "edges": [3, 2]}]}, "edges have to rise"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(values: dict[str, object], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Balance.model_validate(values)
