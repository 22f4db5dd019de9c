"""A synthesis against a real HTTP endpoint that misbehaves in every way that endpoints do."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.core.config_file import load_config, parse_config
from curate.core.errors import ConfigError, ProvenanceError, ServiceError
from curate.core.files import decode_lines
from curate.core.records import read_record
from curate.core.rows.row import Message, Row, encode_row
from curate.synthesize.config import Synthesize
from curate.synthesize.job import Synthesis, plan_synthesis, run_synthesis
from curate.synthesize.journal import Journal, read_journal
from curate.synthesize.teacher import ScriptedTeacher
from curate.table.rejections import Rejection
from tests.conftest import ROOT
from tests.curate.synthesize.endpoint import Answer, completion, serve, trouble

KEY = "sk-this-must-stay-secret"
SCHEMA = {
    "type": "object",
    "required": ["prompt", "answer"],
    "properties": {"prompt": {"type": "string", "minLength": 1}, "answer": {"type": "string"}},
}


@pytest.fixture(autouse=True)
def _key_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with six seeds, a prompt and a schema. Whatever a test does, no file in it may hold the key."""
    seeds = [
        Row(
            id=f"s{number}",
            messages=[Message("system", "Be kind."), Message("user", f"seed {number}"), Message("assistant", "yes")],
            label="refund",
            group=f"g{number}",
        )
        for number in range(6)
    ]
    (tmp_path / "seeds.jsonl").write_bytes(b"\n".join(map(encode_row, seeds)) + b"\n")
    (tmp_path / "prompt.md").write_text("{{ prompt }} #{{ number }}\n")
    (tmp_path / "reply.json").write_text(json.dumps(SCHEMA))
    yield tmp_path
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


def settings(url: str = "http://127.0.0.1:9/v1", **more: Any) -> Synthesize:
    teacher = {"model": "tutor", "base_url": url, "key_env": "TEACHER_KEY", "wait_s": 0.01, "concurrency": 2}
    values = {
        "name": "variants",
        "output": "out",
        "seeds": {"name": "seeds", "path": "seeds.jsonl"},
        "prompt": "prompt.md",
        "reply_schema": "reply.json",
        "budget": {"calls": 100},
        **more,
        "teacher": {**teacher, **more.get("teacher", {})},
    }
    return Synthesize.model_validate(values)


def good(question: str, _: int = 1) -> Answer:
    return completion(json.dumps({"prompt": f"about {question}", "answer": "gladly"}))


def reasons(result: Synthesis) -> Counter[str]:
    return Counter(rejection.reason for rejection in result.rejections)


def first_then(first: Answer) -> Callable[[str, int], Answer]:
    return lambda question, times: first if times == 1 else good(question)


def test_rows_say_where_they_come_from(folder: Path) -> None:
    with serve(good) as endpoint:
        result = run_synthesis(settings(endpoint.url, per_seed=2), folder)
    assert len(result.rows) == 12
    assert endpoint.keys == {f"Bearer {KEY}"}
    assert endpoint.bodies[0] == {
        "model": "tutor",
        "messages": endpoint.bodies[0]["messages"],
        "max_tokens": 1024,
        "temperature": 0.7,
    }
    row = result.rows[3]
    assert [message.text for message in row.messages] == ["Be kind.", "about seed 1 #2", "gladly"]
    assert (row.source, row.origin, row.label, row.group) == ("variants", "synthetic", "refund", "g1")
    origin = row.meta["synthetic"]
    assert (origin["teacher"], origin["answered_by"], origin["seed_row"]) == ("tutor", "tutor-2026", "s1")
    assert (origin["temperature"], origin["number"]) == (0.7, 2)
    assert origin["prompt"].startswith("sha256:")
    out = folder / "out"
    assert list(decode_lines(out / "rows.jsonl", Row)) == result.rows
    record = read_record(out / "synthesis.json")
    assert record["requests"] == {**record["requests"], "planned": 12, "replies": 12, "failed": 0, "unasked": 0}
    assert record["spent"] == {"calls": 12, "prompt_tokens": 240, "completion_tokens": 120, "money": None}
    environment = record.pop("environment")
    assert environment["base_url"] == endpoint.url
    assert "127.0.0.1" not in json.dumps(record)


def test_a_finished_run_asks_nothing_and_needs_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(good) as endpoint:
        run_synthesis(settings(endpoint.url), folder)
        before = {path.name: path.read_bytes() for path in (folder / "out").glob("*.jsonl")}
        monkeypatch.delenv("TEACHER_KEY")
        run_synthesis(settings(endpoint.url), folder)
        assert len(endpoint.asked) == 6
    assert {path.name: path.read_bytes() for path in (folder / "out").glob("*.jsonl")} == before


def test_the_order_of_replies_changes_no_byte(folder: Path) -> None:
    def answer(question: str, _: int) -> Answer:
        return completion("prose") if "seed 3" in question else good(question)

    with serve(answer) as endpoint:
        for output, concurrency in (("one", 1), ("six", 6)):
            teacher = {"concurrency": concurrency}
            run_synthesis(settings(endpoint.url, output=output, teacher=teacher), folder)
    for name in ("rows.jsonl", "rejected.jsonl", "audit.jsonl"):
        assert (folder / "one" / name).read_bytes() == (folder / "six" / name).read_bytes()


@pytest.mark.parametrize(
    "first",
    [
        trouble(429, retry_after="0"),
        trouble(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
        trouble(500),
        trouble(503, retry_after="0.02"),
        Answer(body=b'{"id": "c1", "choices": [{"ind'),
        Answer(body=b'{"choices": [', cut=True),
        Answer(body=b"<html>busy</html>"),
        Answer(body=b'{"choices": []}'),
        Answer(body=b'{"choices": [{"message": "hello"}]}'),
        Answer(body=b"null"),
    ],
    ids=["429", "429-date", "500", "503", "half-json", "cut-body", "html", "no-choice", "odd-choice", "null"],
)
def test_trouble_that_passes_is_tried_again(folder: Path, first: Answer) -> None:
    with serve(first_then(first)) as endpoint:
        result = run_synthesis(settings(endpoint.url), folder)
    assert len(result.rows) == 6
    assert set(Counter(endpoint.asked).values()) == {2}
    assert result.record["spent"]["calls"] == 12


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (completion("Sure! Here is a row for you."), "not-json"),
        (completion('{"prompt": "a", "ans'), "not-json"),
        (completion('Here:\n```json\n{"prompt": "a", "answer": "b"}\n```'), "not-json"),
        (completion(""), "not-json"),
        (completion(None), "not-json"),
        (completion("[" * 100_000), "not-json"),
        (completion('{"prompt": "a", "answer": "b"', finish="length"), "cut-off"),
        (completion(None, finish="content_filter"), "refused"),
        (completion(None, refusal="I can't help with that."), "refused"),
        (completion('{"prompt": "a"}'), "wrong-schema"),
        (completion('{"prompt": "", "answer": "b"}'), "wrong-schema"),
        (completion('{"prompt": "a", "answer": "b", "label": 7}'), "not-a-row"),
        (completion('{"prompt": "a", "answer": "b", "meta": [1]}'), "not-a-row"),
    ],
)
def test_a_bad_reply_is_a_rejection_and_is_not_paid_for_again(folder: Path, answer: Answer, reason: str) -> None:
    def bad_once(question: str, _: int) -> Answer:
        return answer if "seed 2" in question else good(question)

    with serve(bad_once) as endpoint:
        run_synthesis(settings(endpoint.url), folder)
        result = run_synthesis(settings(endpoint.url), folder)
        assert len(endpoint.asked) == 6
    assert len(result.rows) == 5
    assert reasons(result) == {reason: 1}
    written = next(decode_lines(folder / "out" / "rejected.jsonl", Rejection))
    assert (written.path, written.line, written.stage) == ("seeds.jsonl", 3, "synthesize")
    assert written.detail.startswith("seed row s2, request 1: ")


def test_a_code_block_around_the_json_and_rows_in_a_list_are_taken(folder: Path) -> None:
    (folder / "reply.json").write_text("true")
    reply = {"rows": [{"prompt": "a", "answer": {"name": None}}, {"prompt": "b", "answer": "x", "hard": True}]}
    with serve(lambda *_: completion(f"```json\n{json.dumps(reply)}\n```")) as endpoint:
        result = run_synthesis(settings(endpoint.url, max_seeds=2, label="made"), folder)
    assert [row.answer for row in result.rows] == ['{"name":null}', "x"]
    assert result.rows[1].meta["hard"] is True
    assert result.rows[0].label == "made"
    assert reasons(result) == {"repeated": 2}
    assert result.rejections[0].because_of is not None
    assert result.rejections[0].because_of.id == result.rows[0].id


def test_an_adapter_makes_the_rows(folder: Path) -> None:
    (folder / "rows.py").write_text(
        "def make(reply, seed):\n"
        "    if seed['id'] == 's1':\n        raise KeyError('missing')\n"
        "    if seed['id'] == 's2':\n        return []\n"
        "    if seed['id'] == 's3':\n        return {}\n"
        "    return [{'prompt': seed['id'], 'answer': reply['answer']}]\n"
    )
    with serve(good) as endpoint:
        result = run_synthesis(settings(endpoint.url, adapter="rows.py:make"), folder)
    assert [row.messages[1].text for row in result.rows] == ["s0", "s4", "s5"]
    assert reasons(result) == {"adapter-failed": 2, "no-rows": 1}


def test_requests_that_get_no_reply_are_said_and_asked_again_next_time(folder: Path) -> None:
    broken = True

    def answer(question: str, _: int) -> Answer:
        return trouble(400, "bad\x1b[31m request") if broken and "seed 4" in question else good(question)

    with serve(answer) as endpoint:
        result = run_synthesis(settings(endpoint.url), folder)
        assert reasons(result) == {"no-reply": 1}
        assert result.rejections[0].detail == "seed row s4, request 1: status 400: bad [31m request"
        broken = False
        assert len(run_synthesis(settings(endpoint.url), folder).rows) == 6
        assert len(endpoint.asked) == 7


def test_an_endpoint_that_stays_silent_is_given_up(folder: Path) -> None:
    with serve(lambda *_: trouble(500)) as endpoint:
        with pytest.raises(ServiceError, match="3 requests in a row got no reply; the last: status 500"):
            run_synthesis(settings(endpoint.url, give_up_after=3, teacher={"tries": 2, "concurrency": 1}), folder)
        assert len(endpoint.asked) == 6
        endpoint.answer = good
        assert len(run_synthesis(settings(endpoint.url), folder).rows) == 6


@pytest.mark.parametrize(
    "answer",
    [
        trouble(401, f"Incorrect API key provided: {KEY}."),
        trouble(403, f"{KEY} may not"),
        trouble(429, f"no money left on {KEY}", code="insufficient_quota"),
    ],
    ids=["401", "403", "quota"],
)
def test_a_hopeless_endpoint_stops_at_once_and_the_key_stays_secret(
    folder: Path, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(lambda *_: answer) as endpoint, pytest.raises(ServiceError) as caught:
        run_synthesis(settings(endpoint.url, teacher={"concurrency": 1}), folder)
    assert len(endpoint.asked) == 1
    assert "***" in str(caught.value)
    assert KEY not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is None


def test_a_key_in_a_reply_reaches_no_file(folder: Path) -> None:
    with serve(lambda *_: completion(json.dumps({"prompt": KEY, "answer": "b"}))) as endpoint:
        result = run_synthesis(settings(endpoint.url, max_seeds=1), folder)
    assert result.rows[0].messages[1].text == "***"


def test_nobody_listening_is_a_service_error_and_costs_no_tokens(folder: Path) -> None:
    with serve(good) as endpoint:
        url = endpoint.url  # a port where nothing listens any more
    with pytest.raises(ServiceError, match="the connection failed"):
        run_synthesis(settings(url, give_up_after=1, teacher={"tries": 2, "concurrency": 1}), folder)
    assert plan_synthesis(settings(url), folder).spent.prompt_tokens == 0


def test_a_wait_that_is_too_long_is_not_waited_for(folder: Path) -> None:
    with serve(lambda *_: trouble(429, retry_after="86400")) as endpoint:
        with pytest.raises(ServiceError, match="2 requests in a row"):
            run_synthesis(settings(endpoint.url, give_up_after=2, teacher={"concurrency": 1}), folder)
        assert len(endpoint.asked) == 2


def test_concurrency_is_used_and_bounded(folder: Path) -> None:
    together = threading.Barrier(3)

    def answer(question: str, _: int) -> Answer:
        together.wait(timeout=20)  # breaks, and the test with it, unless three requests are under way at once
        return good(question)

    with serve(answer) as endpoint:
        result = run_synthesis(settings(endpoint.url, teacher={"concurrency": 3}), folder)
    assert len(result.rows) == 6
    assert endpoint.most_busy == 3


@pytest.mark.parametrize("limit", [{"calls": 4}, {"tokens": 1110}, {"money": 0.00215}])
def test_a_budget_is_never_exceeded_and_a_larger_one_goes_on(folder: Path, limit: dict[str, float]) -> None:
    more = {"prices": {"tutor": {"prompt": 1.0, "completion": 2.0}}, "teacher": {"concurrency": 1, "max_tokens": 1000}}
    with serve(good) as endpoint:
        result = run_synthesis(settings(endpoint.url, budget=limit, **more), folder)
        spent = result.record["spent"]
        assert 0 < len(result.rows) < 6
        assert result.unasked == 6 - len(result.rows)
        assert spent["calls"] <= limit.get("calls", 100)
        # What a reply might cost has to fit, so the last ones are left out before the budget is used up.
        assert spent["prompt_tokens"] + spent["completion_tokens"] <= limit.get("tokens", 10_000)
        assert spent["money"] <= limit.get("money", 1)
        assert run_synthesis(settings(endpoint.url, budget={"calls": 100}, **more), folder).unasked == 0
        assert len(endpoint.asked) == 6


def test_missing_usage_counts_as_the_most_it_can_be(folder: Path) -> None:
    reply = completion('{"prompt": "a", "answer": "b"}', usage=False)
    with serve(lambda *_: reply) as endpoint:
        result = run_synthesis(settings(endpoint.url, max_seeds=1), folder)
    assert result.record["spent"]["completion_tokens"] == 1024


def test_a_killed_run_pays_for_nothing_twice(folder: Path) -> None:
    reached, release = threading.Event(), threading.Event()

    def answer(question: str, times: int) -> Answer:
        if "seed 3" in question and times == 1:
            reached.set()
            release.wait(timeout=60)
        return good(question)

    with serve(answer) as endpoint:
        config = settings(endpoint.url, teacher={"concurrency": 1})
        (folder / "synthesize.json").write_text(config.model_dump_json())
        code = (
            "import sys; from pathlib import Path; from curate.core.config_file import load_config\n"
            "from curate.synthesize.config import Synthesize; from curate.synthesize.job import run_synthesis\n"
            "path = Path(sys.argv[1]); run_synthesis(load_config(path, Synthesize), path.parent)"
        )
        process = subprocess.Popen([sys.executable, "-c", code, str(folder / "synthesize.json")], cwd=ROOT)
        try:
            assert reached.wait(timeout=60)
        finally:
            process.kill()
            process.wait(timeout=60)
            release.set()
        assert not (folder / "out" / "rows.jsonl").exists()
        result = run_synthesis(load_config(folder / "synthesize.json", Synthesize), folder)
    assert len(result.rows) == 6
    asked = Counter(endpoint.asked)
    assert {question for question, times in asked.items() if times > 1} == {"seed 3 #1"}
    # The request that was cut off may have been charged: it stays in the books at its most.
    assert result.record["spent"]["calls"] == 7
    assert result.record["spent"]["completion_tokens"] == 6 * 10 + 1024


def test_an_interrupt_keeps_the_replies_that_were_on_their_way(folder: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with serve(good) as endpoint, pytest.raises(KeyboardInterrupt):
        run_synthesis(settings(endpoint.url), folder, done=interrupt)
    events = Counter(record.event for record in read_journal(folder / "out" / "journal.jsonl"))
    assert events["sent"] == events["reply"] >= 1


def test_a_line_cut_short_by_a_kill_is_passed_over(folder: Path) -> None:
    with serve(good) as endpoint:
        run_synthesis(settings(endpoint.url, max_seeds=2), folder)
        journal = folder / "out" / "journal.jsonl"
        journal.write_bytes(journal.read_bytes() + b'{"event":"reply","key":"sha')
        run_synthesis(settings(endpoint.url), folder)
        assert len(endpoint.asked) == 6
        assert len(read_journal(journal)) == 12
        journal.write_bytes(b"{}\n" + journal.read_bytes())
        with pytest.raises(ProvenanceError, match=r"journal.jsonl:1"):
            run_synthesis(settings(endpoint.url), folder)


def test_two_runs_do_not_write_to_one_journal(folder: Path) -> None:
    with (
        Journal(folder / "out" / "journal.jsonl"),
        pytest.raises(ServiceError, match="another run"),
    ):
        run_synthesis(settings(), folder, teacher=ScriptedTeacher(lambda _: "x"))


def test_a_plan_says_what_a_run_would_cost_and_does_nothing(folder: Path) -> None:
    config = settings(prices={"tutor": {"prompt": 1.0, "completion": 10.0}}, max_seeds=4)
    plan = plan_synthesis(config, folder)
    assert (plan.seeds, plan.requests, plan.answered) == (6, 4, 0)
    assert plan.most_completion_tokens == 4096
    assert plan.most_money == pytest.approx((plan.most_prompt_tokens + 40_960) / 1e6)
    assert not (folder / "out").exists()


def test_what_the_endpoint_is_asked_for_is_what_the_settings_say(folder: Path) -> None:
    (folder / "system.md").write_text("You write {{ seed.label }} rows as {{ schema | length > 10 }}.")
    teacher = {"reply_format": "schema", "limit_as": "max_completion_tokens", "temperature": None,
               "extra_body": {"top_k": 3}, "key_env": None}  # fmt: skip
    with serve(good) as endpoint:
        run_synthesis(settings(endpoint.url, max_seeds=1, system="system.md", teacher=teacher), folder)
    body = endpoint.bodies[0]
    assert body["messages"][0] == {"role": "system", "content": "You write refund rows as True."}
    assert (body["max_completion_tokens"], body["top_k"]) == (1024, 3)
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert not {"temperature", "max_tokens"} & set(body)
    assert KEY not in str(endpoint.keys)


def test_a_template_with_a_hole_is_refused_before_anything_is_asked(folder: Path) -> None:
    (folder / "prompt.md").write_text("{{ sede.label }}")
    with pytest.raises(ConfigError, match="'sede' is undefined"):
        plan_synthesis(settings(), folder)
    (folder / "prompt.md").write_text("{% if %}")
    with pytest.raises(ConfigError, match="not a template"):
        plan_synthesis(settings(), folder)
    (folder / "prompt.md").write_text("{{ ''.__class__.__mro__ }}")
    with pytest.raises(ConfigError, match="template failed"):
        plan_synthesis(settings(), folder)


def test_a_missing_key_names_the_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEACHER_KEY")
    with pytest.raises(ConfigError, match="TEACHER_KEY holds no key"):
        run_synthesis(settings(), folder)
    monkeypatch.setenv("TEACHER_KEY", f"{KEY}\nx")
    with pytest.raises(ConfigError, match="is no key") as caught:
        run_synthesis(settings(), folder)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("teacher", "what"),
    [
        ({"base_url": f"https://user:{KEY}@example.com/v1"}, "keys belong in the environment"),
        ({"base_url": f"https://example.com/v1?key={KEY}"}, "keys belong in the environment"),
        ({"base_url": "http://example.com/v1"}, "clear text"),
        ({"base_url": "example.com"}, "write it as https"),
        ({"extra_body": {"stream": True}}, "stream: not here"),
    ],
)
def test_settings_that_are_unsafe_are_refused_without_showing_them(teacher: dict[str, Any], what: str) -> None:
    values = json.loads(settings().model_dump_json())
    values["teacher"] |= teacher
    with pytest.raises(ConfigError, match=what) as caught:
        parse_config(json.dumps(values), Synthesize, Path("synthesize.yaml"))
    assert KEY not in str(caught.value)


def test_money_needs_a_price_and_a_budget_a_limit() -> None:
    values = json.loads(settings().model_dump_json())
    for budget, what in (({"money": 1.0}, "needs the price of tutor"), ({}, "set calls, tokens or money")):
        with pytest.raises(ConfigError, match=what):
            parse_config(json.dumps({**values, "budget": budget}), Synthesize, Path("synthesize.yaml"))


def test_the_command_plans_asks_goes_on_and_says_when_the_budget_ends(
    folder: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    def write(url: str, calls: int) -> Path:
        made = settings(url, budget={"calls": calls}).model_dump(mode="json", exclude_defaults=True)
        (folder / "synthesize.yaml").write_text(json.dumps(made))
        return folder / "synthesize.yaml"

    with serve(good) as endpoint:
        dry = run_cli("curate", "synthesize", write(endpoint.url, 4), "--dry-run", "--json")
        assert dry.returncode == 0, dry.stderr
        assert json.loads(dry.stdout)["requests"] == 6
        assert endpoint.asked == []
        assert not (folder / "out").exists()
        short = run_cli("curate", "synthesize", write(endpoint.url, 4), "--json")
        assert short.returncode == 6, short.stderr
        assert "2 requests were not asked" in short.stderr
        assert json.loads(short.stdout)["requests"]["unasked"] == 2
        done = run_cli("curate", "synthesize", write(endpoint.url, 100))
        assert done.returncode == 0, done.stderr
        assert "rows" in done.stdout
    assert len(endpoint.asked) == 6
    assert len(list(decode_lines(folder / "out" / "rows.jsonl", Row))) == 6


def test_the_command_says_what_is_missing(
    folder: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings().model_dump(mode="json", exclude_defaults=True)
    (folder / "synthesize.yaml").write_text(json.dumps({**made, "bugdet": 1}))
    wrong = run_cli("curate", "synthesize", folder / "synthesize.yaml")
    assert wrong.returncode == 2
    assert "bugdet: unknown key" in wrong.stderr
    (folder / "synthesize.yaml").write_text(json.dumps(made))
    monkeypatch.delenv("TEACHER_KEY")
    missing = run_cli("curate", "synthesize", folder / "synthesize.yaml")
    assert missing.returncode == 2, missing.stderr
    assert "TEACHER_KEY" in missing.stderr
    assert "Traceback" not in missing.stderr
