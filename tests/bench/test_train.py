"""The benchmark's own parts: rates of calm passes, the count of multiply-adds, bars in both senses."""

import pytest

from tests.bench.train import _bars, _figures, _keep_best, as_text, multiply_adds


def run_of(rates: list[float], others: list[float], **more: object) -> dict[str, object]:
    """A process's marks for passes of 100 tokens at these rates, while others used so much of one processor."""
    marks = [[0.0, 0.0, 0.0, 100]]
    for rate, share in zip(rates, others, strict=True):
        time, own, everybody, _ = marks[-1]
        seconds = 100 / rate
        marks.append([time + seconds, own + 2 * seconds, everybody + (2 + share) * seconds, 100])
    return {"marks": marks, "losses": [], "peak_bytes": 10**9, **more}


def test_a_rate_is_of_the_calm_passes_and_at_least_half() -> None:
    found = _figures(run_of([50.0, 200.0, 100.0, 100.0], [1.0, 0.5, 0.0, 0.0]))
    assert (found["tokens_per_s"], found["used_by_others"], found["passes"]) == (100.0, 0.0, 2)
    assert _figures(run_of([50.0], [1.0]))["tokens_per_s"] == 50.0
    every = _figures(run_of([100.0, 50.0, 100.0, 50.0], [0.0] * 4))
    assert (every["tokens_per_s"], every["passes"]) == (pytest.approx(200 / 3, abs=0.05), 4)


def test_the_best_round_counts_with_the_losses_of_the_first() -> None:
    runs: dict[str, dict[str, object]] = {}
    for rate, losses in ((100.0, [1.0, 0.5]), (120.0, [1.0]), (110.0, [])):
        _keep_best(runs, "padded", {"tokens_per_s": rate, "losses": losses})
    assert runs == {"padded": {"tokens_per_s": 120.0, "losses": [1.0, 0.5]}}


def test_multiply_adds_of_a_token_are_twice_the_frozen_weights_and_thrice_the_adapters() -> None:
    # SmolLM2-135M's blocks have 106.2 million weights in linear layers, an adapter of rank 16 has 4.9 million.
    # Of these, 2.7 and 0.1 million are in the last block's MLP, which only computes what the loss looks at.
    mlp = 2 * 3 * 576 * 1536 + 3 * 3 * 16 * (576 + 1536)
    assert multiply_adds(1, 0) == pytest.approx(2 * 106_168_320 + 3 * 4_884_480 - mlp)
    assert multiply_adds(0, 1) == 2 * 576 * 49152 + mlp


def test_bars_are_met_from_their_own_side() -> None:
    def ran(rate: float, peak: float, losses: list[float]) -> dict[str, object]:
        return {
            "tokens_per_s": rate,
            "tokens_per_processor_s": 1.0,
            "used_by_others": 0.0,
            "peak_mb": peak,
            "losses": losses,
        }

    ours = {
        "rows, float32": {**ran(300, 50, [1.0, 0.5]), "gmacs": 60.0, "product_gmacs": 70.0},
        "rows, nf4": ran(200, 40, []),
    }
    peers = {"rows, padded": ran(100, 40, [1.0, 0.5005]), "rows, grouped": ran(150, 100, [])}
    assert _bars({}, {}, 12.0)[0]["seconds from start to first step"]["met"] is False
    bars, ratios = _bars(ours, peers)
    assert ratios == {"trl rows, padded": 3.0, "trl rows, grouped": 2.0}
    assert {name: (bar["measured"], bar["met"]) for name, bar in bars.items()} == {
        "rows, times TRL's best": (2.0, False),
        "rows, memory of TRL's best": (0.5, True),
        "share of a matrix product's multiply-adds": (0.857, True),
        "NF4, time of float32": (1.5, False),
        "largest difference of losses": (0.0005, True),
    }
    setting = {"threads": 2, "steps": 8, "rounds": 3, "trl": "1", "matrix_product_gmacs": [70.0], "measured": ["rows"]}
    text = as_text({"setting": setting, "ours": ours, "peers": peers, "ratios": ratios, "bars": bars})
    assert "| rows, times TRL's best | at least 2.2 | 2 | MISSED |" in text
