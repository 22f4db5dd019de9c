from itertools import pairwise

import pytest

from trainer.config import TrainConfig
from trainer.loop.schedule import learning_rate, steps_in_all


def make_config(**changed: object) -> TrainConfig:
    return TrainConfig.model_validate({"base": "b", "dataset": "d", "output": "o", "learning_rate": 1.0} | changed)


def rates(**changed: object) -> list[float]:
    return [learning_rate(step, 100, make_config(**changed)) for step in range(100)]


def test_the_rate_rises_through_the_warm_up_then_falls_to_almost_nothing() -> None:
    found = rates(warmup=0.1, schedule="cosine")
    assert found[:10] == pytest.approx([0.05 + 0.1 * i for i in range(10)])
    assert all(a > b for a, b in pairwise(found[10:]))
    assert 0 < found[-1] < 0.001
    assert found[54] == pytest.approx(0.5, abs=0.02)  # half way down at the middle


def test_linear_and_constant() -> None:
    assert rates(warmup=0, schedule="linear")[:2] == pytest.approx([0.995, 0.985])
    assert set(rates(warmup=0, schedule="constant")) == {1.0}


def test_the_first_step_learns_and_no_rate_is_above_the_peak() -> None:
    for schedule in ("cosine", "linear", "constant"):
        found = rates(warmup=0.05, schedule=schedule)
        assert found[0] > 0
        assert max(found) <= 1.0


@pytest.mark.parametrize(
    ("rows", "changed", "steps"), [(16, {}, 2), (17, {}, 3), (17, {"epochs": 3}, 9), (17, {"max_steps": 2}, 2)]
)
def test_steps_in_all(rows: int, changed: dict[str, object], steps: int) -> None:
    assert steps_in_all(rows, make_config(batch_rows=8, **changed)) == steps
