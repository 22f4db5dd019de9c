import pytest

from curate.core.rows.row import Message, Row
from evalkit.scorers.text import ExactConfig, exact
from evalkit.scorers.types import Mark, Unscored


@pytest.mark.parametrize(
    ("answer", "case", "expected"),
    [("Paris", True, 1), (" Paris\n", True, 1), ("paris", True, 0), ("paris", False, 1), ("", True, 0)],
)
def test_exact(answer: str, case: bool, expected: float) -> None:
    item = Row(id="1", messages=[Message("user", "capital?"), Message("assistant", "Paris")])
    outcome = exact(ExactConfig(name="e", kind="exact", case=case))(item, answer)

    assert isinstance(outcome, Mark)
    assert outcome.value == expected


def test_an_item_without_a_target_is_unscored() -> None:
    item = Row(id="1", messages=[Message("user", "capital?")])

    assert exact(ExactConfig(name="e", kind="exact"))(item, "Paris") == Unscored("the item has no target")
