"""From files of judgments and labels to a judge's card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core.config_file import load_config
from curate.core.digests import digest_file, digest_json
from curate.core.errors import ProvenanceError
from curate.core.records import seal, write_record
from evalkit.judge import grades
from evalkit.judge.calibration import calibrate
from evalkit.judge.card import Admission, card_body, void_because
from evalkit.judge.rubric import Criterion, load_rubric
from evalkit.results.folder import peek_result, read_result


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """By which rubric and criterion (of which scorer, from which grade on an answer passes), and what admits."""

    rubric: Path | None = None
    criterion: str | None = None
    scorer: str | None = None
    pass_from: str | None = None
    admission: Path | None = None


def calibrated(
    judgments: Path, labels: Path | None, choice: CalibrationOptions, output: Path | None = None
) -> dict[str, Any]:
    """The judge's card, written to `output` where one is named. Raises: ConfigError, DataError."""
    rules = load_config(choice.admission, Admission) if choice.admission else Admission()
    rubric = choice.rubric
    rubric_file = load_rubric(rubric) if rubric else None
    chosen = grades.find_criterion(rubric_file, choice.criterion, str(rubric)) if rubric_file else None
    name = chosen.id if chosen else choice.criterion
    judged = grades.read_judgments(judgments, scorer=choice.scorer, criterion=name)
    labelled = grades.read_labels(labels, criterion=name) if labels else []
    if chosen and rubric_file:
        scale = grades.judge_scale(chosen, pairwise=rubric_file.kind == "pairwise")
        if labels:
            grades.check_grades(labelled, scale, labels)
    else:
        given = [*(line.grade for line in judged), *(line.grade for line in labelled)]
        scale = grades.seen_scale([grade for grade in given if grade is not None], choice.pass_from)
    key, judge = _judge(judgments, judged[0].judge, chosen)
    body = card_body(
        key=key,
        judge=judge,
        figures=calibrate(judged, labelled, scale),
        admission=rules,
        sources={"judgments": digest_file(judgments), **({"labels": digest_file(labels)} if labels else {})},
    )
    return write_record(output, body) if output else seal(body)


def _judge(judgments: Path, asked: str, criterion: Criterion | None) -> tuple[str, Mapping[str, Any]]:
    """The key of the judge whose judgments these are, and what it is made of as far as is known."""
    if not asked:
        identity = recorded_judge(digest_file(judgments), criterion)
        return digest_json(identity), identity
    record = peek_result(judgments.parent)
    beside = [one.judge for one in record.judges.values() if one.key == asked] if record else []
    return asked, beside[0] if beside else {"asked": asked}


def recorded_judge(digest: str, criterion: Criterion | None) -> dict[str, Any]:
    """What is known of a judge whose judgments were recorded without saying whose they are: their file, the rubric."""
    return {"recorded": digest, "rubric": digest_json(criterion.model_dump(mode="json")) if criterion else None}


def check_card(card: Mapping[str, Any], results: Path) -> str:
    """The scorer of a results folder that the card holds for. Raises: ProvenanceError where there is none."""
    judges = read_result(results).judges
    for name, judge in judges.items():
        if judge.key == card["key"]:
            return name
    reasons = [void_because(card, judge.judge, judge.key) for judge in judges.values()]
    raise ProvenanceError(
        next(iter(reasons), None) or "no judge graded these results",
        where=results,
        fix="calibrate the judge that was asked, with `evalkit judge calibrate`",
    )
