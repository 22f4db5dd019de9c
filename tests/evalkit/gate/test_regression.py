"""What worked is asked again: the control beside it, and why comparing with the recorded pass would lie."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from curate.core.rows.row import Message, Row
from evalkit.gate.regression import check, make
from evalkit.records.lines import Generation, Score
from evalkit.results.build_result import ContenderInfo, build_result
from evalkit.results.folder import Results, read_results
from evalkit.run import RunOptions, evaluate
from evalkit.stats.interval import difference_interval, tango_interval
from evalkit.suite.chain import ResultChain
from tests.conftest import Run
from tests.evalkit.tiny_world import write_rows

RIGHT = {"base": 70, "adapter": 66, "worse": 40}


def _rates(rng: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    """How likely a model is to get each prompt right if answers are sampled: 77 % on average, some by luck."""
    return rng.beta(2.0, 0.6, count)


def test_the_recorded_pass_makes_an_identical_model_look_worse_and_the_control_does_not() -> None:
    """Prompts are chosen for one right answer, so for luck too: asked again, the same model gets 17 points fewer."""
    rng = np.random.default_rng(2)
    against_record, gained, lost, sizes = [], [], [], []
    for _ in range(2000):
        rates = _rates(rng, 400)
        chosen = rates[rng.random(400) < rates]
        control, identical = (rng.random(chosen.size) < chosen for _ in range(2))
        against_record.append(identical.mean() - 1)
        gained.append(int((identical & ~control).sum()))
        lost.append(int((control & ~identical).sum()))
        sizes.append(chosen.size)
    assert np.mean(against_record) == pytest.approx(-0.167, abs=0.005)  # E[p^2] / E[p] - 1 of this distribution
    assert (np.sum(gained) - np.sum(lost)) / np.sum(sizes) == pytest.approx(0, abs=0.003)
    highest = tango_interval(gained, lost, sizes, 0.1)[1]
    assert np.mean(highest < 0) == pytest.approx(0.05, abs=0.01)


def test_the_check_finds_a_loss_and_lets_an_equal_pass() -> None:
    """Power and false alarms of non-inferiority at 10 points, one-sided 5 %, on 300 items side by side."""
    rng = np.random.default_rng(3)
    passed = {0.0: 0, 0.15: 0}
    for loss in passed:
        for _ in range(200):
            rates = _rates(rng, 300)
            control = rng.random(300) < rates  # items that were chosen for more than luck alone would differ less
            new = rng.random(300) < rates * (1 - loss / rates.mean())
            low = difference_interval(new.astype(float) - control, None, 0.1).low
            passed[loss] += low > -0.1
    assert passed[0.0] / 200 >= 0.9
    assert passed[0.15] / 200 <= 0.02


def _results(values: dict[str, list[float | None]], **terms: Any) -> Results:
    count = len(next(iter(values.values())))
    items = [Row(id=f"i{index}", messages=[Message("user", "q")]) for index in range(count)]
    scores = [
        Score(item=item.id, contender=name, scorer="right", value=value, unscored=None if value is not None else "why")
        for name, given in values.items()
        for item, value in zip(items, given, strict=True)
    ]
    made = [Generation(item=item.id, contender=name, text="a") for name in values for item in items]
    suite = {"name": "s", "behaviour": "", "primary": "right", "useful_effect": 0.1, "alpha": 0.05, "seed": 0,
             "cluster": None, "min_quality": None,
             "regression": {"control": "base", "margin": 0.05, "must_pass": [], **terms}}  # fmt: skip
    contenders = [ContenderInfo(name, "base" if name == "base" else "fine-tune") for name in values]
    body = build_result(
        suite=suite, items=items, generations=made, scores=scores, chain=ResultChain(), contenders=contenders
    )
    return Results(body, items, made, scores)


@pytest.mark.parametrize(
    ("lost", "gained", "outcome"), [(0, 0, "pass"), (60, 0, "fail"), (3, 0, "pass"), (15, 2, "inconclusive")]
)
def test_outcomes(lost: int, gained: int, outcome: str) -> None:
    base: list[float | None] = [1.0] * (300 - gained) + [0.0] * gained
    new: list[float | None] = [0.0] * lost + [1.0] * (300 - lost)
    [found] = check(_results({"base": base, "adapter": new}))
    assert found.outcome == outcome
    assert len(found.broken) == lost


def test_one_broken_must_pass_item_fails_all() -> None:
    new: list[float | None] = [1.0] * 299 + [0.0]
    [found] = check(_results({"base": [1.0] * 300, "adapter": new}, must_pass=["i7", "i299"]))
    assert (found.outcome, found.must_pass_broken) == ("fail", ["i299"])
    [unscored] = check(_results({"base": [1.0] * 300, "adapter": [1.0] * 299 + [None]}, must_pass=["i299"]))
    assert unscored.outcome == "fail"


def test_what_was_not_scored_counts_as_broken() -> None:
    [found] = check(_results({"base": [1.0] * 100, "adapter": [None] * 30 + [1.0] * 70}))
    assert (found.outcome, found.unscored, found.difference) == ("fail", 30, pytest.approx(-0.3))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A suite of recorded answers that has been run: base right on 70 of 80 items, adapter on 66, worse on 40."""
    items = [
        Row(
            id=f"i{index}",
            messages=[Message("user", f"q{index}"), Message("assistant", "yes")],
            meta={"must_pass": True} if index == 3 else {},
        )
        for index in range(80)
    ]
    write_rows(tmp_path / "items.jsonl", items)
    lines = [
        {"item": item.id, "contender": name, "text": "yes" if index < right else "no"}
        for name, right in RIGHT.items()
        for index, item in enumerate(items)
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    contenders = [{"name": name, "replay": "answers.jsonl"} for name in RIGHT]
    suite = {"name": "s", "items": "items.jsonl", "output": "results", "contenders": contenders, "primary": "right",
             "scorers": [{"name": "right", "kind": "exact"}], "useful_effect": 0.1}  # fmt: skip
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    evaluate(tmp_path / "suite.yaml", RunOptions())
    return tmp_path


def test_a_regression_suite_takes_the_margin_of_its_suite(recorded: Path) -> None:
    path = recorded / "suite.yaml"
    path.write_text(path.read_text() + "margin: 0.02\n")
    evaluate(path, RunOptions())
    made = make(read_results(recorded / "results"), path, "base", None, [], recorded / "regression.yaml")
    assert made.suite["regression"]["margin"] == 0.02


@pytest.mark.slow
def test_a_suite_is_made_run_and_checked(recorded: Path, run_cli: Run) -> None:
    def make(*more: str) -> Any:
        return run_cli("evalkit", "regression", "make", "results", "--suite", "suite.yaml", *more, cwd=recorded)

    tried = make("--dry-run", "--json")
    assert tried.returncode == 0, tried.stderr
    assert not (recorded / "regression.yaml").exists()
    assert json.loads(tried.stdout)["items"] == 70
    assert "can't show a loss of less than 2%, even where none breaks" in make("--dry-run", "--margin", "0.02").stderr
    assert "can't show" not in tried.stderr
    assert make("--must-pass", "i75").returncode == 2
    assert make("--control", "nobody").returncode == 2
    assert make("--must-pass", "i5").returncode == 0

    path = recorded / "regression.yaml"
    text = path.read_text()
    assert text.startswith("# 70 of 80 items that base got right 1 of 1 times")
    suite = yaml.safe_load(text)
    assert [contender["name"] for contender in suite["contenders"]] == ["base"]
    assert suite["regression"] == {"control": "base", "margin": 0.05, "must_pass": ["i3", "i5"]}
    path.write_text(text.replace("contenders:", "contenders:\n- {name: adapter, replay: answers.jsonl}"))
    assert run_cli("evalkit", "run", path).returncode == 0
    results = recorded / "results-regression"

    checked = run_cli("evalkit", "regression", "check", results, "--verdict", recorded / "verdict.json")
    assert checked.returncode == 6, checked.stdout  # 4 of 70 are lost: between the margin and none
    assert checked.stdout.startswith("inconclusive: adapter: between")
    assert json.loads((recorded / "verdict.json").read_text())["outcome"] == "inconclusive"
    path.write_text(path.read_text().replace("name: adapter", "name: worse"))
    run_cli("evalkit", "run", path)
    failed = run_cli("evalkit", "regression", "check", results, "--json")
    assert failed.returncode == 1
    assert len(json.loads(failed.stdout)[0]["broken"]) == 30


def test_results_of_another_suite_make_none(recorded: Path, run_cli: Run) -> None:
    path = recorded / "suite.yaml"
    path.write_text(path.read_text().replace("useful_effect: 0.1", "useful_effect: 0.2"))
    ended = run_cli("evalkit", "regression", "make", "results", "--suite", "suite.yaml", cwd=recorded)
    assert ended.returncode == 4
    assert "run the suite again" in ended.stderr
    ended = run_cli("evalkit", "regression", "check", "results", cwd=recorded)
    assert ended.returncode == 2
    assert "no regression suite" in ended.stderr


def test_safety_says_what_nothing_seen_means(recorded: Path, run_cli: Run) -> None:
    from evalkit.gate.safety_rates import items_for, rates

    values: dict[str, list[float | None]] = {"base": [1.0] * 100, "adapter": [1.0] * 95 + [None] * 5}
    clean, partly = rates(_results(values), ["right"], 0.04)
    assert clean.line() == "0 of 100 failed: at most 3 %"
    assert (clean.outcome, partly.outcome, partly.unscored) == ("pass", "inconclusive", 5)
    assert items_for(0.03) == 99

    said = run_cli("evalkit", "safety", recorded / "results")
    assert said.returncode == 0
    assert "worse, right: 40 of 80 failed: at most 60 %" in said.stdout
    assert run_cli("evalkit", "safety", recorded / "results", "--at-most", "0.1").returncode == 1
    assert run_cli("evalkit", "safety", recorded / "results", "--scorer", "none").returncode == 2


def test_results_stay_readable(recorded: Path) -> None:
    assert len(read_results(recorded / "results").scores) == 240


def test_sampled_answers_that_were_asked_once_are_said_to_be_chosen_for_luck(recorded: Path, run_cli: Run) -> None:
    path = recorded / "suite.yaml"
    suite = yaml.safe_load(path.read_text())

    def made(**generation: Any) -> str:
        path.write_text(yaml.safe_dump({**suite, "generation": generation}))
        evaluate(path, RunOptions())
        ended = run_cli("evalkit", "regression", "make", "results", "--suite", "suite.yaml", cwd=recorded)
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    assert "set `generation.repeats`" in made(temperature=0.7)
    assert "chosen for luck" not in made()


def test_a_judges_scores_are_not_taken_at_their_word(recorded: Path, run_cli: Run) -> None:
    judgments = [{"item": f"i{n}", "contender": name, "grade": 2} for n in range(80) for name in ("base", "adapter")]
    (recorded / "j.jsonl").write_text("".join(json.dumps(line) + "\n" for line in judgments))
    suite = yaml.safe_load((recorded / "suite.yaml").read_text())
    suite["scorers"] = [
        {"name": "right", "kind": "judge", "rubric": "package:rubrics/tone.yaml", "judgments": "j.jsonl"}
    ]
    suite["contenders"] = suite["contenders"][:2]
    suite["regression"] = {"control": "base", "margin": 0.05}
    (recorded / "suite.yaml").write_text(yaml.safe_dump(suite))
    evaluate(recorded / "suite.yaml", RunOptions())
    for command in (("regression", "check", "results"), ("safety", "results", "--at-most", "0.1")):
        ended = run_cli("evalkit", *command, cwd=recorded)
        assert ended.returncode == 2
        assert "is a judge's" in ended.stderr
        assert "evalkit gate" in ended.stderr
