"""Validation: is a row a conversation that ends in an answer, and is the answer what it has to be?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curate.core.paths import find_path
from curate.core.rows.answer_schema import Schemas
from curate.core.rows.preference_pair import is_pair
from curate.core.rows.row import Message, Row
from curate.core.sources.records import Input
from curate.recipe.recipe import Recipe, Validate
from curate.recipe.rule_ids import RULES, SEVERITY, Fault, Rule, Severity
from curate.table.chunk import ChunkRows, Makers
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection
from curate.table.stage import Context, Measured, Stage, StageResult
from curate.validate.repairs import repair
from curate.validate.rules.contents import check_contents, check_judgement
from curate.validate.rules.conversation import check_messages
from curate.validate.rules.preference import check_pair
from curate.validate.rules.target import target_rule
from curate.validate.rules.text import check_text
from curate.validate.rules.tool_calls import tool_rule


class Validation(Stage):
    """Rows without errors stay; each other one goes for the first rule it breaks. Warnings and repairs are counted."""

    name = "validate"

    def makers(self, recipe: Recipe, folder: Path) -> Makers:
        """Which rows need no closer look."""
        return Makers((Soundness(recipe.checks, folder),))

    def inputs(self, context: Context) -> Iterator[tuple[str, str, Input]]:
        """The schema of answers, and the files of the base that decide how a row is rendered."""
        recipe, folder = context.recipe, context.folder
        schema = recipe.checks.target_schema
        if schema is not None and schema.endswith(".json"):
            yield "validate", "schema", Input(schema, find_path(schema, folder))
        if recipe.base is not None:
            from curate.validate.rules.template import base_files

            for file in base_files(recipe.base, folder):
                yield "base", "base", file

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are left, repaired where the recipe asks for it."""
        checks = context.recipe.checks
        repairs, warnings = Counter[str](), Counter[str]()
        if checks.fix:
            rows = _repaired(rows, context, repairs)
        faults = _faults(rows, context, {**SEVERITY, **checks.severity}, warnings)
        gone = sorted(faults)
        rejections = Rejections.of_rows(self.name, rows.take(gone), [faults[at] for at in gone])
        counts = {"repairs": dict(sorted(repairs.items())), "warnings": dict(sorted(warnings.items()))}
        told = {name: found for name, found in counts.items() if found}
        return StageResult(rows.without(gone), rejections, counts=told, warnings=_bad_answers(warnings))


def _bad_answers(warnings: Counter[str]) -> list[str]:
    found = warnings["undesirable-answer"]
    return [f"undesirable-answer, {found} rows: {RULES['undesirable-answer']}"] if found else []


@dataclass(frozen=True)
class Soundness:
    """Which rows no rule finds anything in, not even a warning, and repairs have nothing to do in, as a column."""

    checks: Validate
    folder: Path
    name: ClassVar[str] = "is_sound"

    @cached_property
    def _rules(self) -> list[Rule]:
        return make_rules(self.checks, self.folder)

    @cached_property
    def _are_usual(self) -> bool:
        """Is nothing wanted but the usual rules? Repairs and further rules look at what those don't object to."""
        return not self.checks.fix and not further_rules(self.checks, self.folder, Schemas())

    def make(self, rows: ChunkRows) -> NDArray[np.bool_]:
        """Whether each of these rows is sound, shape (n,)."""
        sound = rows.is_clear & self._are_usual
        sound[[at for at, row in rows.objects.items() if sound[at] and is_pair(row)]] = False
        for at in np.flatnonzero(~sound).tolist():
            sound[at] = _is_sound(rows.rows[at], self._rules, fix=self.checks.fix)
        return sound


def make_rules(checks: Validate, folder: Path) -> list[Rule]:
    """The rules that look at one row alone; with a base, its chat template comes after them."""
    schemas = Schemas()
    usual = [check_contents, check_messages, check_pair, tool_rule(schemas), check_text, check_judgement]
    return [*usual, *further_rules(checks, folder, schemas)]


def further_rules(checks: Validate, folder: Path, schemas: Schemas) -> list[Rule]:
    """Rules that a row may break of which reading says that it `is_clear`. Where there are any, all rows are looked at.

    A new rule belongs here; the usual ones go with `curate.read.fast.plain_columns`, which has to know them.
    """
    rules: list[Rule] = []
    if checks.target_schema is not None:
        rules.append(target_rule(checks.target_schema, folder, schemas))
    return rules


def find_errors(rows: RowSelection, context: Context) -> dict[int, Fault]:
    """Position -> the first error of the row there, of rows that errors were not yet looked for in."""
    return _faults(rows, context, {**SEVERITY, **context.recipe.checks.severity}, Counter())


def _is_sound(row: Row, rules: Sequence[Rule], *, fix: bool) -> bool:
    if fix and repair(row, Counter()) is not row:
        return False
    for rule in rules:  # noqa: SIM110 - run for every row, and a generator costs as much as a rule
        if rule(row) is not None:
            return False
    return True


def _is_sound_column(rows: RowSelection, context: Context) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = rows.values(Soundness(context.recipe.checks, context.folder))
    return found


def _repaired(rows: RowSelection, context: Context, repairs: Counter[str]) -> RowSelection:
    changed: dict[int, Row] = {}
    takes_system = _takes_system(context)
    # Which rows are sound is known without the base, so where that refuses system messages all are looked at.
    some = np.flatnonzero(~_is_sound_column(rows, context)) if takes_system else np.arange(len(rows))
    for at in some.tolist():
        old = rows[at].row
        row = repair(old, repairs, takes_system=takes_system)
        if row is not old:
            changed[at] = row
    return rows.changed(list(changed), list(changed.values()), own_record=False)


def _takes_system(context: Context) -> bool:
    """Is a system message in what the recipe's base is given to read?"""
    if context.recipe.base is None:
        return True
    from curate.validate.rules.template import chat_format

    scene = "Answer in one short sentence."
    messages = [Message("system", scene), Message("user", "Why?")]
    try:
        return scene in chat_format(context.recipe.base, context.folder).render(messages)
    except Exception:  # noqa: BLE001 - a template can raise anything
        return False


def _faults(
    rows: RowSelection, context: Context, severity: dict[str, Severity], warnings: Counter[str]
) -> dict[int, Fault]:
    """Position -> the first error of the row there; `warnings` counts those of rows without errors."""
    rules = make_rules(context.recipe.checks, context.folder)
    unclear = np.flatnonzero(~_is_sound_column(rows, context)).tolist()
    faults = {at: fault for at in unclear if (fault := _fault(rows[at].row, rules, severity, warnings)) is not None}
    if context.recipe.base is not None:
        whole = np.delete(np.arange(len(rows)), list(faults))
        found = _template_faults(rows.take(whole), context)
        for index, fault in zip(whole.tolist(), found, strict=True):
            if fault is not None and severity[fault[0]] == "warning":
                warnings[fault[0]] += 1
            elif fault is not None and severity[fault[0]] == "error":
                faults[index] = fault
    return faults


def _template_faults(rows: RowSelection, context: Context) -> Sequence[Fault | None]:
    """What the template check finds. Kept is which rows it objects to: they are checked again for what it says."""
    from curate.validate.rules.template import template_faults

    if context.cache is None:
        return template_faults(rows.rows, context)
    recipe = context.recipe
    settings = [
        recipe.checks.model_dump(mode="json", by_alias=True),
        recipe.base,
        recipe.history,
        recipe.chat_template_kwargs,
    ]
    new: list[Fault | None] = []

    def objected() -> list[int]:
        new[:] = template_faults(rows.rows, context)
        return [index for index, fault in enumerate(new) if fault is not None]

    known = context.cache.of_part("template check", settings, frozenset({"base", "schema"}), objected)
    if new or not known:
        return new or [None] * len(rows)
    again = dict(zip(known, template_faults(rows.take(known).rows, context), strict=True))
    return [again.get(index) for index in range(len(rows))]


def _fault(row: Row, rules: Sequence[Rule], severity: dict[str, Severity], warnings: Counter[str]) -> Fault | None:
    for rule in rules:
        fault = rule(row)
        if fault is not None:
            grave = severity[fault[0]]
            if grave == "error":
                return fault
            if grave == "warning":
                warnings[fault[0]] += 1
    return None
