"""Validation: is a row a conversation that ends in an answer, and is the answer what it has to be?"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from curate.core.rows.answer_schema import Schemas
from curate.core.rows.row import Row
from curate.recipe.rule_ids import RULES, SEVERITY, Fault, Rule, Severity
from curate.table.row_ref import Context, Entry, Outcome, Rows, reject
from curate.table.selection import sound, take
from curate.validate.repairs import repair
from curate.validate.rules.conversation import check_messages
from curate.validate.rules.target import target_rule
from curate.validate.rules.text import check_text
from curate.validate.rules.tool_calls import tool_rule

__all__ = ["RULES", "STAGE", "check_messages", "validate"]

STAGE = "validate"


def validate(entries: Sequence[Entry], context: Context) -> Outcome:
    """The rows without errors; each other one with the first rule it breaks. Warnings and repairs are counted."""
    settings = context.recipe.checks
    repairs: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    if settings.fix:
        entries = _repaired(entries, repairs)
    faults = _faults(entries, context, {**SEVERITY, **settings.severity}, warnings)
    passed = np.ones(len(entries), np.bool_)
    passed[list(faults)] = False
    kept = take(entries, passed)
    rejections = [reject(entries[at], STAGE, *faults[at]) for at in sorted(faults)]
    counts = {"repairs": dict(sorted(repairs.items())), "warnings": dict(sorted(warnings.items()))}
    return Outcome(kept, rejections, counts={name: found for name, found in counts.items() if found})


def make_rules(context: Context) -> list[Rule]:
    """The rules that look at one row alone; with a base, its chat template comes after them."""
    schemas = Schemas()
    rules: list[Rule] = [check_messages, tool_rule(schemas), check_text]
    if context.recipe.checks.target_schema is not None:
        rules.append(target_rule(context, schemas))
    return rules


def is_sound(row: Row, rules: Sequence[Rule], *, fix: bool) -> bool:
    """Do the rules find nothing in the row, not even a warning, nor repairs anything to do?"""
    if fix and repair(row, Counter()) is not row:
        return False
    for rule in rules:  # noqa: SIM110 - run for every row, and a generator costs as much as a rule
        if rule(row) is not None:
            return False
    return True


def _repaired(entries: Sequence[Entry], repairs: Counter[str]) -> Sequence[Entry]:
    changed: dict[int, Entry] = {}
    for at in np.flatnonzero(~sound(entries)).tolist():
        entry = entries[at]
        old = entry.row
        row = repair(old, repairs)
        if row is not old:
            changed[at] = Entry(row, entry.place, entry.raw)
    return [changed.get(at, entry) for at, entry in enumerate(entries)] if changed else entries


def _faults(
    entries: Sequence[Entry], context: Context, severity: dict[str, Severity], warnings: Counter[str]
) -> dict[int, Fault]:
    """Position -> the first error of the row there; `warnings` counts those of rows without errors."""
    rules = make_rules(context)
    unclear = np.flatnonzero(~sound(entries)).tolist()
    faults = {at: fault for at in unclear if (fault := _fault(entries[at].row, rules, severity, warnings)) is not None}
    if context.recipe.base is not None:
        whole = np.delete(np.arange(len(entries)), list(faults))
        found = _template_faults(take(entries, whole), context)
        for index, fault in zip(whole.tolist(), found, strict=True):
            if fault is not None and severity[fault[0]] == "warning":
                warnings[fault[0]] += 1
            elif fault is not None and severity[fault[0]] == "error":
                faults[index] = fault
    return faults


def _template_faults(entries: Sequence[Entry], context: Context) -> Sequence[Fault | None]:
    """What the template check finds. Kept is which rows it objects to: they are checked again for what it says."""
    from curate.validate.rules.template import template_faults

    if context.kept is None:
        return template_faults(Rows(entries), context)
    settings = [context.recipe.checks.model_dump(mode="json", by_alias=True), context.recipe.base]
    key = context.kept.key("template check", settings, {"base", "schema"})
    known = context.kept.read(key, list[int])
    if known is None:
        found = template_faults(Rows(entries), context)
        context.kept.write(key, [index for index, fault in enumerate(found) if fault is not None])
        return found
    again = template_faults(Rows([entries[index] for index in known]), context) if known else []
    faults = dict(zip(known, again, strict=True))
    return [faults.get(index) for index in range(len(entries))]


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
