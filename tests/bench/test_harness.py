"""The benchmark's own parts: the loopback server, rates as the server sees them, bars in both senses."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.bench.harness import Tool, _bars, _figures, _served, as_text, questions, server


def ran(seconds: float, processor_s: float, p50_ms: float | None) -> dict[str, Any]:
    seen = {"count": 100, "seconds": seconds, "p50_ms": 50.0}
    return {"server": seen, "processor_s": processor_s, "peak_mb": 80, "p50_ms": p50_ms, "right": 1.0}


def test_the_server_answers_as_the_questions_expect_and_says_how_it_went() -> None:
    with server() as url:
        for item in questions(3):
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": item["q"]}]}).encode()
            request = urllib.request.Request(f"{url}/chat/completions", body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as response:
                assert json.loads(response.read())["choices"][0]["message"]["content"] == item["a"]
        served = _served(url)
        assert (served["count"], _served(url)["count"]) == (3, 0)
    assert served["p50_ms"] >= 50
    assert served["seconds"] >= 0.15


def test_the_fastest_round_counts_and_the_cheapest_start_up_is_taken_out() -> None:
    found = _figures([ran(2.0, 3.0, 60.0), ran(1.0, 2.9, 55.0)], [3.5, 2.1], 100, Tool("x", Path("python"), "1.0"))
    assert (found["requests_per_s"], found["p50_ms"], found["latency_over_server"]) == (100.0, 55.0, 1.1)
    assert found["processor_ms"] == pytest.approx(10.0)


def test_bars_are_met_from_their_own_side_and_a_peer_without_latency_has_none() -> None:
    tool = Tool("lm-eval", Path("python"), "0.4")
    ours = _figures([ran(0.1, 0.5, 54.0)], [0.42], 100, tool) | {"warm_s": 0.4, "peak_mb_many": 130}
    bars = _bars(ours, {"inspect-ai": 20.0, "lm-eval": 0.9})
    assert {name for name, bar in bars.items() if not bar["met"]} == {"peak MB at 20,000 items", "times lm-eval"}
    setting = {"items": 100, "in_flight": 64, "latency_ms": 50, "cores": 2, "load": 1.0}
    peers = {"lm-eval": _figures([ran(1.0, 1.0, None)], [0.5], 100, tool), "promptfoo": {"missing": "no npm"}}
    text = as_text({"setting": setting, "ours": ours, "peers": peers, "ratios": {"lm-eval": 0.9}, "bars": bars})
    assert "| lm-eval 0.4 | 100 | 0.9 times | 6.25 | 80 | none | 50.0 ms |" in text
    assert "| promptfoo | could not be installed: no npm | | | | | |" in text
