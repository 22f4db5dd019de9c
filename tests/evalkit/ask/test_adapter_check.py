"""Adapters that change nothing, in this process and at an endpoint, are found before anything is scored."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from curate.core.digests import digest_json
from curate.core.errors import ProvenanceError, ServiceError
from curate.core.records import read_record, write_record
from curate.core.rows.row import Message, Row
from evalkit.results.result_record import AppliedAdapter
from evalkit.run import RunOptions, evaluate
from tests.curate.synthesize.endpoint import Answer, Endpoint, completion, serve, trouble
from tests.evalkit.tiny_world import write_plain_suite, write_suite
from trainer.run.record import adapter_digests


def test_an_adapter_that_changes_something_is_said_to(world: Path) -> None:
    contenders = [{"name": "base"}, {"name": "adapter", "run": "run"}]
    suite = write_suite(world, contenders=contenders, running={"latency_items": 0})
    base, adapter = evaluate(suite, RunOptions()).result.contenders
    assert not base.canary
    canary = adapter.canary
    assert (canary.how, canary.probes, canary.changed) == ("logits", 3, 3)
    assert canary.largest_change > 0
    assert canary.template == read_record(world / "run" / "run.json")["template"]["digest"]


def test_the_canary_of_kept_answers_is_kept(world: Path) -> None:
    contenders = [{"name": "adapter", "run": "run"}]
    first = evaluate(write_suite(world, contenders=contenders), RunOptions()).result
    again = evaluate(write_suite(world, contenders=contenders, useful_effect=0.2), RunOptions()).result
    assert again.environment["asked"] == 0
    for key in ("canary", "latency_ms"):  # a second measurement would never come to the same milliseconds
        assert getattr(again.contenders[0], key) == getattr(first.contenders[0], key)


def test_an_adapter_that_changes_nothing_ends_the_run_before_anything_is_asked(world: Path) -> None:
    adapter = world / "run" / "adapter"
    weights = load_file(adapter / "adapter_model.safetensors")
    zeroed = {name: value.zero_() if "lora_B" in name else value for name, value in weights.items()}
    save_file(zeroed, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    record = read_record(world / "run" / "run.json")
    files = adapter_digests(adapter)
    record["adapter"] |= {"files": files, "digest": digest_json(files)}
    write_record(world / "run" / "run.json", {key: value for key, value in record.items() if key != "digest"})

    with pytest.raises(ProvenanceError, match="adapter changes nothing") as caught:
        evaluate(world / "suite.yaml", RunOptions())

    assert caught.value.exit_code == 4
    assert not (world / "results" / "result.json").exists()


def pair_at(url: str, folder: Path, **changes: Any) -> Path:
    """A suite with a base and an adapter at one endpoint."""
    rows = [Row(id=f"i{n}", messages=[Message("user", f"q{n}"), Message("assistant", "yes")]) for n in range(12)]
    served = {"base_url": url, "key_env": None}
    contenders = [
        {"name": "base", "endpoint": {**served, "model": "m"}},
        {"name": "adapter", "rung": "fine-tune", "endpoint": {**served, "model": "m-tuned"}},
    ]
    running = {"concurrency": 1, "tries": 1, "latency_items": 0}
    return write_plain_suite(folder, rows, **{"contenders": contenders, "running": running, **changes})


def at_endpoint(folder: Path, reply: Callable[[dict[str, Any]], Answer], **changes: Any) -> tuple[Any, Endpoint]:
    """The result of a base and an adapter at one endpoint that answers by what it is sent."""
    with serve(lambda *_: reply(endpoint.bodies[-1])) as endpoint:
        return evaluate(pair_at(endpoint.url, folder, **changes), RunOptions()).result, endpoint


def test_a_served_adapter_that_answers_otherwise_is_proven_and_asked_nothing_twice(tmp_path: Path) -> None:
    result, endpoint = at_endpoint(tmp_path, lambda body: completion("yes" if body["model"] == "m-tuned" else "no"))
    canary = result.contenders[1].canary
    assert canary == AppliedAdapter(how="answers", probes=5, changed=5, base="m")
    sent = [json.dumps(body, sort_keys=True) for body in endpoint.bodies]
    assert len(sent) == len(set(sent)) == 24  # two contenders' answers to 12 items, the canary's among them
    assert result.environment["asked"] == 24


def test_the_budget_counts_the_questions_of_the_canary_once(tmp_path: Path) -> None:
    result, _ = at_endpoint(tmp_path, lambda body: completion(body["model"]), budget={"requests": 24})
    assert result.stopped is None
    assert [contender.errors for contender in result.contenders] == [0, 0]


def test_force_asks_the_canary_and_the_quiet_pass_again(tmp_path: Path) -> None:
    running = {"concurrency": 1, "tries": 1, "latency_items": 2}
    with serve(lambda *_: completion(endpoint.bodies[-1]["model"])) as endpoint:
        suite = pair_at(endpoint.url, tmp_path, running=running)
        for number in (1, 2):
            evaluate(suite, RunOptions(force=True))
            assert len(endpoint.asked) == number * (2 * 12 + 2 * 2)  # two contenders, 12 items, 2 of them alone
        endpoint.answer = lambda *_: completion("always this")
        with pytest.raises(ServiceError, match="the same answers"):
            evaluate(suite, RunOptions(force=True))


def test_a_server_that_ignores_the_adapter_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="same answers to 12 of 12 questions") as caught:
        at_endpoint(tmp_path, lambda _: completion("always this"))
    assert caught.value.exit_code == 5
    assert not (tmp_path / "results" / "result.json").exists()


def test_a_rare_difference_is_looked_for_on_more_questions(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> Answer:
        rare = body["model"] == "m-tuned" and body["messages"][-1]["content"] == "q7"
        return completion("yes" if rare else "no")

    canary = at_endpoint(tmp_path, reply)[0].contenders[1].canary
    assert canary.changed == 1
    assert canary.probes in (5, 12)


def test_an_adapter_without_its_base_in_the_suite_is_said_not_to_be_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def alone(url: str) -> dict[str, Any]:
        return {"name": "adapter", "rung": "fine-tune", "endpoint": {"base_url": url, "key_env": None, "model": "t"}}

    with serve(lambda *_: completion("yes")) as endpoint:
        rows = [Row(id="i", messages=[Message("user", "q"), Message("assistant", "yes")])]
        suite = write_plain_suite(tmp_path, rows, contenders=[alone(endpoint.url)], running={"latency_items": 1})
        [adapter] = evaluate(suite, RunOptions()).result.contenders

    assert adapter.canary.how == "none"
    assert "nobody knows whether the adapter is applied" in capsys.readouterr().err
    assert adapter.latency_ms.alone
    assert adapter.latency_ms.n == 1
    assert len(endpoint.asked) == 2


def test_trouble_in_the_quiet_pass_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: dict[str, int] = {}

    def reply(body: dict[str, Any]) -> Answer:
        key = json.dumps(body, sort_keys=True)
        seen[key] = seen.get(key, 0) + 1
        return completion(body["model"]) if seen[key] == 1 else trouble(401, "key withdrawn")

    running = {"concurrency": 1, "tries": 1, "latency_items": 1}
    result, _ = at_endpoint(tmp_path, reply, running=running)
    assert [contender.n for contender in result.contenders] == [12, 12]
    assert not result.contenders[0].latency_ms.alone
    assert "latency can't be measured" in capsys.readouterr().err
