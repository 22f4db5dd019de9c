"""Labels: grades by a rubric, blind, in the lines that calibration reads."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from curate.core.errors import ConfigError
from evalkit.cli.review import label_command
from evalkit.judge.rubric import load_rubric
from evalkit.report.files import write_results
from evalkit.results.folder import read_results
from evalkit.review.labels import choose_criterion, label_deck
from tests.evalkit.recorded_run import record_run

RUBRIC = Path(__file__).resolve().parents[3] / "rubrics" / "structured_output.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = record_run(12)
    write_results(tmp_path, run.record(), run.items, run.generations, run.scores)
    return tmp_path


def label(folder: Path, reviewer: str, keys: str, *more: str) -> str:
    arguments = [str(folder), "--rubric", str(RUBRIC), "--criterion", "only_the_object", "--plain"]
    arguments += ["--reviewer", reviewer, *more]
    done = CliRunner().invoke(label_command, arguments, input="\n".join([*keys, "q", ""]))
    assert done.exit_code == 0, done.output
    return done.stdout


def read(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]


def test_grades_become_labels_of_every_contender_that_gave_the_answer(folder: Path) -> None:
    shown = label(folder, "ann", "1101")
    assert "There is text around the object" in shown  # the anchors
    assert "adapter" not in shown
    results = read_results(folder)
    rubric = load_rubric(RUBRIC)
    deck, owners = label_deck(results, rubric, choose_criterion(rubric, "only_the_object"), (), 0)
    graded = [deck.key(at) for at in range(4)]
    expected = [
        {"item": item, "contender": contender, "annotator": "ann", "grade": grade, "criterion": "only_the_object"}
        for key, grade in zip(graded, (1, 1, 0, 1), strict=True)
        for item, contender in owners[key.digest]
    ]
    assert sorted(map(str, read(folder))) == sorted(map(str, expected))
    assert sum(map(len, owners.values())) == len(results.generations)


def test_annotators_write_into_one_file_and_replace_only_their_own(folder: Path) -> None:
    label(folder, "ann", "11")
    label(folder, "bob", "00")
    label(folder, "ann", "uu0")
    grades = {}
    for one in read(folder):
        grades.setdefault(str(one["annotator"]), []).append(one["grade"])
    assert set(grades) == {"ann", "bob"}
    assert set(grades["ann"]) == set(grades["bob"]) == {0}
    assert len(grades["bob"]) >= 2


def test_a_rubric_with_several_criteria_needs_one_to_be_named(folder: Path) -> None:
    rubric = load_rubric(RUBRIC)
    with pytest.raises(ConfigError, match="several criteria"):
        choose_criterion(rubric, None)
    with pytest.raises(ConfigError, match="no criterion 'beauty'"):
        choose_criterion(rubric, "beauty")
    with pytest.raises(ConfigError, match="no contender is called nobody"):
        label_deck(read_results(folder), rubric, rubric.criteria[0], ("nobody",), 0)
