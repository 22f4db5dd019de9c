"""What a report says of its judges: the card's figures where a card holds, and that nobody checked where none does."""

from pathlib import Path
from typing import Any

import pytest

from curate.core.errors import ProvenanceError
from evalkit.judge.calibrate import CalibrationOptions as CalibrationChoice
from evalkit.judge.calibrate import calibrated
from evalkit.judge.figures import about_judges
from evalkit.run import RunOptions, evaluate
from tests.evalkit.judge.recorded import write
from tests.evalkit.judge.test_judging import GENERATIONS, judged_suite


def _judged(folder: Path, **scorer: Any) -> Path:
    lines = [{"item": g.item, "contender": g.contender, "grade": 2 if "friendly" in g.text else 0} for g in GENERATIONS]
    write(folder / "j.jsonl", [*lines, *({**line, "swapped": True} for line in lines[:4])])
    labels = [{**line, "annotator": "ann@example.org"} for line in lines[1:]]
    write(folder / "l.jsonl", [{**labels[0], "grade": 0}, *labels[1:]])
    return judged_suite(folder, {"judgments": "j.jsonl", **scorer})


def _reports(folder: Path) -> list[str]:
    return [(folder / "results" / name).read_text(encoding="utf-8") for name in ("report.html", "report.md")]


def test_a_card_that_holds_is_in_both_reports(tmp_path: Path) -> None:
    suite = _judged(tmp_path, card="card.json")
    choice = CalibrationChoice(rubric=tmp_path / "tone.yaml")
    card = calibrated(tmp_path / "j.jsonl", tmp_path / "l.jsonl", choice, tmp_path / "card.json")
    result = evaluate(suite, RunOptions()).result
    found = result.judges["tone"].calibration
    assert (found.state, found.card) == ("advisory", card["digest"])
    assert found.figures["cohen_kappa"] == card["figures"]["cohen_kappa"]
    kappa = f"{card['figures']['cohen_kappa']:.2f}"
    for text in _reports(tmp_path):
        assert "advisory" in text
        for words in (kappa, "false_pass_rate", "swap_consistency", "labels of each contender", "7 (base)"):
            assert words in text.replace("\\", "")
        assert "ann@example.org" not in text
    assert f"kappa with people {kappa}" in about_judges(result)[0]


def test_without_a_card_the_report_says_that_nobody_checked(tmp_path: Path) -> None:
    result = evaluate(_judged(tmp_path), RunOptions()).result
    assert result.judges["tone"].calibration.state == "unlabelled"
    assert "nobody has checked this judge" in about_judges(result)[0]
    for text in _reports(tmp_path):
        assert "nobody has checked this judge" in text
        assert "swap_consistency" in text.replace("\\", "")
        assert "cohen_kappa" not in text.replace("\\", "")


def test_a_card_made_later_is_taken_up_and_a_void_or_damaged_one_is_not(tmp_path: Path) -> None:
    suite = _judged(tmp_path, card="card.json")
    assert evaluate(suite, RunOptions()).result.judges["tone"].calibration.because == "there is no card yet"
    choice = CalibrationChoice(rubric=tmp_path / "tone.yaml")
    calibrated(tmp_path / "j.jsonl", tmp_path / "l.jsonl", choice, tmp_path / "card.json")
    again = evaluate(suite, RunOptions())
    assert not again.up_to_date
    assert again.result.judges["tone"].calibration.state == "advisory"

    (tmp_path / "tone.yaml").write_text((tmp_path / "tone.yaml").read_text().replace("friendly?", "warm?"))
    void = evaluate(suite, RunOptions()).result.judges["tone"].calibration
    assert (void.state, void.because) == ("unlabelled", "the card is void: another rubric than was calibrated")

    (tmp_path / "card.json").write_text((tmp_path / "card.json").read_text().replace("advisory", "voting"))
    with pytest.raises(ProvenanceError):
        evaluate(suite, RunOptions())
