"""Numbers in sentences: short, signed, and never rounded to a claim of all or nothing."""

import pytest

from evalkit.stats.in_words import duration, p_value, percent, points, span


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.004, "0.4 %"), (0.542, "54 %"), (0.996, "99.6 %"), (1, "100 %")]
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("difference", "text"), [(0.4407, "+44"), (0.042, "+4.2"), (0.05, "+5"), (-0.032, "−3.2"), (-0.0001, "0"), (0, "0")]
)
def test_points(difference: float, text: str) -> None:
    assert points(difference) == text


def test_intervals_and_p_values() -> None:
    assert span(-0.032, 0.12) == "−3.2 to +12"
    assert p_value(1e-9) == "p < 0.001"
    assert p_value(0.0312) == "p = 0.031"
    assert p_value(1.0) == "p = 1"


def test_durations_keep_the_digits_a_measurement_is_good_for() -> None:
    assert [duration(value) for value in (54.6, 999, 1234, 71_614, 1_234_567)] == [
        "55 ms",
        "999 ms",
        "1.2 s",
        "72 s",
        "1,235 s",
    ]
