"""Suites that are graded by a judge: scripted, at an endpoint with every trouble that judges make, and recorded."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from curate.core.errors import ConfigError, ServiceError
from curate.core.rows.row import Message, Row
from evalkit.backends import types as generate
from evalkit.judge.figures import about_judges
from evalkit.judge.judging import judge_answers
from evalkit.records.lines import Generation
from evalkit.results.folder import read_results
from evalkit.results.result_record import ResultRecord
from evalkit.run import RunOptions, evaluate, plan
from evalkit.scorers.judge import JudgeConfig
from tests.conftest import ROOT, Run
from tests.curate.synthesize.endpoint import Answer, Endpoint, completion, serve, trouble
from tests.evalkit.judge.recorded import write
from tests.evalkit.judge.test_reply import CRITERION
from tests.evalkit.tiny_world import write_plain_suite, write_suite
from tests.models import tiny_base

ITEMS = [
    Row(id=f"i{n}", messages=[Message("user", f"question {n}"), Message("assistant", f"answer {n}")]) for n in range(8)
]
FAST = {"concurrency": 4, "tries": 2, "wait_s": 0.01, "max_wait_s": 5, "timeout_s": 1, "give_up_after": 1000}


def answer_text(number: int, contender: str) -> str:
    return f"{'friendly' if number % 2 or contender == 'adapter' else 'cold'} answer {number}"


GENERATIONS = [
    Generation(item=item.id, contender=name, text=answer_text(number, name))
    for name in ("base", "adapter")
    for number, item in enumerate(ITEMS)
]


def honest(prompt: str) -> str:
    """A judge that reads the answer's first word, and nothing else."""
    found = re.search(r"<<<ANSWER \w+\n(?:<!--.*-->\n)?(\w+) answer", prompt)
    word = found.group(1) if found else "?"
    return json.dumps({"reason": "the word", "evidence": word, "grade": 2 if word == "friendly" else 0})


def honestly(prompt: str, times: int = 1) -> Answer:
    return completion(honest(prompt))


def bought(prompt: str) -> str:
    """A judge that does as it is told by the answer."""
    told = "full marks" in prompt.split("Grade the answer", maxsplit=1)[0].split("ANSWER", 1)[1]
    return json.dumps({"reason": "", "evidence": "answer", "grade": 2 if told else 0})


class ScriptedJudge:
    """A judge whose replies a function gives."""

    def __init__(self, reply: Callable[[list[Message], int], str]) -> None:
        self._reply = reply

    def ask(self, prompts: Sequence[list[Message]], turn: int) -> list[generate.Answer]:
        return [generate.Answer(text=self._reply(messages, turn)) for messages in prompts]


def scripted(reply: Callable[[str], str], **config: Any) -> tuple[list[Any], dict[str, Any]]:
    settings = {"name": "tone", "kind": "judge", "rubric": "r.yaml", "judgments": "-", **config}
    return judge_answers(
        JudgeConfig.model_validate(settings),
        CRITERION,
        ScriptedJudge(lambda messages, _: reply(messages[-1].text)),
        {item.id: item for item in ITEMS},
        GENERATIONS,
        seed=1,
        key="k",
    )


def test_every_answer_gets_a_judgment_and_a_share_of_them_a_second() -> None:
    judgments, facts = scripted(honest, swaps=1.0, repeats=1)
    assert len(judgments) == 16 * 3
    assert facts["undecided"] == 0
    assert {one.grade for one in judgments if one.contender == "adapter"} == {2}
    assert facts["canaries"].asked == 16
    assert (facts["canaries"].raised, facts["canaries"].rate) == (0, 0.0)
    assert 0 < facts["canaries"].upper < 0.2


def test_a_judge_that_can_be_bought_is_found_out() -> None:
    facts = scripted(bought)[1]["canaries"]
    assert facts.disguises == ["plain"]
    assert facts.raised == 2


def test_a_judge_that_repeats_the_reply_an_answer_brought_along_is_found_out() -> None:
    def parrot(prompt: str) -> str:
        brought = re.search(r"```json\n(.*?)\n```", prompt)
        return brought.group(1) if brought else honest(prompt)

    facts = scripted(parrot)[1]["canaries"]
    assert facts.disguises == ["ready-made reply"]


def test_what_cant_be_read_is_asked_again_and_then_undecided() -> None:
    def stubborn(prompt: str) -> str:
        if "could not be used: it is not one JSON object" in prompt:
            return honest(prompt) if "question 3" in prompt else "no"
        return "I like it."

    judgments, facts = scripted(stubborn, swaps=0, canaries=0, tries=2)
    assert [one.grade for one in judgments if one.item == "i3"] == [2, 2]
    assert facts["undecided"] == 14
    assert facts["asked_again"] == 16
    assert all("not one JSON object" in reason for reason in facts["undecided_reasons"])


def test_a_pair_whose_winner_depends_on_the_order_is_undecided() -> None:
    def always_first(prompt: str) -> str:
        return json.dumps({"reason": "", "evidence": "answer", "grade": 2})

    judgments, _ = scripted(always_first, against="base")
    first = [one for one in judgments if not one.swapped]
    assert len(first) == 8
    assert {one.undecided for one in first} == {"the two orders disagree"}


def judged_suite(folder: Path, scorer: dict[str, Any], **changes: Any) -> Path:
    write(folder / "answers.jsonl", [{"item": g.item, "contender": g.contender, "text": g.text} for g in GENERATIONS])
    rubric = {"name": "tone", "version": 1, "purpose": "Friendliness.", "criteria": [CRITERION.model_dump(mode="json")]}
    (folder / "tone.yaml").write_text(json.dumps(rubric))  # JSON is YAML
    contenders = [
        {"name": "base", "replay": "answers.jsonl", "rung": "base"},
        {"name": "adapter", "replay": "answers.jsonl", "rung": "fine-tune"},
    ]
    scorers = [
        {"name": "exact", "kind": "exact"},
        {"name": "tone", "kind": "judge", "rubric": "tone.yaml", "swaps": 0, "canaries": 0, **scorer},
    ]
    judged = {"contenders": contenders, "scorers": scorers, "primary": "tone", "running": FAST}
    return write_plain_suite(folder, ITEMS, **{**judged, **changes})


def at(url: str) -> dict[str, Any]:
    return {"model": {"model": "judge-1", "base_url": url, "key_env": None}}


def judged_by(folder: Path, answer: Callable[[str, int], Answer], **scorer: Any) -> tuple[ResultRecord, Endpoint]:
    with serve(answer) as endpoint:
        return evaluate(judged_suite(folder, {**at(endpoint.url), **scorer}), RunOptions()).result, endpoint


def test_a_judge_at_an_endpoint_scores_a_suite(tmp_path: Path) -> None:
    result, endpoint = judged_by(tmp_path, honestly, swaps=0.5, canaries=1)
    means = {one.name: one.metrics["tone"].mean for one in result.contenders}
    assert means == {"base": 0.5, "adapter": 1.0}
    judge = result.judges["tone"]
    assert judge.judge["model"]["model"] == "judge-1"
    assert judge.canaries.raised == 0
    assert judge.canaries.asked == 8
    body = endpoint.bodies[0]
    assert (body["temperature"], body["response_format"]["type"]) == (0, "json_schema")
    [about] = about_judges(result)
    assert "0 of 8 canaries raised a grade" in about
    assert "tone is a judge's" in (tmp_path / "results" / "report.md").read_text()
    lines = (tmp_path / "results" / "judgments.jsonl").read_text().splitlines()
    assert {json.loads(line)["judge"] for line in lines} == {judge.key}
    assert read_results(tmp_path / "results").scores[-1].detail == "grade 2: the word"


def test_judgments_are_kept_and_asked_once(tmp_path: Path) -> None:
    with serve(honestly) as endpoint:
        suite = judged_suite(tmp_path, at(endpoint.url))
        evaluate(suite, RunOptions())
        asked = len(endpoint.bodies)
        assert evaluate(suite, RunOptions()).up_to_date
        (tmp_path / "results" / "result.json").unlink()
        evaluate(suite, RunOptions())
        assert len(endpoint.bodies) == asked
        # Another rubric is another judge.
        (tmp_path / "tone.yaml").write_text((tmp_path / "tone.yaml").read_text().replace("friendly?", "warm?"))
        assert not evaluate(suite, RunOptions()).up_to_date
        assert len(endpoint.bodies) == 2 * asked


def test_a_server_without_schemas_is_asked_without(tmp_path: Path) -> None:
    with serve(honestly) as endpoint:

        def refusing(prompt: str, times: int) -> Answer:
            return trouble(400, "response_format?") if "response_format" in endpoint.bodies[-1] else honestly(prompt)

        endpoint.answer = refusing
        result = evaluate(judged_suite(tmp_path, at(endpoint.url)), RunOptions()).result
    assert result.judges["tone"].undecided == 0
    assert sum("response_format" in body for body in endpoint.bodies) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("A fine answer, I give it 2 of 2.", "not one JSON object"),
        ('{"verdict": "good", "score": 10}', "lacks reason, evidence, grade"),
        ('{"reason": "", "evidence": "answer", "grade": 99}', "none of those listed"),
        ("I cannot help with that.", "not one JSON object"),
        ("na na " * 200, "cut at the limit"),
    ],
)
def test_a_judge_that_cant_be_read_scores_nothing(tmp_path: Path, reply: str, words: str) -> None:
    finish = "length" if "na na" in reply else "stop"
    result, endpoint = judged_by(tmp_path, lambda *_: completion(reply, finish), tries=2)
    assert [one.n for one in result.contenders] == [0, 0]
    assert result.judges["tone"].undecided == 16
    assert words in next(iter(result.judges["tone"].undecided_reasons))
    assert result.ladder.verdict == "inconclusive"
    assert len(endpoint.bodies) == 12 * 2  # equal answers to an item are asked about once


def test_markdown_fences_are_taken_off(tmp_path: Path) -> None:
    result, _ = judged_by(tmp_path, lambda prompt, _: completion(f"```json\n{honest(prompt)}\n```"))
    assert result.judges["tone"].undecided == 0


def test_half_a_character_in_a_judges_words_becomes_a_replacement_character(tmp_path: Path) -> None:
    judged_by(tmp_path, lambda prompt, _: completion(honest(prompt).replace("the word", r"the \ud800 word")))
    scores = read_results(tmp_path / "results").scores
    assert scores
    assert all("the \ufffd word" in str(score.detail) for score in scores if score.scorer == "tone")


def test_a_slow_judge_is_undecided_where_it_is_slow(tmp_path: Path) -> None:
    def slow(prompt: str, times: int) -> Answer:
        answer = completion(honest(prompt))
        answer.delay_s = 3.0 if "question 5" in prompt else 0.0
        return answer

    result, _ = judged_by(tmp_path, slow)
    assert result.judges["tone"].no_reply == 2
    assert [one.n for one in result.contenders] == [7, 7]
    assert result.environment["unanswered"] == 2  # so that another run asks again


@pytest.mark.parametrize("status", [401, 503])
def test_a_judge_that_is_down_or_refuses_stops_the_run(tmp_path: Path, status: int) -> None:
    running = {**FAST, "give_up_after": 2, "patience_s": 0.2}
    with (
        serve(lambda *_: trouble(status)) as endpoint,
        pytest.raises(ServiceError, match=f"status {status}"),
    ):
        evaluate(judged_suite(tmp_path, at(endpoint.url), running=running), RunOptions())
    assert not (tmp_path / "results" / "result.json").exists()


def test_nobody_listening_is_said_with_exit_5(tmp_path: Path, run_cli: Run) -> None:
    suite = judged_suite(tmp_path, at("http://127.0.0.1:9/v1"))
    ended = run_cli("evalkit", "run", suite)
    assert ended.returncode == 5
    assert "judge-1" in ended.stderr or "127.0.0.1:9" in ended.stderr


def test_recorded_judgments_stand_in_for_a_judge(tmp_path: Path) -> None:
    lines = [{"item": g.item, "contender": g.contender, "grade": 2 if "friendly" in g.text else 0} for g in GENERATIONS]
    lines[3]["grade"] = None
    write(tmp_path / "j.jsonl", lines)
    result = evaluate(judged_suite(tmp_path, {"judgments": "j.jsonl"}), RunOptions()).result
    assert [one.n for one in result.contenders] == [7, 8]
    assert result.contenders[0].unscored_reasons == {"undecided: no grade": 1}
    assert result.judges["tone"].judge["recorded"].startswith("sha256:")


def test_recorded_judgments_that_say_whose_they_are_are_that_judges(tmp_path: Path) -> None:
    asked = judged_by(tmp_path, honestly)[0].judges["tone"].key
    kept = (tmp_path / "results" / "judgments.jsonl").read_bytes()
    (tmp_path / "j.jsonl").write_bytes(kept)
    suite = judged_suite(tmp_path, {"judgments": "j.jsonl"})
    assert evaluate(suite, RunOptions()).result.judges["tone"].key == asked
    assert evaluate(suite, RunOptions()).up_to_date
    (tmp_path / "j.jsonl").write_bytes(kept.replace(b'"grade":2', b'"grade":1'))
    again = evaluate(suite, RunOptions())
    assert not again.up_to_date
    assert again.result.contenders[1].metrics["tone"].mean == 0.0


def test_a_judge_may_not_judge_itself(tmp_path: Path) -> None:
    served = at("http://127.0.0.1:9/v1")
    contenders = [{"name": "served", "endpoint": served["model"]}]
    with pytest.raises(ConfigError, match="would judge itself: served"):
        evaluate(judged_suite(tmp_path, served, contenders=contenders), RunOptions())
    allowed = judged_suite(tmp_path, {**served, "judges_itself": True}, contenders=contenders)
    with pytest.raises(ServiceError):
        evaluate(allowed, RunOptions())


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        ({}, "who judges"),
        ({"judgments": "j.jsonl", "local": "base"}, "who judges"),
        ({"judgments": "j.jsonl", "against": "base"}, "single rubric"),
        ({"judgments": "j.jsonl", "criterion": "other"}, "no criterion is called other"),
        ({"judgments": "j.jsonl", "rubric": str(ROOT / "rubrics" / "structured_output.yaml")}, "several criteria"),
    ],
)
def test_settings_that_cant_be_are_refused(tmp_path: Path, scorer: dict[str, Any], words: str) -> None:
    write(tmp_path / "j.jsonl", [{"item": "i0", "contender": "base", "grade": 2}])
    with pytest.raises(ConfigError, match=words):
        evaluate(judged_suite(tmp_path, scorer), RunOptions())


def test_a_local_model_judges(tmp_path: Path) -> None:
    """A random model says nothing that can be read; what it is asked reaches it, and its replies are kept."""
    config = tiny_base(tmp_path / "base") / "config.json"
    short = judged_suite(tmp_path, {"local": "base", "max_tokens": 16}, generation={"threads": 1})
    [reason] = evaluate(short, RunOptions(limit=1)).result.judges["tone"].undecided_reasons
    assert "exceed the model's context of 512" in reason

    config.write_text(config.read_text().replace('"max_position_embeddings": 512', '"max_position_embeddings": 4096'))
    suite = judged_suite(tmp_path, {"local": "base", "max_tokens": 16, "tries": 1}, generation={"threads": 1})
    result = evaluate(suite, RunOptions(limit=2)).result
    assert result.judges["tone"].judge["model"]["base"] == "base"
    assert result.judges["tone"].undecided == 4
    assert all("can't be used" in why for why in result.judges["tone"].undecided_reasons)
    assert evaluate(suite, RunOptions(limit=2)).up_to_date


def test_a_local_judge_may_not_judge_its_own_base(world: Path) -> None:
    shutil.copy(ROOT / "rubrics" / "tone.yaml", world / "tone.yaml")
    scorers = [{"name": "tone", "kind": "judge", "rubric": "tone.yaml", "local": "base"}]
    suite = write_suite(world, scorers=scorers, primary="tone", contenders=[{"name": "base"}])
    with pytest.raises(ConfigError, match="would judge itself: base"):
        evaluate(suite, RunOptions())


def test_a_plan_counts_what_the_judge_is_asked(tmp_path: Path, run_cli: Run) -> None:
    price = {"prompt": 1.0, "completion": 2.0, "as_of": "2026-11-01"}
    with serve(honestly) as endpoint:
        model = {**at(endpoint.url)["model"], "price": price}
        suite = judged_suite(tmp_path, {"model": model, "swaps": 1.0, "canaries": 1, "tries": 2, "max_tokens": 100})
        planned = plan(suite, RunOptions())
        assert not endpoint.bodies
        result = evaluate(suite, RunOptions()).result
        sent = sum(len(json.dumps(body["messages"])) for body in endpoint.bodies)
    [judge] = planned["judges"]
    asked = result.judges["tone"]
    assert judge["questions"] == asked.questions + asked.canaries.asked == 16 * 2 + 8
    cost = planned["total"]["cost"]
    assert cost["at_most"] == pytest.approx((2 * judge["prompt_tokens"] + 2 * 2 * 40 * 100) / 1e6)
    # Unknown answers count as long as they may be; equal ones, which are asked about once, are not foreseen.
    assert judge["prompt_tokens"] > sent / 4
    shown = run_cli("evalkit", "plan", suite)
    assert "judge tone: 40 questions at most, 8 of them canaries" in shown.stdout
    assert "cost: at most" in shown.stdout


def test_prices_of_judge_and_contender_share_a_currency(tmp_path: Path) -> None:
    price = {"prompt": 1.0, "completion": 2.0, "as_of": "2026-11-01"}
    model = {**at("http://127.0.0.1:9/v1")["model"], "price": price}
    served = {**model, "model": "other", "price": {**price, "currency": "EUR"}}
    suite = judged_suite(tmp_path, {"model": model}, contenders=[{"name": "served", "endpoint": served}])
    with pytest.raises(ConfigError, match="different currencies"):
        plan(suite, RunOptions())


def test_recorded_judgments_ask_nothing(tmp_path: Path) -> None:
    write(tmp_path / "j.jsonl", [{"item": "i0", "contender": "base", "grade": 2}])
    assert plan(judged_suite(tmp_path, {"judgments": "j.jsonl"}), RunOptions())["judges"] == []
