"""A release whose verdict rests on a judge holds that judge's card, and is refused without one that holds."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from curate.core.errors import ProvenanceError
from evalkit.gate.decision import gate
from evalkit.judge.calibrate import CalibrationOptions as CalibrationChoice
from evalkit.judge.calibrate import calibrated
from evalkit.release.bundle import read_bundle
from evalkit.release.chain import read_chain
from evalkit.release.store import ReleaseStore, check
from evalkit.run import RunOptions, evaluate
from tests.conftest import ROOT
from tests.evalkit.judge.recorded import write
from tests.evalkit.release.conftest import Work
from tests.evalkit.tiny_world import write_suite

LENIENT = {
    "labels": 2,
    "annotators": 1,
    "passes": 1,
    "fails": 1,
    "labels_per_contender": 2,
    "kappa": 0,
    "false_pass": 1,
}


@pytest.fixture
def judged(work: Work) -> Work:
    """The first run, graded by a recorded judge that agrees with its labels, and let through by a gate."""
    folder = work.folder
    places = itertools.product([f"test_{number}" for number in range(9)], ("base", "adapter"))
    lines: list[dict[str, Any]] = [
        {"item": item, "contender": name, "grade": 2 if number % 3 else 0} for number, (item, name) in enumerate(places)
    ]
    write(folder / "j.jsonl", [*lines, *({**line, "swapped": True} for line in lines)])
    write(folder / "l.jsonl", [{**line, "annotator": "ann"} for line in lines])
    (folder / "admission.yaml").write_text(yaml.safe_dump(LENIENT))
    rubric = ROOT / "rubrics" / "tone.yaml"
    choice = CalibrationChoice(rubric=rubric, admission=folder / "admission.yaml")
    assert calibrated(folder / "j.jsonl", folder / "l.jsonl", choice, folder / "card.json")["state"] == "voting"
    evaluate(
        write_suite(
            folder,
            contenders=[{"name": "base"}, {"name": "adapter", "run": "run"}],
            output="results-run",
            cluster=None,
            scorers=[{"name": "voice", "kind": "judge", "rubric": str(rubric), "judgments": "j.jsonl"}],
            primary="voice",
        ),
        RunOptions(),
    )
    rules = {
        "contender": "adapter",
        "judges": {"voice": {"card": "card.json"}},
        "rules": [{"rule": "at-least", "metric": "voice", "value": 0.1}],
    }
    (folder / "gate.yaml").write_text(yaml.safe_dump(rules))
    assert gate(work.results(), None, folder / "gate.yaml", write_to=work.results()).exit_code == 0
    return work


def _promote(work: Work, verdict: Path | None = None) -> Any:
    chain = read_chain(work.folder / "run", work.results(), verdict or work.results() / "verdict.json")
    return ReleaseStore(work.store).promote(chain)


def test_the_card_is_released_and_verified(judged: Work) -> None:
    done = _promote(judged)
    [name] = [name for name in done.record.files if name.startswith("cards/")]
    assert (done.folder / name).read_bytes() == (judged.folder / "card.json").read_bytes()
    assert read_bundle(done.folder).judges == {"voice": "voting"}
    digest = done.record.digest
    assert check(ReleaseStore(judged.store), [digest]) == {digest: []}
    (done.folder / name).write_text("{}")
    assert check(ReleaseStore(judged.store), [digest]) == {digest: [f"{name} was changed"]}


@pytest.mark.parametrize(("damage", "words"), [("{}", "was changed"), (None, "is missing")])
def test_a_card_that_is_not_the_verdicts_is_refused(judged: Work, damage: str | None, words: str) -> None:
    [card] = (judged.results() / "cards").iterdir()
    if damage is None:
        card.unlink()
    else:
        card.write_text(damage)
    with pytest.raises(ProvenanceError, match=words):
        _promote(judged)
    assert ReleaseStore(judged.store).state().current is None


def test_a_verdict_on_a_judges_metric_without_its_card_is_refused(judged: Work) -> None:
    rule = {"rule": "at-least", "metric": "voice", "outcome": "pass"}
    verdict = judged.verdict(rules=[rule], contender="adapter")
    assert json.loads(verdict.read_text())["outcome"] == "pass"
    with pytest.raises(ProvenanceError, match="names no card of it"):
        _promote(judged, verdict)
