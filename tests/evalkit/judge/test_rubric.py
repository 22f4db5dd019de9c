"""Rubrics: what comes with the project is sound, and an unsound one is refused with its reasons."""

from pathlib import Path

import pytest
import yaml

from curate.core.errors import ConfigError
from evalkit.judge.rubric import advice, load_rubric
from tests.conftest import ROOT, Run

SHIPPED = sorted((ROOT / "rubrics").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_rubric_is_valid_and_easy_to_grade_by(path: Path) -> None:
    rubric = load_rubric(path)
    assert rubric.name.replace("-", "_") == path.stem
    assert advice(rubric) == []


def _write(tmp_path: Path, **changes: object) -> Path:
    criterion = {
        "id": "kind",
        "question": "Is it kind?",
        "pass_from": 1,
        "levels": [{"grade": 0, "anchor": "no"}, {"grade": 1, "anchor": "yes"}],
    }
    rubric = {"name": "x", "version": 1, "purpose": "p", "criteria": [{**criterion, **changes}]}
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(rubric))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pass_from": 0}, "has to be able to fail"),
        ({"pass_from": 7}, "has to be able to fail"),
        ({"levels": [{"grade": 1, "anchor": "a"}, {"grade": 1, "anchor": "b"}]}, "each grade once"),
        ({"examples": [{"answer": "a", "grade": 5, "reason": "r"}]}, "grades that no level has"),
        ({"question": "  "}, "must say something"),
        ({"colour": "red"}, "unknown key"),
    ],
)
def test_an_unsound_rubric_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_rubric(_write(tmp_path, **changes))


def test_advice_points_at_what_makes_grading_hard(tmp_path: Path) -> None:
    rubric = load_rubric(_write(tmp_path, question="Is it kind and short?"))
    assert [note.split(":")[1].split(";")[0].strip() for note in advice(rubric)] == [
        "no example for grade 0, 1",
        "the question joins two things with 'and'",
    ]


def test_the_command_checks_files(run_cli: Run, tmp_path: Path) -> None:
    good = run_cli("evalkit", "rubric", "check", *SHIPPED)
    assert (good.returncode, good.stderr) == (0, "")
    assert "structured-output version 1" in good.stdout
    bad = run_cli("evalkit", "rubric", "check", _write(tmp_path, pass_from=9))
    assert bad.returncode == 2
    assert "x.yaml" in bad.stderr
