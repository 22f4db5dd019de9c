"""The check as a statistical test: how often it cries wolf, and how often it sees the wolf."""

from collections import Counter

import numpy as np
import pytest

from evalkit.drift.embeddings import Meaning
from evalkit.drift.job import advise
from evalkit.drift.logs import Entry
from evalkit.drift.reference import Reference
from evalkit.drift.signals import Signal, measure_all

LABELS = ["billing", "delivery", "returns", "account", "other"]
SHARES = [0.4, 0.3, 0.15, 0.1, 0.05]


def _draw(rng: np.random.Generator, count: int, *, words: float = 12.0, shares: list[float] = SHARES,
          refused: float = 0.04, broken: float = 0.03, down: float = 0.2) -> list[Entry]:  # fmt: skip
    labels = rng.choice(len(shares), size=count, p=shares)
    lengths, answers = rng.poisson(words, count) + 1, rng.poisson(20, count) + 1
    entries = []
    for index in range(count):
        text = '{"a": 1}' if rng.random() >= broken else "oops"
        if rng.random() < refused:
            text = "I'm sorry, but I can't help with that."
        text += "" if text.startswith("{") else " x" * int(answers[index])
        schema = {"type": "object"}
        label = ([*LABELS, "new"])[labels[index]]
        thumb = bool(rng.random() >= down)
        entries.append(Entry("w " * int(lengths[index]), text, label, thumb, schema))
    return entries


def _reference(rng: np.random.Generator, count: int = 400) -> Reference:
    rows = _draw(rng, count)
    held_out = _draw(rng, 120)
    return Reference("sha256:0", rows, held_out, held_out, "the dataset's answers")


def _meaning(rng: np.random.Generator, shift: float) -> Meaning:
    """Similarities as MiniLM gives them: questions of a new kind are less like any training question."""
    return Meaning(
        rng.beta(8, 4, 300) - shift,
        rng.beta(8, 4, 120),
        rng.normal(shift * 6, 1, 150),
        rng.normal(0, 1, 60),
        ["q"] * 300,
    )


def _states(seed: int, **changes: float) -> dict[str, Signal]:
    rng = np.random.default_rng(seed)
    shift = changes.pop("meaning", 0.0)
    logs = _draw(rng, 500, **changes)  # type: ignore[arg-type]
    signals, _ = measure_all(logs, _reference(rng), _meaning(rng, shift), 0.05)
    return {signal.name: signal for signal in signals}


def test_nothing_changed_is_seldom_called_anything_else() -> None:
    """120 checks without drift: no alarm, and "watch" in at most about 5 %, all signals together."""
    alarms, watches = 0, 0
    for seed in range(120):
        states = Counter(signal.state for signal in _states(seed).values())
        assert states["not measured"] == 0
        alarms += states["drift"] > 0
        watches += states["watch"] > 0
    assert alarms == 0
    assert watches / 120 <= 0.05 + 2 * (0.05 * 0.95 / 120) ** 0.5


@pytest.mark.parametrize(
    ("changes", "name", "advice"),
    [
        ({"words": 18.0}, "question length", "retrain"),
        ({"shares": [0.15, 0.55, 0.15, 0.1, 0.05]}, "labels", "retrain"),
        ({"shares": [0.3, 0.25, 0.1, 0.1, 0.05, 0.2]}, "unknown labels", "retrain"),
        ({"meaning": 0.25}, "out of distribution", "retrain"),
        ({"meaning": 0.25}, "distance to training", "retrain"),
        ({"meaning": 0.25}, "meaning", "retrain"),
        ({"refused": 0.3}, "refusals", "look"),
        ({"broken": 0.3}, "schema errors", "look"),
    ],
)
def test_what_changed_is_found(changes: dict[str, float], name: str, advice: str) -> None:
    """Power: in at least 9 of 10 checks of 500 exchanges; and the advice follows from what changed."""
    found = [_states(seed, **changes) for seed in range(10)]
    assert sum(states[name].state == "drift" for states in found) >= 9
    assert sum(advise(list(states.values()))[0] == advice for states in found) >= 9


def test_thumbs_are_compared_within_the_logs() -> None:
    rng = np.random.default_rng(5)
    logs = [*_draw(rng, 300, down=0.1), *_draw(rng, 300, down=0.4)]
    signals, _ = measure_all(logs, _reference(rng), None, 0.05)
    assert next(signal for signal in signals if signal.name == "thumbs down").state == "drift"
    assert advise(signals)[0] == "look"


def test_few_exchanges_are_not_judged() -> None:
    rng = np.random.default_rng(5)
    signals, _ = measure_all(_draw(rng, 12), _reference(rng), None, 0.05)
    assert {signal.state for signal in signals} == {"not measured"}
    assert advise(signals)[0] == "unknown"


def test_the_more_is_measured_the_wider_each_interval() -> None:
    rng = np.random.default_rng(1)
    logs, reference = _draw(rng, 200), _reference(rng)
    assert measure_all(logs, reference, None, 0.05)[1] > measure_all(logs, reference, _meaning(rng, 0), 0.05)[1]
