"""Judgments and labels as they are written, line by line, and the scale that both are grades on."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from curate.core.errors import ConfigError, DataError
from curate.core.files import decode_lines
from evalkit.judge.rubric import Criterion, Rubric

Grade = bool | int | float | str
AnswerKey = tuple[str, str]
"""What is graded: (item, contender)."""
FILE_NAME = "judgments.jsonl"
_SHOWN = 5  # ids in a message


class Judgment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a judge said of one answer by one criterion, or `grade` None with the reason in `undecided`.

    `swapped`: asked with the options in reverse order. `repeat` counts further questions in the same words, `sample` a
    contender's further answers to the item. `judge` is the digest of model, prompt, rubric and parameters. Units:
    `length` in characters, of the answer.
    """

    item: str | int
    grade: Grade | None = None
    contender: str | None = ""
    scorer: str = ""
    criterion: str = ""
    undecided: str | None = None
    reason: str = ""
    evidence: str = ""
    swapped: bool = False
    repeat: int = 0
    sample: int = 0
    tries: int = 1
    judge: str = ""
    length: int | None = None


class Label(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person said of one answer; `grade` None where the person skipped it. `blind`: the judge was not shown."""

    item: str | int
    annotator: str | int
    grade: Grade | None = None
    contender: str | None = ""
    criterion: str = ""
    blind: bool = True


Line = TypeVar("Line", Judgment, Label)


@dataclass(frozen=True, slots=True)
class Scale:
    """The grades there are, the lowest first where they are ordered; `passing` are a pass (None: nobody said)."""

    levels: tuple[Grade, ...]
    ordered: bool
    passing: frozenset[int] | None
    pairwise: bool = False

    def code(self, grade: Grade) -> int | None:
        """Where the grade stands, or None where the scale doesn't have it."""
        return self.levels.index(grade) if grade in self.levels else None

    def value(self, code: int) -> float:
        """The grade as a score: 1 for a pass and 0 for a fail; of a pair, from 0 (lost) to 1 (won)."""
        return code / (len(self.levels) - 1) if self.pairwise else float(self.passes(code))

    def passes(self, code: int) -> bool:
        """Whether this grade is a pass."""
        return self.passing is not None and code in self.passing


def answer_of(line: Judgment | Label) -> AnswerKey:
    """What the line is about."""
    return str(line.item), line.contender or ""


def read_judgments(path: Path, *, scorer: str | None = None, criterion: str | None = None) -> list[Judgment]:
    """The judgments of one judge by one criterion. Raises: DataError, or ConfigError where the file holds several."""
    lines = list(decode_lines(path, Judgment))
    if not lines:
        raise DataError("no judgments in it", where=path)
    lines = _one(lines, "scorer", scorer, path)
    lines = _one(lines, "criterion", criterion, path)
    if len({line.judge for line in lines}) > 1:
        raise DataError(
            "judgments of more than one judge: another model, prompt, rubric or parameter is another judge",
            where=path,
            fix="keep the judgments of each in a file of its own",
        )
    return lines


def read_labels(path: Path, *, criterion: str | None = None) -> list[Label]:
    """People's labels by one criterion; a line that names none is by any. Raises: DataError, ConfigError."""
    lines = list(decode_lines(path, Label))
    if not lines:
        raise DataError("no labels in it", where=path)
    if criterion is not None:
        chosen = [line for line in lines if line.criterion in ("", criterion)]
        if not chosen:
            raise DataError(f"no label is by the criterion {criterion}", where=path)
        return chosen
    return _one(lines, "criterion", None, path)


def _one(lines: list[Line], field: str, wanted: str | None, path: Path) -> list[Line]:
    """The lines whose field is the wanted one; without a wish all lines have to agree."""
    found = sorted({str(getattr(line, field)) for line in lines})
    if wanted is not None and found != [""]:
        chosen = [line for line in lines if getattr(line, field) == wanted]
        if not chosen:
            raise ConfigError(f"no line has the {field} {wanted}", where=path, fix=f"known: {', '.join(found)}")
        return chosen
    if len(found) > 1:
        names = ", ".join(name or "(none)" for name in found)
        raise ConfigError(f"lines of several: {field} {names}", where=path, fix=f"choose one with --{field}")
    return lines


def tidy(grade: Grade) -> Grade:
    """The grade as it is compared: booleans and whole numbers as integers, also where they were written as text."""
    if isinstance(grade, str):
        text = grade.strip()
        return int(text) if text.lstrip("-").isdigit() and text.isascii() else text
    return int(grade) if isinstance(grade, bool) or float(grade).is_integer() else grade


def judge_scale(criterion: Criterion, *, pairwise: bool) -> Scale:
    """The scale of a rubric's criterion."""
    grades = [level.grade for level in criterion.levels]
    passing = frozenset(code for code, grade in enumerate(grades) if grade >= criterion.pass_from)
    return Scale(tuple(grades), ordered=True, passing=passing, pairwise=pairwise)


def seen_scale(grades: Iterable[Grade], pass_from: Grade | None) -> Scale:
    """The scale of the grades that occur. Numbers have an order, words have none.

    Numbers from `pass_from` upwards pass; of words that one alone. Without it, the higher of two numbers is a pass, and
    so is "pass" where the other word is "fail".
    Raises: ConfigError where `pass_from` is no grade that occurs.
    """
    seen = {tidy(grade) for grade in grades}
    ordered = not any(isinstance(grade, str) for grade in seen)
    levels = sorted(seen, key=lambda grade: (float(grade) if ordered else 0.0, str(grade)))
    scale = Scale(tuple(levels), ordered, None)
    if pass_from is None:
        known = len(levels) == 2 and (ordered or levels == ["fail", "pass"])
        return Scale(scale.levels, ordered, frozenset([1])) if known else scale
    code = scale.code(tidy(pass_from))
    if code is None:
        raise ConfigError(
            f"no grade is {pass_from}", where="--pass-from", fix=f"grades that occur: {', '.join(map(str, levels))}"
        )
    return Scale(scale.levels, ordered, frozenset(range(code, len(levels)) if ordered else [code]))


def find_criterion(rubric: Rubric, name: str | None, where: str) -> Criterion:
    """The criterion of this name, or the only one. Raises: ConfigError."""
    known = [criterion.id for criterion in rubric.criteria]
    if name is None and len(known) == 1:
        return rubric.criteria[0]
    found = next((criterion for criterion in rubric.criteria if criterion.id == name), None)
    if found is None:
        what = f"no criterion is called {name}" if name else f"{rubric.name} has several criteria"
        raise ConfigError(what, where=where, fix=f"name one: {', '.join(known)}")
    return found


def check_grades(labels: Sequence[Label], scale: Scale, path: Path) -> None:
    """Raises: DataError where people gave grades that the rubric doesn't have."""
    given = [tidy(line.grade) for line in labels if line.grade is not None]
    strays = Counter(str(grade) for grade in given if scale.code(grade) is None)
    if strays:
        shown = ", ".join(grade for grade, _ in strays.most_common(_SHOWN))
        raise DataError(
            f"{strays.total()} labels have a grade that the rubric doesn't have: {shown}",
            where=path,
            fix=f"the rubric's grades: {', '.join(map(str, scale.levels))}",
        )
