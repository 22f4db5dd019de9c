"""The doctor's findings about endpoints that can, can't, or don't say."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from curate.core.errors import ConfigError
from evalkit.doctor import examine
from tests.conftest import Run
from tests.curate.synthesize.endpoint import Answer, Endpoint, completion, serve, trouble

WORDS = "apple\nbanana\ncherry\ndate\nelderberry"


def able(body: dict[str, Any]) -> Answer:
    """What a server does that knows everything it is asked for."""
    text, finish = WORDS, "stop"
    if body["temperature"] > 0:
        text = f"{body['seed']} {WORDS}"
    for stop in body.get("stop", []):
        text = text.split(stop)[0]
    if "response_format" in body:
        text = json.dumps({"fruit": "apple", "ripe": True})
    if body["max_tokens"] == 4:
        text, finish = "apple", "length"
    answer = json.loads(completion(text, finish).body)
    prompt = sum(len(message["content"].split()) for message in body["messages"])
    answer["usage"] = {"prompt_tokens": prompt, "completion_tokens": min(20, body["max_tokens"])}
    return Answer(body=json.dumps(answer).encode())


def found_at(answer: Callable[[dict[str, Any]], Answer], models: Answer | None = None, **asked: Any) -> dict[str, Any]:
    def reply(_: str, __: int) -> Answer:
        return answer(endpoint.bodies[-1])

    with serve(reply) as endpoint:
        _list(endpoint, models)
        settings = {"model": "tutor-2026", "key_env": None, "context": None, "timeout_s": 10.0, **asked}
        findings = examine(endpoint.url, **settings)
    return {**findings, "by": {finding["name"]: finding for finding in findings["findings"]}}


def _list(endpoint: Endpoint, models: Answer | None) -> None:
    if models is not None:
        endpoint.models = models


def status(found: dict[str, Any]) -> dict[str, str]:
    return {name: finding["status"] for name, finding in found["by"].items()}


def test_an_endpoint_that_can_do_everything() -> None:
    listed = Answer(body=b'{"data": [{"id": "tutor-2026", "max_model_len": 8192}, {"id": "other"}]}')
    found = found_at(able, listed)

    assert found["fit"]
    assert set(status(found).values()) == {"yes"}
    assert found["by"]["context"]["detail"] == "8,192 tokens, by the list of models"


def without(*fields: str) -> Callable[[dict[str, Any]], Answer]:
    """A server that ignores these fields."""
    return lambda body: able({**body, **{name: {"temperature": 0, "max_tokens": 48}.get(name) for name in fields}})


def ignoring(field: str) -> Callable[[dict[str, Any]], Answer]:
    return lambda body: able({name: value for name, value in body.items() if name != field})


def test_what_is_ignored_is_found_out() -> None:
    assert status(found_at(ignoring("stop")))["stop"] == "no"
    assert status(found_at(ignoring("response_format")))["JSON schema"] == "no"
    assert status(found_at(without("temperature")))["seed"] == "unknown"


def test_a_stop_sequence_that_stays_in_the_answer_is_said() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        replied = able(body)
        if "stop" not in body:
            return replied
        [stop] = body["stop"]
        return completion(WORDS[: WORDS.index(stop) + len(stop)])

    stop = found_at(answer)["by"]["stop"]
    assert stop["status"] == "yes"
    assert "which stays in the answer" in stop["detail"]


def test_an_ignored_limit_or_system_message_makes_it_unfit() -> None:
    unlimited = found_at(without("max_tokens"))
    assert (unlimited["fit"], status(unlimited)["max_tokens"]) == (False, "no")

    deaf = found_at(lambda body: able({**body, "messages": body["messages"][-1:]}))
    assert (deaf["fit"], status(deaf)["system message"]) == (False, "no")


def test_a_refused_system_message_is_shown_in_the_servers_words() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        return trouble(400, "System role not supported") if body["messages"][0]["role"] == "system" else able(body)

    found = found_at(answer)
    assert not found["fit"]
    assert found["by"]["system message"]["detail"] == "status 400: System role not supported"


def test_answers_that_differ_and_missing_usage_are_said() -> None:
    count = iter(range(100))
    found = found_at(lambda _: completion(f"{next(count)} {WORDS}", usage=False))
    assert status(found)["repeatable"] == status(found)["seed"] == status(found)["usage"] == "no"
    assert status(found)["system message"] == "unknown"
    assert found["fit"] is True


@pytest.mark.parametrize(
    ("tokens", "kept", "expected"), [(2000, 1.0, "yes"), (2000, 0.1, "no")], ids=["whole", "cut in silence"]
)
def test_a_long_prompt_is_tried(tokens: int, kept: float, expected: str) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        reply = json.loads(able(body).body)
        reply["usage"]["prompt_tokens"] = int(reply["usage"]["prompt_tokens"] * kept)
        return Answer(body=json.dumps(reply).encode())

    assert status(found_at(answer, context=tokens))["context"] == expected


def test_a_list_of_models_that_fails_is_survived() -> None:
    found = found_at(able, trouble(500, "the cache is empty"))
    assert found["fit"]
    assert (status(found)["models"], found["by"]["models"]["detail"]) == ("unknown", "status 500: the cache is empty")


def test_a_connection_that_a_failing_server_closed_unannounced_is_not_used_again() -> None:
    found = found_at(able, Answer(500, b"Internal Server Error", closes=True))
    assert found["fit"]
    assert (status(found)["models"], status(found)["answers"]) == ("unknown", "yes")


def test_a_refused_model_ends_it_there() -> None:
    found = found_at(lambda _: trouble(404, "no such model"))
    assert (found["fit"], status(found)) == (False, {"models": "yes", "answers": "no"})


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="write it as https"):
        examine("localhost:8000", model="m", key_env=None, context=None, timeout_s=1.0)


def test_the_command_prints_a_table_or_json_and_ends_with_1_where_something_is_missing(run_cli: Run) -> None:
    with serve(lambda *_: trouble(401, "no key")) as endpoint:
        refused = run_cli("evalkit", "doctor", endpoint.url, "--model", "m", "--json")
        listed = run_cli("evalkit", "doctor", endpoint.url)

    assert refused.returncode == 1
    assert json.loads(refused.stdout)["findings"][1]["detail"] == "status 401: no key"
    assert (listed.returncode, listed.stdout.split()) == (0, ["models", "yes", "tutor-2026"])
