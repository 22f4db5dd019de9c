import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scorers.number import numbers
from evalkit.scorers.types import Mark, Unscored
from tests.evalkit.scorers.test_text import item, make, value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is 42.", [42]),
        ("1,234.5 apples and 3 pears", [1234.5, 3]),
        ("1,23 is two numbers", [1, 23]),
        ("1,2345", [1, 2345]),
        ("-3 or \N{MINUS SIGN}4.5 or +.5", [-3, -4.5, 0.5]),
        ("2e3, 1.5E-2", [2000, 0.015]),
        ("v1.2.3", [1.2, 3]),
        ("50%", [50]),
        ("none - at all, e.g. ...", []),
        ("#### 18", [18]),
    ],
)
def test_numbers_in_a_text(text: str, found: list[float]) -> None:
    assert numbers(text) == found


@given(st.lists(st.integers(-(10**9), 10**9) | st.decimals(-1000, 1000, places=3).map(float), max_size=6))
def test_numbers_come_back_as_they_were_written(values: list[float]) -> None:
    assert numbers(" and ".join(f"{value}" if isinstance(value, int) else f"{value:.3f}" for value in values)) == values
    thousands = [value for value in values if isinstance(value, int)]
    assert numbers("; ".join(f"{value:,}" for value in thousands)) == thousands


@pytest.mark.parametrize(
    ("settings", "answer", "right"),
    [
        ({}, "It is 5 + 7 = 12", 1),
        ({"pick": "first"}, "It is 5 + 7 = 12", 0),
        ({"pick": "first"}, "12 = 5 + 7", 1),
        ({"pick": "only"}, "It is 5 + 7 = 12", 0),
        ({"pick": "only"}, "It is 12.", 1),
        ({}, "12.4", 0),
        ({"absolute": 0.4}, "12.4", 1),
        ({"relative": 0.05}, "12.6", 1),
        ({"relative": 0.05}, "12.61", 0),
        ({}, "twelve", 0),
    ],
)
def test_a_number_within_its_tolerance_is_right(settings: dict[str, object], answer: str, right: int) -> None:
    assert value(make("number", **settings), item("5 and 7 make 12"), answer) == right


def test_decimal_fractions_are_compared_as_they_are_written() -> None:
    assert value(make("number", absolute=0.1), item("0.2"), "0.3") == 1


def test_a_wrong_number_is_shown_beside_the_right_one() -> None:
    assert make("number")(item("12"), "13") == Mark(0.0, "13, not 12")
    assert isinstance(make("number")(item("twelve"), "12"), Unscored)
