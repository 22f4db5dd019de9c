from pathlib import Path

import pytest

from curate.core.errors import ConfigError
from curate.core.rows.row import Message, Row
from evalkit.records.lines import Generation, Score
from evalkit.scorers.function import FunctionConfig
from evalkit.scorers.registry import make_scorer
from evalkit.scorers.score_all import constant_answer, score_all
from evalkit.scorers.text import ExactConfig
from tests.evalkit.tiny_world import row

ITEMS = {
    "a": Row(id="a", messages=[Message("user", "q"), Message("assistant", "yes")]),
    "b": Row(id="b", messages=[Message("user", "q")]),
}
SCORERS = """
def length(item, answer):
    return min(1, len(answer) / 10), f"{len(answer)} characters"

def yes(item, answer):
    return answer == item.answer

def none(item, answer):
    return None

def crashes(item, answer):
    return 1 / 0

def too_much(item, answer):
    return 7

def nan(item, answer):
    return float("nan")

def exits(item, answer):
    raise SystemExit(0)

def text(item, answer):
    return "good"

def half(item, answer):
    return 0, "half \\ud800"

def half_raised(item, answer):
    raise ValueError("half \\ud800")
"""


def scores(tmp_path: Path, function: str, text: str = "yes") -> Score:
    (tmp_path / "mine.py").write_text(SCORERS)
    rule = make_scorer(FunctionConfig(name="mine", kind="function", function=f"mine.py:{function}"), tmp_path)
    return score_all([Generation(item="a", contender="c", text=text)], ITEMS, {"mine": rule})[0]


def test_a_users_function_scores(tmp_path: Path) -> None:
    assert scores(tmp_path, "yes").value == 1.0
    assert scores(tmp_path, "yes", "no").value == 0.0
    graded = scores(tmp_path, "length", "12345")
    assert (graded.value, graded.detail) == (0.5, "5 characters")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("none", "no value"),
        ("crashes", "ZeroDivisionError"),
        ("exits", "sys.exit(0)"),
        ("too_much", "7"),
        ("nan", "nan"),
        ("text", "str"),
    ],
)
def test_trouble_of_a_users_function_is_unscored_with_the_reason(tmp_path: Path, function: str, reason: str) -> None:
    score = scores(tmp_path, function)

    assert score.value is None
    assert reason in (score.unscored or "")


def test_a_file_that_exits_while_it_is_imported_is_a_fault_of_the_suite(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("raise SystemExit(0)")
    with pytest.raises(ConfigError, match="importing it failed: SystemExit"):
        make_scorer(FunctionConfig(name="mine", kind="function", function="script.py:main"), tmp_path)


def test_half_a_character_in_what_a_scorer_says_becomes_a_replacement_character(tmp_path: Path) -> None:
    assert scores(tmp_path, "half").detail == "half \ufffd"
    assert "half \ufffd" in str(scores(tmp_path, "half_raised").unscored)


def test_a_function_that_is_not_there_is_a_fault_of_the_suite(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no function missing"):
        scores(tmp_path, "missing")


def test_errors_and_items_without_reference_are_unscored_never_zero() -> None:
    rule = make_scorer(ExactConfig(name="exact", kind="exact"), Path())
    generations = [
        Generation(item="a", contender="c", error="the server was gone"),
        Generation(item="b", contender="c", text="yes"),
        Generation(item="a", contender="d", text=""),
    ]

    failed, no_target, empty = score_all(generations, ITEMS, {"exact": rule})

    assert (failed.value, failed.unscored) == (None, "no answer: the server was gone")
    assert (no_target.value, no_target.unscored) == (None, "the item has no target")
    assert empty.value == 0.0


def test_a_constant_answer_is_scored_on_every_item_that_can_be_scored() -> None:
    rows = [row(index, "train") for index in range(9)]
    found = constant_answer(rows, rows, make_scorer(ExactConfig(name="exact", kind="exact"), Path()))
    assert found is not None
    assert found.text == '{"name": null}'
    assert (len(found.values), sum(value or 0 for value in found.values)) == (9, 3)


def test_without_an_answer_that_can_be_scored_there_is_no_constant_one() -> None:
    rows = [row(index, "train") for index in range(3)]
    unanswered = [Row(id="q", messages=rows[0].prompt)]
    rule = make_scorer(ExactConfig(name="exact", kind="exact"), Path())
    assert constant_answer(unanswered, rows, rule) is None
    assert constant_answer(rows, unanswered, rule) is None
