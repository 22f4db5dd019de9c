"""Calibration of recorded judgments: figures, states, and what it says to input that isn't fit."""

import json
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import cohen_kappa_score

from curate.core.errors import ConfigError, DataError, ProvenanceError
from evalkit.judge.calibrate import CalibrationOptions, calibrated
from evalkit.judge.card import read_card, void_because
from evalkit.judge.figures import favour_lines
from tests.conftest import ROOT, Run
from tests.evalkit.judge.recorded import judged_and_labelled, write

RUBRIC = ROOT / "rubrics" / "structured_output.yaml"


def _card(files: tuple[Path, Path], **choice: Any) -> dict[str, Any]:
    return calibrated(*files, CalibrationOptions(**choice))


def _found(card: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in card["requirements"] if one["name"] == name)


def test_a_judge_that_agrees_may_vote(tmp_path: Path) -> None:
    card = _card(judged_and_labelled(tmp_path))
    assert card["state"] == "voting"
    assert all(one["met"] for one in card["requirements"])
    figures = card["figures"]
    assert figures["people"]["cohen_kappa"] == 1.0
    assert [one["contender"] for one in figures["by_contender"]] == ["adapter", "base"]
    assert [one["n"] for one in figures["by_length"]] == [80, 81, 79]
    assert figures["swap_consistency"] == 1.0


def test_kappa_is_sklearns(tmp_path: Path) -> None:
    files = judged_and_labelled(tmp_path, slips=0.2, annotators=("ann",))
    judgments, labels = ([json.loads(line) for line in path.read_text().splitlines()] for path in files)
    said = [line["grade"] for line in judgments if "swapped" not in line]
    figures = _card(files)["figures"]
    assert figures["cohen_kappa"] == pytest.approx(cohen_kappa_score(said, [line["grade"] for line in labels]))
    assert figures["intervals"]["cohen_kappa"]["low"] < figures["cohen_kappa"]
    assert figures["people"]["note"].startswith("one annotator")


@pytest.mark.parametrize(
    ("changes", "state", "unmet"),
    [
        ({"items": 40}, "advisory", "blind labels"),
        ({"slips": 0.35}, "voting-corrected", "lower bound of Cohen's kappa"),
        ({"swapped": False}, "voting-corrected", "same grade with the options swapped"),
        ({"favour": 0.6}, "voting-corrected", "kinder to one contender"),
        ({"annotators": ("ann",)}, "voting-corrected", "annotators"),
        ({"annotators": ()}, "unlabelled", "blind labels"),
    ],
)
def test_states(tmp_path: Path, changes: dict[str, Any], state: str, unmet: str) -> None:
    judgments, labels = judged_and_labelled(tmp_path, **changes)
    card = calibrated(judgments, labels if labels.stat().st_size else None, CalibrationOptions())
    assert card["state"] == state
    assert not _found(card, unmet)["met"]


def test_a_contender_without_labels_keeps_a_judge_advisory(tmp_path: Path) -> None:
    judgments, labels = judged_and_labelled(tmp_path, items=200)
    kept = [line for line in labels.read_text().splitlines() if '"base"' in line]
    labels.write_text("\n".join(kept))
    card = _card((judgments, labels))
    assert card["state"] == "advisory"
    assert _found(card, "labels of each contender")["found"] == "0 (adapter)"


def test_labels_that_saw_the_judge_dont_count(tmp_path: Path) -> None:
    judgments, labels = judged_and_labelled(tmp_path, annotators=("ann",))
    write(labels, [{**json.loads(line), "blind": False} for line in labels.read_text().splitlines()])
    card = _card((judgments, labels))
    assert card["state"] == "advisory"
    assert card["figures"]["labels"]["not_blind"] == 240


def test_undecided_judgments_are_counted_and_no_grade(tmp_path: Path) -> None:
    judgments, labels = judged_and_labelled(tmp_path, swapped=False)
    lines = [json.loads(line) for line in judgments.read_text().splitlines()]
    write(
        judgments, [{**line, "grade": None if place % 10 == 0 else line["grade"]} for place, line in enumerate(lines)]
    )
    card = _card((judgments, labels))
    assert card["figures"]["undecided_rate"] == pytest.approx(0.1)
    assert card["figures"]["n"] == 216
    assert card["state"] == "advisory"


def test_what_doesnt_fit_is_counted(tmp_path: Path) -> None:
    judgments, labels = judged_and_labelled(tmp_path, annotators=("ann",), swapped=False)
    extra = [
        {"item": "nowhere", "annotator": "ann", "grade": 1},
        {"item": "q0", "contender": "base", "annotator": "ann", "grade": 0},
        {"item": "q1", "contender": "base", "annotator": "bo", "grade": None},
    ]
    labels.write_text(labels.read_text() + "".join(json.dumps(line) + "\n" for line in extra))
    judgments.write_text(judgments.read_text() + judgments.read_text().splitlines()[0] + "\n")
    figures = _card((judgments, labels))["figures"]
    assert figures["labels"]["without_judgment_shown"] == ["nowhere"]
    assert (figures["labels"]["corrected"], figures["labels"]["skipped"]) == (1, 1)
    assert figures["judgments"]["duplicates"] == 1
    assert figures["n"] == 240


def test_all_one_class_is_undefined_not_perfect(tmp_path: Path) -> None:
    judgments = write(tmp_path / "j.jsonl", [{"item": i, "grade": 1} for i in range(150)])
    labels = write(tmp_path / "l.jsonl", [{"item": i, "annotator": "ann", "grade": 1} for i in range(150)])
    card = calibrated(judgments, labels, CalibrationOptions())
    assert card["figures"]["raw_agreement"] == 1.0
    assert card["figures"]["cohen_kappa"] is None
    assert "only one grade" in card["figures"]["notes"]["cohen_kappa"]
    assert card["state"] == "advisory"


def test_labels_of_one_class_correct_nothing(tmp_path: Path) -> None:
    """However many there are: of a judge's mistakes on answers that fail they say nothing."""
    judgments, labels = judged_and_labelled(tmp_path)
    lines = [{**json.loads(line), "grade": 1} for line in labels.read_text().splitlines()]
    card = _card((judgments, write(labels, lines)))
    assert card["state"] == "advisory"
    unmet = _found(card, "labels of both kinds")
    assert (unmet["found"], unmet["met"]) == ("240 pass, 0 fail", False)


def test_words_as_grades_have_no_order(tmp_path: Path) -> None:
    words = ["full_refusal", "partial_refusal", "full_compliance"]
    judgments = write(tmp_path / "j.jsonl", [{"item": str(i), "grade": words[i % 3]} for i in range(60)])
    labels = write(
        tmp_path / "l.jsonl", [{"item": i, "annotator": 1, "grade": words[i % 3 if i > 9 else 0]} for i in range(60)]
    )
    figures = calibrated(judgments, labels, CalibrationOptions(pass_from="full_compliance"))["figures"]
    assert figures["weighted_kappa"] is None
    assert 0.8 < figures["cohen_kappa"] < 1
    assert figures["people_pass"] == 17
    with pytest.raises(ConfigError, match="no grade is maybe"):
        calibrated(judgments, labels, CalibrationOptions(pass_from="maybe"))


def test_three_levels_by_a_rubric(tmp_path: Path) -> None:
    judgments = write(tmp_path / "j.jsonl", [{"item": i, "grade": "2" if i % 2 else 0} for i in range(40)])
    labels = write(tmp_path / "l.jsonl", [{"item": i, "annotator": "a", "grade": i % 3} for i in range(40)])
    card = calibrated(judgments, labels, CalibrationOptions(rubric=RUBRIC, criterion="values_from_the_request"))
    assert card["figures"]["levels"] == [0, 1, 2]
    assert card["figures"]["passing"] == [2]
    write(labels, [{"item": i, "annotator": "a", "grade": 7} for i in range(40)])
    with pytest.raises(DataError, match="40 labels have a grade that the rubric doesn't have: 7"):
        calibrated(judgments, labels, CalibrationOptions(rubric=RUBRIC, criterion="values_from_the_request"))
    with pytest.raises(ConfigError, match="several criteria"):
        calibrated(judgments, labels, CalibrationOptions(rubric=RUBRIC))


def test_the_card_is_void_for_any_other_judge(tmp_path: Path) -> None:
    files = judged_and_labelled(tmp_path)
    card = calibrated(*files, CalibrationOptions(), tmp_path / "card.json")
    assert read_card(tmp_path / "card.json") == card
    assert void_because(card, card["judge"], card["key"]) is None
    assert "another recorded" in str(void_because(card, {**card["judge"], "recorded": "sha256:x"}, "sha256:y"))
    edited = (tmp_path / "card.json").read_text().replace('"voting"', '"voting-corrected"')
    (tmp_path / "card.json").write_text(edited)
    with pytest.raises(ProvenanceError, match="changed by hand"):
        read_card(tmp_path / "card.json")


@pytest.mark.parametrize(
    ("judgments", "labels", "code", "words"),
    [
        ([], [{"item": 1, "annotator": "a", "grade": 1}], 3, "no judgments in it"),
        ([{"item": 1, "grade": 1}], [{"item": 2, "annotator": "a", "grade": 1}], 3, "no label is for an answer"),
        ([{"item": 1, "grade": 1}], [{"item": 1, "grade": 1}], 3, "l.jsonl:1"),
        ([{"item": 1, "grade": 1}, {"item": 1, "grade": 0}], [{"item": 1, "annotator": "a", "grade": 1}], 3, "differ"),
        (
            [{"item": 1, "grade": 1, "criterion": "a"}, {"item": 1, "grade": 1, "criterion": "b"}],
            [{"item": 1, "annotator": "a", "grade": 1}],
            2,
            "--criterion",
        ),
        (
            [{"item": 1, "grade": 1, "judge": "a"}, {"item": 2, "grade": 1, "judge": "b"}],
            [{"item": 1, "annotator": "a", "grade": 1}],
            3,
            "more than one judge",
        ),
    ],
)
def test_unfit_files_get_a_message(
    tmp_path: Path, run_cli: Run, judgments: list[Any], labels: list[Any], code: int, words: str
) -> None:
    write(tmp_path / "j.jsonl", judgments)
    write(tmp_path / "l.jsonl", labels)
    ended = run_cli("evalkit", "judge", "calibrate", "--judgments", "j.jsonl", "--labels", "l.jsonl", cwd=tmp_path)
    assert ended.returncode == code
    assert words in ended.stderr


def test_the_command_prints_figures_by_name_and_writes_the_card(tmp_path: Path, run_cli: Run) -> None:
    judgments, labels = judged_and_labelled(tmp_path, favour=0.5)
    files = ("--judgments", judgments, "--labels", labels)
    printed = json.loads(run_cli("evalkit", "judge", "calibrate", *files, "--json").stdout)
    assert isinstance(printed["cohen_kappa"], float)
    assert printed["state"] == "voting-corrected"

    dry = run_cli("evalkit", "judge", "calibrate", *files, "--output", tmp_path / "c.json", "--dry-run")
    assert "would write" in dry.stderr
    assert not (tmp_path / "c.json").exists()

    shown = run_cli("evalkit", "judge", "calibrate", *files, "--output", tmp_path / "c.json")
    assert shown.returncode == 0
    for words in ("cohen_kappa", "gwet_ac1", "kinder to adapter", "voting-corrected: "):
        assert words in shown.stdout
    assert run_cli("evalkit", "judge", "card", tmp_path / "c.json").stdout == shown.stdout


@pytest.mark.parametrize(("a", "b"), [("kinder", "other"), ("other", "kinder")])
def test_the_interval_of_a_favour_is_from_the_favoured_side(a: str, b: str) -> None:
    sign = 1 if a == "kinder" else -1
    ends = sorted([sign * 0.1, sign * 0.3])
    favour = {"a": a, "b": b, "favour": sign * 0.2, "low": ends[0], "high": ends[1]}
    assert favour_lines({"favour": [favour]}) == [
        "the judge is 20.0% kinder to kinder than to other (+10.0% to +30.0%)"
    ]
