"""The gate on results folders: its three outcomes, what it refuses, and that nothing unmeasured passes."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest
import yaml

from curate.core.errors import ConfigError, ProvenanceError
from curate.core.files import write_lines
from curate.core.rows.row import Message, Row, encode_row
from evalkit.gate.decision import GateDecision, gate
from evalkit.gate.verdict_file import read_verdict
from evalkit.judge.calibrate import CalibrationOptions as CalibrationChoice
from evalkit.judge.calibrate import calibrated
from tests.conftest import Run
from tests.evalkit.gate.made_results import item, results
from tests.evalkit.judge.recorded import write
from tests.evalkit.judge.test_reply import CRITERION

COUNT = 300


def rules_file(folder: Path, *rules: dict[str, Any], **changes: Any) -> Path:
    path = folder / "gate.yaml"
    path.write_text(yaml.safe_dump({"contender": "adapter", "rules": list(rules), **changes}))
    return path


def decided(folder: Path, *rules: dict[str, Any], against: Path | None = None, **changes: Any) -> dict[str, Any]:
    """The verdict as it stands in its file, on `folder / "results"`."""
    plain: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(gated(folder, *rules, against=against, **changes).verdict)
    )
    return plain


def gated(folder: Path, *rules: dict[str, Any], against: Path | None = None, **changes: Any) -> GateDecision:
    return gate(folder / "results", against, rules_file(folder, *rules, **changes), write_to=None)


def marks(wrong: set[int], missing: set[int] = frozenset()) -> list[bool | None]:  # type: ignore[assignment]
    return [None if n in missing else n not in wrong for n in range(COUNT)]


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """The base misses 90 of 300, the adapter 6 of them and 2 refunds that the base had right."""
    results(tmp_path, {"base": marks(set(range(1, 91))), "adapter": marks({1, 2, 3, 4, 6, 7, 95, 100})})
    return tmp_path


BETTER = {"rule": "superior", "metric": "exact", "than": "base", "by": 0.1}
NO_WORSE = {"rule": "non-inferior", "metric": "exact", "than": "base", "margin": 0.03}


def test_what_was_shown_passes(measured: Path) -> None:
    record = decided(
        measured,
        BETTER,
        NO_WORSE,
        {"rule": "at-least", "metric": "exact", "value": 0.9},
        {"rule": "at-most", "metric": "errors", "value": 0.02},
        {"rule": "must-pass", "metric": "exact", "items": ["i010", "i011"]},
        {"rule": "budget", "prompt_tokens": 20, "completion_tokens": 5},
        {"rule": "latency", "at_most_ms": 500},
    )
    assert [rule["outcome"] for rule in record["rules"]] == ["pass"] * 7
    assert (record["outcome"], record["because"]) == ("pass", "all 7 rules pass")


@pytest.mark.parametrize(
    ("rule", "outcome", "words"),
    [
        ({"rule": "superior", "metric": "exact", "than": "base", "by": 0.4}, "fail", "better by more than 40"),
        ({"rule": "at-least", "metric": "exact", "value": 0.99}, "fail", "at least 99 %"),
        ({"rule": "at-least", "metric": "exact", "value": 0.97}, "inconclusive", "items would decide it"),
        ({"rule": "at-most", "metric": "unscored", "value": 0.0}, "inconclusive", "at most 0 %"),
        ({"rule": "must-pass", "metric": "exact"}, "fail", "8 of 300 broke"),
        ({"rule": "must-pass", "metric": "exact", "items": ["nowhere"]}, "inconclusive", "were not asked: nowhere"),
        ({"rule": "budget", "completion_tokens": 4}, "fail", "5 completion tokens"),
        ({"rule": "latency", "at_most_ms": 200}, "fail", "34 % of 300 answers"),
        ({"rule": "latency", "at_most_ms": 390}, "inconclusive", "97 % of 300 answers"),
        # What can't be measured is open, never passed.
        ({"rule": "at-least", "metric": "tone", "value": 0.1}, "inconclusive", "tone was not measured"),
        ({"rule": "superior", "metric": "exact"}, "inconclusive", "there is no baseline"),
        ({"rule": "superior", "metric": "exact", "than": "other"}, "inconclusive", "no contender is called other"),
        ({"rule": "judge-card", "metric": "exact"}, "inconclusive", "no judge measured exact"),
        ({"rule": "contamination", "train": "nowhere.jsonl"}, "inconclusive", "the training rows are not here"),
        ({"rule": "contamination"}, "inconclusive", "the suite names none"),
        ({"rule": "at-least", "metric": "exact", "value": 0.1, "where": {"label": "x"}}, "inconclusive", "no item has"),
    ],
)
def test_what_was_not_shown_doesnt(measured: Path, rule: dict[str, Any], outcome: str, words: str) -> None:
    found = gated(measured, rule)
    assert (found.verdict.outcome, found.exit_code) == (outcome, {"fail": 1, "inconclusive": 6}[outcome])
    assert words in found.verdict.rules[0].because


@pytest.mark.parametrize(("margin", "outcome"), [(0.1, "pass"), (0.001, "inconclusive")])
def test_a_rule_without_a_margin_takes_the_suites(tmp_path: Path, margin: float, outcome: str) -> None:
    results(tmp_path, {"base": marks({1, 2, 3, 4}), "adapter": marks({5, 6, 7, 8})}, margin=margin)
    record = decided(tmp_path, {"rule": "non-inferior", "metric": "exact", "than": "base"})
    assert record["rules"][0]["outcome"] == outcome
    assert f"worse by less than {margin * 100:g} points" in record["rules"][0]["because"]


def test_one_failure_fails_and_one_open_rule_keeps_a_pass_back(measured: Path) -> None:
    opened = {"rule": "at-least", "metric": "exact", "value": 0.97}
    failed = {"rule": "must-pass", "metric": "exact", "name": "nothing breaks"}
    assert decided(measured, BETTER, opened)["outcome"] == "inconclusive"
    record = decided(measured, BETTER, opened, failed)
    assert record["outcome"] == "fail"
    assert record["because"] == "1 of 3 rules failed: nothing breaks: 8 of 300 broke"


def test_errors_and_missing_scores_never_help(tmp_path: Path) -> None:
    results(tmp_path, {"base": marks(set(range(90))), "adapter": marks(set(), set(range(200, 300)))})
    record = decided(tmp_path, BETTER, NO_WORSE, {"rule": "must-pass", "metric": "exact"})
    assert record["outcome"] == "inconclusive"
    assert [rule["outcome"] for rule in record["rules"]] == ["inconclusive"] * 3
    assert "100 without a score counted against it" in record["rules"][0]["because"]


def test_a_failure_says_where_it_comes_from(tmp_path: Path) -> None:
    """The adapter breaks most refunds, a fifth of the items."""
    refunds = set(range(0, COUNT, 5))
    results(tmp_path, {"base": marks({1, 2, 3}), "adapter": marks({n for n in refunds if n % 15})})
    [rule] = decided(tmp_path, NO_WORSE)["rules"]
    assert rule["outcome"] == "fail"
    assert rule["slices"][0]["trait"] == "label = refund"
    assert rule["slices"][0]["loss"] == pytest.approx(-40 / 300)
    assert len(rule["broke"]) == 40
    assert rule["in_common"][0]["trait"].startswith("label = refund, the question says ")
    assert all("weather" not in one["trait"] for one in rule["in_common"])


def test_items_that_break_at_random_have_nothing_in_common(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    broke = set(random.choice(COUNT, 60, replace=False).tolist())
    results(tmp_path, {"base": marks(set()), "adapter": marks(broke)})
    [rule] = decided(tmp_path, NO_WORSE)["rules"]
    assert list(rule["in_common"]) == []


def test_a_baseline_is_paired_by_item(tmp_path: Path) -> None:
    before = results(tmp_path, {"adapter": marks({1, 2, 3})}, name="before")
    results(tmp_path, {"base": marks(set()), "adapter": marks({4})})
    rule = {"rule": "non-inferior", "metric": "exact", "margin": 0.03}
    record = decided(tmp_path, rule, against=before)
    assert record["outcome"] == "pass"
    assert record["chain"]["baseline"].startswith("sha256:")
    assert decided(tmp_path, rule, against=before, baseline="gone")["outcome"] == "inconclusive"
    half = results(tmp_path / "half", {"adapter": marks(set())[:150]})
    assert decided(tmp_path, rule, against=half)["rules"][0]["missing"] == 150


def test_a_baseline_that_was_scored_otherwise_is_no_baseline(tmp_path: Path) -> None:
    scorers = [{"name": "exact", "kind": "exact", "case": False}]
    before = results(tmp_path, {"adapter": marks(set())}, name="before", scorers=scorers)
    results(tmp_path, {"adapter": marks(set())})
    record = decided(tmp_path, {"rule": "non-inferior", "metric": "exact", "margin": 0.03}, against=before)
    assert "measured in another way" in record["rules"][0]["because"]


@pytest.mark.parametrize("name", ["scores.jsonl", "generations.jsonl", "items.jsonl"])
def test_results_edited_by_hand_are_broken_provenance(measured: Path, run_cli: Run, name: str) -> None:
    file = measured / "results" / name
    file.write_bytes(file.read_bytes().replace(b"wrong", b"right").replace(b'"value":0.0', b'"value":1.0') + b"\n")
    ended = run_cli("evalkit", "gate", measured / "results", "--rules", rules_file(measured, BETTER))
    assert ended.returncode == 4
    assert name in ended.stderr
    assert not (measured / "results" / "verdict.json").exists()


def test_scores_edited_together_with_their_digest_are_found_out(measured: Path) -> None:
    from curate.core.digests import digest_file

    file = measured / "results" / "scores.jsonl"
    before = digest_file(file)
    file.write_bytes(file.read_bytes().replace(b'"value":0.0', b'"value":1.0'))
    record = measured / "results" / "result.json"
    record.write_text(record.read_text().replace(before, digest_file(file)))
    with pytest.raises(ProvenanceError, match="scores and record differ"):
        decided(measured, BETTER)


def test_items_that_the_training_rows_give_away_are_contamination(tmp_path: Path) -> None:
    rule = {"rule": "contamination", "train": "train.jsonl"}
    looked = {"train": "train.jsonl", "contamination": {"paraphrase": None}}
    row = Row(id="t", messages=[Message("user", "How tall is the tower of Pisa?"), Message("assistant", "57 metres")])
    write_lines(tmp_path / "train.jsonl", [encode_row(row)])
    results(tmp_path, {"base": marks(set()), "adapter": marks(set())}, **looked)
    assert decided(tmp_path, rule)["outcome"] == "pass"

    copy = Row(id="c", messages=[Message("user", item(1).prompt[0].text + " please"), Message("assistant", "right 1")])
    write_lines(tmp_path / "train.jsonl", [encode_row(row), encode_row(copy)])
    assert "not what the results were compared with" in decided(tmp_path, rule)["because"]
    results(tmp_path, {"base": marks(set()), "adapter": marks(set())}, **looked)
    record = decided(tmp_path, rule)
    assert record["outcome"] == "fail"
    assert "i001" in record["rules"][0]["broke"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rules": []}, "rules"),
        ({"rules": [{**NO_WORSE, "margin": 0}]}, "margin: Input should be greater than 0"),
        ({"rules": [{"rule": "better", "metric": "exact"}]}, "gate.yaml"),
        ({"contender": "nobody"}, "no contender is called nobody"),
    ],
)
def test_a_gate_that_cant_be_is_refused(measured: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        decided(measured, BETTER, **changes)


def test_one_verdict_speaks_to_all(measured: Path, run_cli: Run) -> None:
    gate_file = rules_file(
        measured, BETTER, {"rule": "at-least", "metric": "exact", "value": 0.99, "name": "nearly <all>"}
    )
    folder = measured / "results"
    dry = run_cli("evalkit", "gate", folder, "--rules", gate_file, "--dry-run")
    assert dry.returncode == 1
    assert not (folder / "verdict.json").exists()
    ended = run_cli("evalkit", "gate", folder, "--rules", gate_file, "--json")
    assert ended.returncode == 1
    record = json.loads(ended.stdout)
    assert record == json.loads((folder / "verdict.json").read_text())
    assert read_verdict(folder / "verdict.json").contender == "adapter"
    suite = ET.fromstring((folder / "verdict.junit.xml").read_text())[0]
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")
    assert [case.find("failure") is None for case in suite] == [True, False]
    markdown = (folder / "verdict.md").read_text()
    assert "Gate: fail for adapter" in markdown
    assert "nearly \\<all\\>" in markdown
    assert "fail: 1 of 2 rules failed" in dry.stdout


def test_run_with_a_gate_ends_with_its_verdict(measured: Path, run_cli: Run) -> None:
    rules = rules_file(measured, {"rule": "at-least", "metric": "exact", "value": 0.97})
    ended = run_cli("evalkit", "run", measured / "suite.yaml", "--gate", rules)
    assert ended.returncode == 6
    assert "inconclusive: 1 of 1 rules could not be decided" in ended.stdout


def judged(folder: Path, favour: float, slips: float = 0.05, **line_extra: str) -> dict[str, Any]:
    """A suite judged by recorded judgments, kinder to the adapter by `favour` of its fails; half the items labelled."""
    random = np.random.default_rng(5)
    truth = {name: random.random(COUNT) < 0.6 for name in ("base", "adapter")}
    judgments, labels = [], []
    for name, good in truth.items():
        said = np.where(random.random(COUNT) < slips, ~good, good)
        said |= (name == "adapter") & (random.random(COUNT) < favour)
        for number in range(COUNT):
            line = {"item": f"i{number:03}", "contender": name, "grade": 2 * int(said[number]), **line_extra}
            judgments += [line, {**line, "swapped": True}]
            if number < 150:
                grade = 2 * int(good[number])
                who = "ann" if number % 2 else "bo"
                labels.append({"item": line["item"], "contender": name, "annotator": who, "grade": grade})
    rubric = {"name": "tone", "version": 1, "purpose": "Tone.", "criteria": [CRITERION.model_dump(mode="json")]}
    folder.mkdir(exist_ok=True)
    (folder / "tone.yaml").write_text(json.dumps(rubric))
    write(folder / "j.jsonl", judgments)
    write(folder / "l.jsonl", labels)
    scorers = [{"name": "tone", "kind": "judge", "rubric": "tone.yaml", "judgments": "j.jsonl"}]
    results(folder, {"base": marks(set()), "adapter": marks(set())}, scorers=scorers, primary="tone")
    choice = CalibrationChoice(rubric=folder / "tone.yaml")
    return calibrated(folder / "j.jsonl", folder / "l.jsonl", choice, folder / "card.json")


def test_a_judge_votes_by_its_card(tmp_path: Path) -> None:
    files = {"tone": {"card": "card.json", "labels": "l.jsonl"}}
    assert judged(tmp_path, favour=0.0)["state"] == "voting"
    rule = {"rule": "superior", "metric": "tone", "than": "base"}
    card = {"rule": "judge-card", "metric": "tone", "state": "voting"}
    assert decided(tmp_path, card, judges=files)["outcome"] == "pass"
    assert "no card" in decided(tmp_path, rule)["because"]
    assert "no card" in decided(tmp_path, {"rule": "at-least", "metric": "tone", "value": 0.01})["because"]

    kinder = judged(tmp_path / "kinder", favour=0.4)
    assert kinder["state"] == "voting-corrected"
    record = decided(tmp_path / "kinder", rule, card, judges=files)
    # Taken at its word, the judge would have shipped this adapter.
    assert "judge corrected by 150 and 150 labels; by itself it says +" in record["rules"][0]["because"]
    assert record["rules"][0]["outcome"] != "pass"
    assert "wanted: voting" in record["rules"][1]["because"]
    without = decided(tmp_path / "kinder", rule, judges={"tone": {"card": "card.json"}})
    assert "names no `labels`" in without["because"]


def test_a_void_card_gates_nothing(tmp_path: Path) -> None:
    judged(tmp_path, favour=0.0)
    other = judged(tmp_path / "other", favour=0.0, slips=0.06)
    assert other["state"] == "voting"
    (tmp_path / "card.json").write_bytes((tmp_path / "other" / "card.json").read_bytes())
    files = {"tone": {"card": "card.json", "labels": "l.jsonl"}}
    record = decided(tmp_path, {"rule": "at-least", "metric": "tone", "value": 0.01}, judges=files)
    assert record["outcome"] == "inconclusive"
    assert "the card is void: another recorded than was calibrated" in record["because"]


def test_a_corrected_judge_compares_across_folders_by_labels_of_both(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    assert judged(new, favour=0.4, judge="one judge")["state"] == "voting-corrected"
    judged(old, favour=0.0, judge="one judge")
    rule = {"rule": "non-inferior", "metric": "tone", "margin": 0.15}
    ours = {"card": "card.json", "labels": "l.jsonl"}
    alone = decided(new, rule, against=old / "results", judges={"tone": ours})
    assert alone["outcome"] == "inconclusive"
    assert "name card and labels under `judges: tone: baseline`" in alone["because"]

    theirs = {"card": "../old/card.json", "labels": "../old/l.jsonl"}
    record = decided(new, rule, against=old / "results", judges={"tone": {**ours, "baseline": theirs}})
    [finding] = record["rules"]
    assert "judge corrected by 150 and 150 labels; by itself it says +" in finding["because"]
    # People say of both the same; the judge by itself is at least 10 points kinder to the new one.
    assert finding["low"] < 0 < finding["high"]
    assert len(set(record["chain"]["cards"]["tone"])) == 2

    swapped = decided(new, rule, against=old / "results", judges={"tone": {**ours, "baseline": ours}})
    assert swapped["outcome"] == "inconclusive"
    assert "are of other answers than those in" in swapped["because"]
