"""A/A runs: a contender against itself."""

import json
from pathlib import Path

import pytest

from curate.core.errors import ConfigError
from evalkit.run import RunOptions, evaluate, measure_noise
from tests.conftest import Run
from tests.curate.synthesize.endpoint import Answer, completion, serve
from tests.evalkit.backends.test_endpoints import ITEMS, right, suite_at
from tests.evalkit.tiny_world import write_suite


def test_a_steady_endpoint_has_no_noise_and_its_answers_serve_the_run(tmp_path: Path, run_cli: Run) -> None:
    with serve(right) as endpoint:
        suite = suite_at(tmp_path, endpoint.url)
        ended = run_cli("evalkit", "run", suite, "--aa")
        result = evaluate(suite, RunOptions()).result

    [found] = json.loads((tmp_path / "results" / "noise.json").read_bytes())["contenders"]
    assert ended.returncode == 0
    assert "served against itself on 12 items: 0 points" in ended.stdout
    assert (found["difference"], found["changed"], found["flipped"], found["n"]) == (0.0, 0.0, 0.0, ITEMS)
    assert len(endpoint.asked) == 2 * ITEMS
    assert result.environment["asked"] == 0


def test_a_server_that_got_worse_is_seen(tmp_path: Path) -> None:
    def worse(question: str, times: int) -> Answer:
        return right(question) if endpoint.bodies[-1]["seed"] == 3 else completion("wrong")

    with serve(worse) as endpoint:
        suite = suite_at(tmp_path, endpoint.url, running={"concurrency": 1, "latency_items": 0})
        [found] = measure_noise(suite, RunOptions()).contenders
    assert (found.difference, found.changed, found.flipped) == (-1.0, 1.0, 1.0)
    assert found.high < 0


def test_local_models_are_not_asked_twice(world: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to ask twice"):
        measure_noise(write_suite(world, contenders=[{"name": "base"}]), RunOptions())
