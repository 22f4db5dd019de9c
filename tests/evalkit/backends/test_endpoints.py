"""Evaluations whose contenders answer at an endpoint on this machine, with every trouble that endpoints make."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from curate.core.errors import ConfigError, ServiceError
from curate.core.rows.row import Message, Row
from evalkit.ask.answer_cache import AnswerCache
from evalkit.results.folder import read_results
from evalkit.results.result_record import Extremes, Tokens
from evalkit.run import RunOptions, evaluate, plan
from tests.conftest import Run
from tests.curate.synthesize.endpoint import Answer, Endpoint, completion, serve, trouble
from tests.evalkit.tiny_world import write_plain_suite

ITEMS = 12
FAST: dict[str, Any] = {
    "concurrency": 4,
    "tries": 3,
    "wait_s": 0.01,
    "max_wait_s": 5,
    "timeout_s": 5,
    "latency_items": 0,
}


def right(question: str, times: int = 1) -> Answer:
    return completion(f"answer to {question}")


def suite_at(folder: Path, url: str, *names: str, endpoint: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A suite of short questions to endpoints at `url`."""
    rows = [
        Row(id=f"i{n:03}", messages=[Message("user", f"q{n}"), Message("assistant", f"answer to q{n}")])
        for n in range(ITEMS)
    ]
    served = {"model": "m", "base_url": url, "key_env": None, **(endpoint or {})}
    contenders = [{"name": name, "endpoint": served, "system": name} for name in names or ("served",)]
    asked = {"contenders": contenders, "generation": {"max_tokens": 40}, "running": FAST}
    return write_plain_suite(folder, rows, **{**asked, **changes})


def ask(
    folder: Path, answer: Callable[[str, int], Answer], choice: RunOptions | None = None, **changes: Any
) -> tuple[dict[str, Any], Endpoint]:
    with serve(answer) as endpoint:
        return evaluate(suite_at(folder, endpoint.url, **changes), choice or RunOptions()).result, endpoint


def test_answers_are_scored_counted_and_kept(tmp_path: Path) -> None:
    result, endpoint = ask(tmp_path, right)
    [served] = result.contenders
    generation = read_results(tmp_path / "results").generations[3]

    assert (served.n, served.errors, served.metrics["exact"].mean) == (ITEMS, 0, 1.0)
    assert served.tokens == Tokens(20 * ITEMS, 10 * ITEMS)
    assert result.environment["served"] == {"served": {"tutor-2026": ITEMS}}
    assert (generation.text, generation.finish_reason, generation.estimated) == ("answer to q3", "stop", False)
    assert 0 < generation.latency_ms < 5000
    assert endpoint.keys == {None}
    [body] = [body for body in endpoint.bodies if body["messages"][-1]["content"] == "q3"]
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "served"}, {"role": "user", "content": "q3"}],
        "max_tokens": 40,
        "temperature": 0,
        "seed": 3,
    }


def test_what_is_sent_follows_the_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-very-secret-key")
    settings = {
        "key_env": "TEST_KEY",
        "extra_body": {"top_p": 0.5},
        "limit_as": "max_completion_tokens",
        "omit": ["temperature", "seed"],
    }
    result, endpoint = ask(tmp_path, lambda *_: completion("sk-very-secret-key"), endpoint=settings)

    assert set(endpoint.bodies[0]) == {"model", "messages", "max_completion_tokens", "top_p"}
    assert endpoint.keys == {"Bearer sk-very-secret-key"}
    written = b"".join(path.read_bytes() for path in (tmp_path / "results").iterdir())
    assert b"sk-very" not in written
    assert result.contenders[0].n == ITEMS


def test_contenders_are_mixed_in_an_order_that_the_seed_decides(tmp_path: Path) -> None:
    def order(name: str, seed: int) -> list[str]:
        (tmp_path / name).mkdir()
        with serve(right) as endpoint:
            running = {**FAST, "concurrency": 1}
            evaluate(suite_at(tmp_path / name, endpoint.url, "x", "y", seed=seed, running=running), RunOptions())
        return [body["messages"][0]["content"] + body["messages"][1]["content"] for body in endpoint.bodies]

    first, same, other = order("first", 1), order("same", 1), order("other", 2)
    assert first == same != other
    assert sorted(first) == sorted(other)
    assert "x" in {asked[0] for asked in first[:8]} >= {"y"}


def test_a_wrong_key_costs_one_request_and_says_what_to_do(
    tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-wrong-wrong")
    with serve(lambda *_: trouble(401, "Incorrect API key: sk-wrong-wrong")) as endpoint:
        ended = run_cli("evalkit", "run", suite_at(tmp_path, endpoint.url, endpoint={"key_env": "TEST_KEY"}))

    assert (ended.returncode, len(endpoint.asked)) == (5, 1)
    assert "m can't be asked: status 401: Incorrect API key: ***" in ended.stderr
    assert "check the key in TEST_KEY" in ended.stderr
    assert f"evalkit doctor {endpoint.url} --model m --key-env TEST_KEY" in ended.stderr
    assert not (tmp_path / "results" / "result.json").exists()


LISTED = b'{"data": [{"id": "other"}, {"id": "m", "owned_by": "me"}]}'


def test_a_model_that_is_listed_is_asked_more_before_its_first_answer(tmp_path: Path) -> None:
    together = threading.Barrier(FAST["concurrency"])

    def answer(question: str, times: int) -> Answer:
        together.wait(60)  # nobody gets an answer before four have asked
        return right(question)

    with serve(answer) as endpoint:
        endpoint.models = Answer(body=LISTED)
        result = evaluate(suite_at(tmp_path, endpoint.url, running={**FAST, "timeout_s": 100}), RunOptions()).result
    assert (result.contenders[0].n, len(endpoint.asked)) == (ITEMS, ITEMS)


def test_a_wrong_key_where_the_list_needs_none_is_said_as_soon(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="m can't be asked: status 401"), serve(lambda *_: trouble(401)) as endpoint:
        endpoint.models = Answer(body=LISTED)
        evaluate(suite_at(tmp_path, endpoint.url), RunOptions())
    assert len(endpoint.asked) <= FAST["concurrency"]


@pytest.mark.parametrize(
    "models",
    [
        Answer(body=b'{"data": [{"id": "another"}]}'),
        Answer(body=b'{"data": [{"name": "m"}]}'),
        Answer(body=b"<html>Welcome</html>"),
        Answer(hang_up=True),
        trouble(401, "no key"),
    ],
)
def test_what_lists_no_such_model_is_asked_one_question_until_it_answers(tmp_path: Path, models: Answer) -> None:
    busy: list[int] = []

    def answer(question: str, times: int) -> Answer:
        if len(endpoint.asked) == 1:
            time.sleep(0.2)
            busy.append(endpoint.most_busy)
        return right(question)

    with serve(answer) as endpoint:
        endpoint.models = models
        result = evaluate(suite_at(tmp_path, endpoint.url), RunOptions()).result
    assert (busy, result.contenders[0].n) == ([1], ITEMS)


def test_a_missing_key_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NO_SUCH_KEY holds no key"):
        ask(tmp_path, right, endpoint={"key_env": "NO_SUCH_KEY"})


def test_an_endpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with pytest.raises(ServiceError, match="no connection") as caught:
            evaluate(suite_at(tmp_path, url), RunOptions())
    assert caught.value.where == url
    assert "evalkit doctor" in str(caught.value.fix)


def test_answers_that_cannot_be_kept_end_the_run_whatever_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no place for these")

    monkeypatch.setattr(AnswerCache, "put_all", refuse)
    with pytest.raises(RuntimeError, match="no place for these"):
        ask(tmp_path, right)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (trouble(404, "no such model"), "lists the models"),
        (trouble(429, "You exceeded your quota", code="insufficient_quota"), "quota is used up"),
        (Answer(307, headers={"location": "http://elsewhere.example/v1"}), "check `base_url`"),
        (trouble(429, "slow down", retry_after="3600"), "asks to be left alone for 3,600 s"),
        (trouble(400, "temperature is not supported"), "3 requests in a row got no answer"),
        (Answer(hang_up=True), "3 requests in a row got no answer"),
    ],
)
def test_what_holds_for_every_request_stops_the_run(tmp_path: Path, answer: Answer, words: str) -> None:
    with pytest.raises(ServiceError) as caught, serve(lambda *_: answer) as endpoint:
        evaluate(suite_at(tmp_path, endpoint.url, "x", "y"), RunOptions())
    assert words in str(caught.value)
    # Until there was an answer, one request goes at a time.
    assert len(endpoint.asked) <= 3 * FAST["concurrency"]


def test_retry_after_may_be_a_date(tmp_path: Path) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with pytest.raises(ServiceError, match=r"left alone for 3,[56]\d\d s"):
        ask(tmp_path, lambda *_: trouble(503, "overloaded", retry_after=date))


def test_a_storm_of_429_loses_nothing(tmp_path: Path) -> None:
    def busy(question: str, times: int) -> Answer:
        return right(question) if times > 4 else trouble(429, "slow down", retry_after="0")

    result, endpoint = ask(tmp_path, busy)
    assert (result.contenders[0].n, result.contenders[0].errors) == (ITEMS, 0)
    assert len(endpoint.asked) == 5 * ITEMS


def test_patience_with_a_busy_endpoint_ends(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="nothing but that it is busy for 0 s"):
        ask(tmp_path, lambda *_: trouble(429, "slow down"), running={**FAST, "patience_s": 0.2})


TROUBLES = {
    "status 500": trouble(500, "boom"),
    "in the middle of an answer": Answer(body=completion("whole").body[:40], cut=True),
    "not a chat completion: Input data was truncated": Answer(body=completion("whole").body[:40]),
    "not a chat completion: JSON is malformed": Answer(body=b"<html>Welcome</html>"),
    "not a chat completion: Object missing": Answer(body=b'{"ok": true}'),
    "holds no choice": Answer(body=b'{"choices": []}'),
    "closed the connection without an answer": Answer(hang_up=True),
}


@pytest.mark.parametrize("words", TROUBLES)
def test_trouble_that_passes_is_tried_again_and_trouble_that_stays_is_counted(tmp_path: Path, words: str) -> None:
    def answer(question: str, times: int) -> Answer:
        return TROUBLES[words] if question == "q3" or (question == "q5" and times < 3) else right(question)

    result, endpoint = ask(tmp_path, answer)
    [served] = result.contenders

    assert (served.n, served.unscored, served.errors) == (ITEMS - 1, 1, 1)
    assert words in str(served.unscored_reasons)
    assert served.bounds == Extremes(round(11 / 12, 6), 1.0)
    assert (endpoint.asked.count("q3"), endpoint.asked.count("q5")) == (3, 3)
    assert result.ladder.verdict == "inconclusive"
    assert "more than the 5 % that the suite allows" in result.ladder.because

    with serve(right) as again:
        suite = suite_at(tmp_path, endpoint.url)
        text = suite.read_text().replace(endpoint.url, again.url)
        suite.write_text(text)
        assert evaluate(suite, RunOptions()).result.contenders[0].errors == 0


def test_no_answer_in_time_is_an_error_of_that_item(tmp_path: Path) -> None:
    def slow(question: str, times: int) -> Answer:
        answer = right(question)
        return Answer(body=answer.body, delay_s=1.0) if question == "q3" else answer

    result, _ = ask(tmp_path, slow, running={**FAST, "timeout_s": 0.5, "tries": 1})
    assert result.contenders[0].unscored_reasons == {"no answer: no answer in 0.5 s": 1}


def test_a_request_that_is_refused_is_not_sent_again(tmp_path: Path) -> None:
    def answer(question: str, times: int) -> Answer:
        return trouble(400, "context length exceeded") if question == "q3" else right(question)

    result, endpoint = ask(tmp_path, answer)
    assert result.contenders[0].unscored_reasons == {"no answer: status 400: context length exceeded": 1}
    assert endpoint.asked.count("q3") == 1


def test_odd_answers_are_answers(tmp_path: Path) -> None:
    def answer(question: str, times: int) -> Answer:
        if question == "q1":
            return completion("")
        if question == "q2":
            return completion("x" * 2_000_000)
        if question == "q3":
            return Answer(body=right(question).body.replace(b'"index": 0', b'"logprobs": {"top": NaN}, "index": 0'))
        if question == "q4":
            return completion(None, finish="length")
        return right(question)

    result, _ = ask(tmp_path, answer)
    [served] = result.contenders
    generations = {g.item: g for g in read_results(tmp_path / "results").generations}

    assert (served.n, served.errors) == (ITEMS, 0)
    assert served.metrics["exact"].mean == round(9 / 12, 6)
    assert served.finish_reasons == {"length": 1, "stop": 11}
    assert len(generations["i002"].text) == 2_000_000
    assert generations["i003"].text == "answer to q3"


def test_the_terminal_says_why_answers_are_unscored(tmp_path: Path, run_cli: Run) -> None:
    (tmp_path / "mine.py").write_text("def mine(item, answer):\n    return 1 / (item.id != 'i001')\n")
    scorers = [{"name": "exact", "kind": "exact"}, {"name": "mine", "kind": "function", "function": "mine.py:mine"}]
    with serve(lambda question, _: trouble(400, "too long") if question == "q3" else right(question)) as endpoint:
        ended = run_cli("evalkit", "run", suite_at(tmp_path, endpoint.url, scorers=scorers))

    assert ended.returncode == 0
    assert "served unscored: no answer: status 400: too long (1)" in ended.stdout
    assert "mine: 1 unscored: the scorer raised ZeroDivisionError: division by zero (1)" in ended.stderr


def test_half_a_character_in_a_reply_becomes_a_replacement_character(tmp_path: Path) -> None:
    """JSON can hold half of a character that takes two escapes; files and SQLite can't."""

    def answer(question: str, times: int) -> Answer:
        if question == "q1":
            return completion("half \ud800 of it")
        if question == "q2":
            return completion("", refusal="no \udc00")
        if question == "q3":
            return Answer(body=right(question).body.replace(b"tutor-2026", rb"tutor-\ud83d"))
        if question == "q4":
            call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": r'{"a": "\ud800"}'}}
            body = json.loads(completion(None).body)
            body["choices"][0]["message"]["tool_calls"] = [call]
            return Answer(body=json.dumps(body).encode())
        return completion("whole \U0001f600") if question == "q5" else right(question)

    result, _ = ask(tmp_path, answer)
    texts = {g.item: g.text for g in read_results(tmp_path / "results").generations}

    assert (result.contenders[0].n, result.contenders[0].errors) == (ITEMS, 0)
    assert [texts["i001"], texts["i002"]] == ["half \ufffd of it", "no \ufffd"]
    assert texts["i004"] == '{"name": "add", "arguments": {"a": "\ufffd"}}'
    assert texts["i005"] == "whole \U0001f600"
    assert result.environment["served"] == {"served": {"tutor-2026": ITEMS - 1, "tutor-\ufffd": 1}}


@pytest.mark.parametrize(
    "usage",
    [
        None,
        b"null",
        b"[]",
        b'{"prompt_tokens": NaN}',
        b'{"prompt_tokens": 9, "completion_tokens": null}',
        b'{"prompt_tokens": -1, "completion_tokens": 3}',
        b'{"prompt_tokens": "9", "completion_tokens": "3"}',
    ],
)
def test_tokens_are_estimated_where_the_endpoint_reports_none(tmp_path: Path, usage: bytes | None) -> None:
    answer = completion("twelve bytes", usage=False)
    if usage is not None:
        answer.body = answer.body[:-1] + b', "usage": ' + usage + b"}"
    result, _ = ask(tmp_path, lambda *_: answer)
    generations = read_results(tmp_path / "results").generations
    assert all(g.estimated and g.completion_tokens == 3 and g.prompt_tokens > 10 for g in generations)
    assert result.contenders[0].tokens.completion == 3 * ITEMS


def test_a_tool_call_is_an_answer(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    body = json.loads(completion(None).body)
    body["choices"][0]["message"]["tool_calls"] = [call]
    ask(tmp_path, lambda *_: Answer(body=json.dumps(body).encode()))
    assert read_results(tmp_path / "results").generations[0].text == '{"name": "add", "arguments": {"a": 1}}'


def test_an_answer_that_two_contenders_share_counts_once_also_where_it_is_kept(tmp_path: Path) -> None:
    with serve(right) as endpoint:
        served = {"model": "m", "base_url": endpoint.url, "key_env": None}
        alike = [{"name": name, "endpoint": served} for name in ("a", "b")]
        evaluate(suite_at(tmp_path, endpoint.url, contenders=alike), RunOptions())
        more = [*alike, {"name": "c", "endpoint": served, "system": "c"}]
        suite = suite_at(tmp_path, endpoint.url, contenders=more, budget={"requests": 2 * ITEMS})
        assert evaluate(suite, RunOptions()).result.stopped is None
    assert len(endpoint.asked) == 2 * ITEMS


@pytest.mark.parametrize(("budget", "sent"), [({"requests": 5}, 5), ({"tokens": 300}, None), ({"cost": 0.0008}, None)])
def test_a_budget_is_never_exceeded_and_the_result_says_so(
    tmp_path: Path, run_cli: Run, budget: dict[str, float], sent: int | None
) -> None:
    price = {"prompt": 1.0, "completion": 10.0, "as_of": "2026-11-01"}  # 0.00012 for each answer
    with serve(right) as endpoint:
        suite = suite_at(tmp_path, endpoint.url, budget=budget, endpoint={"price": price})
        ended = run_cli("evalkit", "run", suite)
        asked = len(endpoint.asked)
        again = evaluate(suite, RunOptions())

    result = read_results(tmp_path / "results").result
    [served] = result.contenders
    assert ended.returncode == 6
    assert "partial: the budget" in ended.stdout
    assert 0 < served.n == asked < ITEMS
    assert sent is None or asked == sent
    assert served.tokens.prompt + served.tokens.completion <= budget.get("tokens", 10**9)
    assert (served.tokens.prompt + 10 * served.tokens.completion) / 1e6 <= budget.get("cost", 1e9)
    assert served.unscored == served.errors == ITEMS - asked
    assert "not asked: the budget" in str(served.unscored_reasons)
    assert result.ladder.verdict == "inconclusive"
    assert len(endpoint.asked) == asked, "a second run spends what the first has left, which is nothing"
    assert again.result.stopped == result.stopped
    for report in ("report.html", "report.md"):
        assert "Partial:" in (tmp_path / "results" / report).read_text()


def test_repeats_are_averaged_per_item(tmp_path: Path) -> None:
    def answer(question: str, times: int) -> Answer:
        return right(question) if question != "q3" or times == 1 else completion("wrong")

    generation = {"max_tokens": 40, "repeats": 4, "temperature": 0.7}
    result, endpoint = ask(tmp_path, answer, generation=generation)
    seeds = sorted(body["seed"] for body in endpoint.bodies if body["messages"][-1]["content"] == "q3")

    assert len(endpoint.asked) == 4 * ITEMS
    assert seeds == [3, 4, 5, 6]
    assert result.contenders[0].n == ITEMS
    assert result.contenders[0].metrics["exact"].mean == round((11 + 0.25) / 12, 6)


def test_kept_answers_serve_other_outputs_and_offline_runs(tmp_path: Path) -> None:
    with serve(right) as endpoint:
        suite = suite_at(tmp_path, endpoint.url)
        half = evaluate(suite, RunOptions(cache=tmp_path / "kept", limit=6, output=tmp_path / "half"))
        other = evaluate(suite, RunOptions(cache=tmp_path / "kept", output=tmp_path / "other", seed=3))
        offline = evaluate(suite, RunOptions(cache=tmp_path / "half", output=tmp_path / "offline", offline=True))

    assert len(endpoint.asked) == ITEMS
    assert (half.result.environment["asked"], other.result.environment["asked"]) == (6, 6)
    assert offline.result.contenders[0].unscored_reasons == {
        "no answer: not asked: --offline, and no answer is kept": ITEMS
    }
    assert not (tmp_path / "offline" / "answers.sqlite").exists()


def test_what_is_the_same_is_asked_once(tmp_path: Path) -> None:
    with serve(right) as endpoint:
        suite = suite_at(tmp_path, endpoint.url, "x", "y")
        suite.write_text(suite.read_text().replace("system: y", "system: x"))
        result = evaluate(suite, RunOptions()).result

    assert len(endpoint.asked) == ITEMS
    assert [contender.n for contender in result.contenders] == [ITEMS, ITEMS]


def test_another_seed_asks_other_questions(tmp_path: Path) -> None:
    with serve(right) as endpoint:
        suite = suite_at(tmp_path, endpoint.url)
        evaluate(suite, RunOptions(seed=5))
        assert not evaluate(suite, RunOptions()).up_to_date
    assert {body["seed"] for body in endpoint.bodies} == {3, 5}


@pytest.mark.parametrize(("end", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_run_that_is_ended_goes_on_and_pays_for_nothing_twice(tmp_path: Path, end: signal.Signals, code: int) -> None:
    process: list[subprocess.Popen[str]] = []
    enough = threading.Event()

    def answer(question: str, times: int) -> Answer:
        if len(endpoint.asked) == 7:
            enough.set()
        return Answer(body=right(question).body, delay_s=0.1)

    with serve(answer) as endpoint:
        suite = suite_at(tmp_path, endpoint.url)
        command = [sys.executable, "-c", "from evalkit.cli.main import main; main()", "run", str(suite)]
        process.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        assert enough.wait(300)
        process[0].send_signal(end)
        said = process[0].communicate(timeout=300)[1]
        result = evaluate(suite, RunOptions()).result

    assert process[0].returncode == code
    assert "Traceback" not in said
    assert result.contenders[0].n == ITEMS
    assert result.environment["asked"] < ITEMS
    # Answers on their way to a killed process are lost; Ctrl-C and SIGTERM wait for them.
    assert len(endpoint.asked) <= ITEMS + (FAST["concurrency"] if end == signal.SIGKILL else 0)


def test_answers_that_cannot_be_kept_stop_the_run(tmp_path: Path) -> None:
    def answer(question: str, times: int) -> Answer:
        if len(endpoint.asked) == 5:
            with sqlite3.connect(tmp_path / "results" / "answers.sqlite") as connection:
                connection.execute("DROP TABLE answers")
        return right(question)

    with pytest.raises(ServiceError, match="no such table"), serve(answer) as endpoint:
        evaluate(suite_at(tmp_path, endpoint.url), RunOptions())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint": {"base_url": "https://user:hush@host/v1"}}, "holds more than a place"),
        ({"endpoint": {"base_url": "http://host.example/v1", "key_env": "K"}}, "clear text"),
        ({"endpoint": {"extra_body": {"seed": 1}}}, "the suite's own settings"),
        ({"budget": {"cost": 1.0}}, "has no price"),
        ({"contenders": [{"name": "local"}], "generation": {"temperature": 1}}, "answer greedily"),
        ({"contenders": [{"name": "x", "run": "r", "endpoint": {"model": "m"}}]}, "takes no run or replay"),
    ],
)
def test_settings_that_contradict_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate(suite_at(tmp_path, "http://127.0.0.1:9/v1", **changes), RunOptions())
    assert words in str(caught.value)
    assert "hush" not in str(caught.value)


def test_the_plan_says_what_it_costs_and_takes_before_and_after_answers_are_kept(tmp_path: Path, run_cli: Run) -> None:
    price = {"prompt": 1.0, "completion": 10.0, "as_of": "2026-11-01"}
    with serve(right) as endpoint:
        suite = suite_at(tmp_path, endpoint.url, endpoint={"price": price}, budget={"cost": 1.0})
        before = plan(suite, RunOptions())
        assert not endpoint.asked
        evaluate(suite, RunOptions(limit=6))
        after = plan(suite, RunOptions())
        printed = run_cli("evalkit", "plan", suite)

    [asked] = before["contenders"]
    assert (asked["questions"], asked["answers_kept"], asked["estimated"]) == (ITEMS, 0, True)
    prompt_cost = asked["prompt_tokens"] * 1.0 / 1e6
    assert asked["cost"]["at_most"] == pytest.approx(prompt_cost + ITEMS * 40 * 10.0 / 1e6)
    assert before["total"]["cost"]["expected"] is None
    assert before["total"]["seconds"] == pytest.approx(ITEMS * 40 / 50 / FAST["concurrency"])
    assert after["contenders"][0]["answers_kept"] == 6
    assert after["total"]["cost"]["expected"] < after["total"]["cost"]["at_most"] < asked["cost"]["at_most"]
    assert "cost: at most" in printed.stdout
    assert "budget: cost 1" in printed.stdout
