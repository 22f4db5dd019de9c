"""The record of a result: its shape, what it counts, and that equal inputs give equal bytes."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from curate.core.errors import DataError
from curate.core.records import seal
from evalkit.records.lines import Score
from tests.evalkit.recorded_run import RecordedRun, record_run


def _with_scores(run: RecordedRun, change: Any) -> RecordedRun:
    return replace(run, scores=[change(score) for score in run.scores])


def test_the_promised_fields_are_there() -> None:
    result = record_run().result()
    assert result["kind"] == "result"
    assert result["primary"] == "tool_call"
    assert result["ladder"]["verdict"] == "fine-tune-pays"
    assert [contender["name"] for contender in result["contenders"]] == ["base", "base+prompt", "base+rag", "adapter"]
    for contender in result["contenders"]:
        assert contender["n"] == 118
        assert contender["unscored"] == 0
        for metric in contender["metrics"].values():
            assert metric["low"] <= metric["mean"] <= metric["high"]
        assert set(contender["latency_ms"]) >= {"p50", "p95"}
        assert contender["tokens"]["prompt"] > contender["tokens"]["completion"] > 0
        assert sum(contender["finish_reasons"].values()) == 118
    assert len(result["comparisons"]) == 6
    pair = next(pair for pair in result["comparisons"] if (pair["a"], pair["b"]) == ("adapter", "base+rag"))
    assert pair["difference"] == pytest.approx((64 - 12) / 118, abs=1e-5)
    assert pair["low"] < pair["difference"] < pair["high"]
    assert pair["fixed"] - pair["broke"] == 64 - 12
    assert pair["p"] <= pair["p_adjusted"] < 0.001


def test_contenders_come_in_climbing_order_however_they_are_named() -> None:
    run = record_run()
    turned = replace(run, contenders=run.contenders[::-1])
    assert turned.result() == run.result()


def test_equal_inputs_give_equal_bytes_and_time_is_outside_the_digest() -> None:
    first, second = record_run(), record_run()
    assert msgspec.json.encode(first.result()) == msgspec.json.encode(second.result())
    slower = replace(
        first,
        generations=[msgspec.structs.replace(answer, latency_ms=9e3) for answer in first.generations],
        contenders=tuple(replace(info, training_seconds=1e4) for info in first.contenders),
    )
    assert seal(slower.result())["digest"] == seal(first.result())["digest"]


def test_the_order_of_lines_does_not_matter() -> None:
    run = record_run()
    turned = replace(run, generations=run.generations[::-1], scores=run.scores[::-1])
    assert seal(turned.result(primary="tool_call"))["digest"] == seal(run.result())["digest"]


def test_unscored_is_never_zero() -> None:
    run = record_run()
    lost = {item.id for item in run.items[:20]}
    harmed = _with_scores(
        run,
        lambda score: (
            msgspec.structs.replace(score, value=None, unscored="the scorer raised")
            if score.contender == "adapter" and score.item in lost
            else score
        ),
    )
    adapter = harmed.result()["contenders"][-1]
    kept = [s.value for s in harmed.scores if s.contender == "adapter" and s.scorer == "tool_call" and not s.unscored]
    assert (adapter["n"], adapter["unscored"]) == (98, 20)
    assert adapter["unscored_reasons"] == {"the scorer raised": 20}
    assert adapter["metrics"]["tool_call"]["mean"] == pytest.approx(sum(kept) / 98, abs=1e-5)
    assert adapter["bounds"]["worst"] == pytest.approx(sum(kept) / 118, abs=1e-5)
    assert adapter["bounds"]["best"] == pytest.approx((sum(kept) + 20) / 118, abs=1e-5)
    pair = harmed.result()["comparisons"][-1]
    assert (pair["n"], pair["left_out"]) == (98, 20)
    assert pair["worst"] < pair["difference"] < pair["best"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.5])
def test_a_value_off_the_scale_is_unscored(value: float) -> None:
    run = record_run(30)
    first = run.scores[0]
    harmed = _with_scores(run, lambda s: msgspec.structs.replace(s, value=value) if s is first else s)
    section = harmed.result()["contenders"][0]
    assert (section["n"], section["unscored"]) == (29, 1)
    assert section["unscored_reasons"] == {"a score outside 0 to 1": 1}


def test_an_item_without_any_score_is_counted() -> None:
    run = record_run(30)
    without = replace(run, scores=[s for s in run.scores if (s.item, s.contender) != (run.items[0].id, "base")])
    assert without.result()["contenders"][0]["unscored_reasons"] == {"no score": 1}


def test_scores_of_strangers_and_doubles_are_refused() -> None:
    run = record_run(10)
    for score in (
        Score(item="nobody", contender="base", scorer="tool_call", value=1.0),
        Score(item=run.items[0].id, contender="nobody", scorer="tool_call", value=1.0),
        run.scores[0],
    ):
        with pytest.raises(DataError):
            replace(run, scores=[*run.scores, score]).result()


def test_items_of_a_group_widen_the_interval() -> None:
    """The same answers to every item of a group: six groups know less than 60 independent items."""
    run = record_run(60)
    groups = {item.id: str(index // 10) for index, item in enumerate(run.items)}
    grouped = replace(
        run,
        items=[msgspec.structs.replace(item, group=groups[item.id]) for item in run.items],
        scores=[msgspec.structs.replace(s, value=float(int(groups[s.item]) % 2)) for s in run.scores],
    )
    clustered = grouped.result()["contenders"][0]["metrics"]["tool_call"]
    blind = grouped.result(cluster=None)["contenders"][0]["metrics"]["tool_call"]
    assert clustered["low"] < blind["low"] < blind["high"] < clustered["high"]


def test_graded_scores_are_worded_as_averages() -> None:
    run = _with_scores(record_run(), lambda s: msgspec.structs.replace(s, value=(s.value or 0) * 0.9))
    result = run.result()
    assert "scores 49 % on average over 118 items" in result["ladder"]["because"]
    assert "permutation" in result["comparisons"][-1]["method"]


def test_repeats_of_an_item_count_once() -> None:
    run = record_run(40)
    again = [msgspec.structs.replace(s, repeat=1, value=1 - (s.value or 0)) for s in run.scores]
    twice = replace(run, scores=[*run.scores, *again])
    section = twice.result()["contenders"][0]
    assert section["n"] == 40
    assert section["metrics"]["tool_call"]["mean"] == 0.5
    pair = twice.result()["comparisons"][0]
    assert (pair["n"], pair["difference"], pair["fixed"]) == (40, 0.0, 0)


def test_a_repeat_without_a_score_leaves_the_others_standing() -> None:
    run = record_run(20)
    lost = [msgspec.structs.replace(s, repeat=1, value=None, unscored="timed out") for s in run.scores]
    assert replace(run, scores=[*run.scores, *lost]).result()["ladder"] == run.result()["ladder"]


def test_a_declared_family_holds_claims_on_other_metrics() -> None:
    family = [{"a": "adapter", "b": "base+rag"}, {"a": "adapter", "b": "base", "metric": "json_valid"}]
    pairs = record_run().result(family=family)["comparisons"]
    assert [(pair["a"], pair["b"], pair["metric"]) for pair in pairs if pair["declared"]] == [
        ("adapter", "base+rag", "tool_call"),
        ("adapter", "base", "json_valid"),
    ]
    assert len(pairs) == 7
    assert pairs[:6] != record_run().result()["comparisons"]
