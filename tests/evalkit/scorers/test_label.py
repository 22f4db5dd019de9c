"""Classes: what an answer names, and the figures of each class as scikit-learn gives them."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from curate.core.rows.row import Message, Row
from evalkit.records.lines import Generation
from evalkit.results.class_table import class_table, class_tables
from evalkit.scorers.label import NONE, LabelConfig, label
from evalkit.scorers.score_all import score_all
from evalkit.scorers.types import Mark, Unscored

LABELS = ["order", "order status", "refund"]


def said(answer: str, target: str = "refund", **settings: object) -> Mark | Unscored:
    config = LabelConfig.model_validate({"name": "l", "kind": "label", "labels": LABELS, **settings})
    item = Row(id="1", messages=[Message("user", "q"), Message("assistant", target)], label="order")
    return label(config)(item, answer)


@pytest.mark.parametrize(
    ("answer", "reading", "given"),
    [
        ("Refund.", "whole", "refund"),
        ("I think refund", "whole", NONE),
        ("I think it is a refund!", "named", "refund"),
        ("order status", "named", "order status"),
        ("an order or a refund", "named", NONE),
        ("reorder", "named", NONE),
        ("", "named", NONE),
    ],
)
def test_the_class_that_an_answer_names(answer: str, reading: str, given: str) -> None:
    mark = said(answer, reading=reading)
    assert isinstance(mark, Mark)
    assert mark.label == ("refund", given)
    assert mark.value == float(given == "refund")


def test_an_item_without_a_class_that_is_known_is_unscored() -> None:
    assert isinstance(said("refund", target=""), Unscored)
    assert isinstance(said("refund", target="complaint"), Unscored)
    assert isinstance(said("Order"), Mark)


def test_the_class_may_stand_in_the_label_and_need_no_list() -> None:
    config = LabelConfig(name="l", kind="label", target="label")
    item = Row(id="1", messages=[Message("user", "q")], label="Order")
    assert label(config)(item, "order.") == Mark(1.0, None, ("Order", "Order"))
    assert label(config)(item, "something") == Mark(0.0, "'something'", ("Order", "something"))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1, max_size=60))
def test_the_figures_of_each_class_are_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    table = class_table(Counter(pairs), 0.05)
    classes = [one.class_name for one in table.classes]
    wanted, given = zip(*pairs, strict=True)
    expected = precision_recall_fscore_support(wanted, given, labels=classes, zero_division=0.0)
    for index, one in enumerate(table.classes):
        assert [one.precision, one.recall, one.f1, one.n] == pytest.approx([e[index] for e in expected])
    macro = precision_recall_fscore_support(wanted, given, labels=classes, average="macro", zero_division=0.0)
    assert [table.macro.precision, table.macro.recall, table.macro.f1] == pytest.approx(macro[:3])


def test_scores_carry_the_classes_and_the_record_sums_them_up() -> None:
    rows = {str(n): Row(id=str(n), messages=[Message("user", "q"), Message("assistant", t)]) for n, t in
            enumerate(["order", "order", "refund"])}  # fmt: skip
    answers = [Generation(item=str(n), contender="c", text=t) for n, t in enumerate(["order", "refund", "what?"])]
    rule = label(LabelConfig(name="l", kind="label", labels=LABELS))
    table = class_tables(score_all(answers, rows, {"l": rule}), 0.05)["c"]["l"]
    assert table.none_given == 1
    assert msgspec.to_builtins(table.classes[0]) == {
        "class": "order", "n": 2, "precision": 1.0, "recall": 0.5, "low": pytest.approx(0.0126, abs=1e-3),
        "high": pytest.approx(0.987, abs=1e-3), "f1": pytest.approx(2 / 3), "confused_with": {"refund": 1},
    }  # fmt: skip
