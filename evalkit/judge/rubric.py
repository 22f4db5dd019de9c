"""Rubrics: one YAML file each, saying what a good answer is in anchored levels. `rubrics/README.md` has the format."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from curate.core.config_file import Config, load_config


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must say something")
    return text


Sentence = Annotated[str, AfterValidator(_not_blank)]


class Level(Config):
    """One grade of a criterion, with an anchor: what an answer that deserves it looks like."""

    grade: int = Field(ge=0)
    anchor: Sentence


class Example(Config):
    """A graded answer that shows where a line lies."""

    answer: str
    grade: int
    reason: Sentence


class Criterion(Config):
    """One question about an answer. Grades from `pass_from` upwards count as a pass."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    question: Sentence
    levels: tuple[Level, ...] = Field(min_length=2)
    pass_from: int
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _grades_fit(self) -> "Criterion":
        grades = [level.grade for level in self.levels]
        if grades != sorted(set(grades)):
            raise ValueError("levels go from the lowest grade to the highest, each grade once")
        if self.pass_from not in grades[1:]:
            raise ValueError(f"pass_from must be one of {grades[1:]}: something has to be able to fail, and to pass")
        strays = [example.grade for example in self.examples if example.grade not in grades]
        if strays:
            raise ValueError(f"examples have grades that no level has: {strays}")
        return self


class Rubric(Config):
    """What a judge is asked. A change of wording is a new version: old judgments don't carry over."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    version: int = Field(ge=1)
    kind: Literal["single", "pairwise"] = "single"
    purpose: Sentence
    criteria: tuple[Criterion, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _criteria_differ(self) -> "Rubric":
        ids = [criterion.id for criterion in self.criteria]
        if len(set(ids)) < len(ids):
            raise ValueError("two criteria have the same id")
        return self


def load_rubric(path: Path) -> Rubric:
    """The rubric in a file. Raises: ConfigError that lists every fault with its line."""
    return load_config(path, Rubric)


def advice(rubric: Rubric) -> list[str]:
    """What makes a rubric that is valid hard to grade by; empty where there is nothing to say."""
    notes = []
    for criterion in rubric.criteria:
        shown = {example.grade for example in criterion.examples}
        missing = [level.grade for level in criterion.levels if level.grade not in shown]
        if missing:
            notes.append(f"{criterion.id}: no example for grade {', '.join(map(str, missing))}")
        if len(criterion.levels) > 5:
            notes.append(f"{criterion.id}: {len(criterion.levels)} levels; graders agree less past five")
        if " and " in criterion.question and "?" in criterion.question:
            notes.append(f"{criterion.id}: the question joins two things with 'and'; ask one thing a criterion")
    return notes
