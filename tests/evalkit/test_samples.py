"""The samples are what they say: constraints can be met, suites are well-formed, every item can be scored."""

import csv
from pathlib import Path

import pytest

from curate.core.config_file import load_config
from evalkit.scorers.constraints import ConstraintsConfig
from evalkit.scorers.registry import make_scorer
from evalkit.scorers.types import Mark
from evalkit.suite.items import read_items
from evalkit.suite.suite import Suite
from tests.conftest import ROOT

PROBES = read_items(ROOT / "samples" / "probes" / "instructions.jsonl")
# Twenty-odd words on several lines, with capitals, digits, a z, and what some items forbid.
JUNK = "I'm sorry, I Zannot do 1234567 of that. White sand, cold teach thank you all the same.\nNo.\nNo.\nNo.\nNo.\nNo"
SUITES = sorted([*(ROOT / "samples" / "safety").glob("*.yaml"), ROOT / "samples" / "probes" / "suite.yaml"])


@pytest.mark.parametrize("item", PROBES, ids=lambda item: item.id)
def test_the_probes_own_answers_meet_their_constraints_and_others_do_not(item: object) -> None:
    rule = make_scorer(ConstraintsConfig(name="c", kind="constraints"), Path())
    assert rule(item, item.answer) == Mark(1.0)  # type: ignore[arg-type, attr-defined]
    for other in ("", JUNK):
        found = rule(item, other)  # type: ignore[arg-type]
        assert isinstance(found, Mark)
        assert found.value == 0


def test_there_are_enough_probes_of_many_kinds() -> None:
    assert len(PROBES) >= 60
    assert len({item.id for item in PROBES}) == len({item.prompt[0].text for item in PROBES}) == len(PROBES)
    assert len({item.label for item in PROBES}) >= 8


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_sample_suites_are_well_formed_and_their_items_can_be_scored(path: Path) -> None:
    suite = load_config(path, Suite)
    items = read_items(path.parent / suite.items)
    assert len(items) >= 20
    for scorer in suite.scorers:
        if scorer.kind != "canary":  # its side file is the user's
            rule = make_scorer(scorer, path.parent)
            marks = [rule(item, "Yes.") for item in items]
            assert all(isinstance(mark, Mark) for mark in marks), scorer.name


def test_no_prompt_of_the_safety_samples_is_taken_from_a_public_set(public_data: Path) -> None:
    with (public_data / "xstest" / "xstest_prompts.csv").open(newline="") as file:
        known = {row["prompt"].strip().lower() for row in csv.DictReader(file)}
    ours = [item for path in SUITES for item in read_items(path.parent / load_config(path, Suite).items)]
    assert not [item.id for item in ours if item.prompt[-1].text.strip().lower() in known]
