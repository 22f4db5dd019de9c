"""Balancing: how many rows each class keeps, and which; what must be there by share; what one class drowns out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from curate.compose.apportion import divide_within, draw_order, largest_remainder
from curate.compose.token_counts import count_tokens
from curate.core.errors import DataError
from curate.core.markdown import table
from curate.recipe.balance_mix import LENGTHS, Balance, BalanceRule, Requirement
from curate.recipe.recipe import Recipe
from curate.table.class_of_row import class_name, classes, field_value
from curate.table.rejections import Rejections
from curate.table.row_table import NO_VALUE
from curate.table.selection import RowSelection
from curate.table.stage import Context, Measured, Stage, StageResult, Table

_NO_COLUMNS: Measured = {}


class ClassCount(msgspec.Struct, frozen=True, kw_only=True):
    """A class before and after balancing, and its part of the rows after."""

    name: str
    before: int
    after: int
    share: float


class FieldCount(msgspec.Struct, frozen=True, kw_only=True):
    """The classes of one field, largest first."""

    by: str
    classes: list[ClassCount]


class RequirementCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the rows are of the required kind, after balancing."""

    name: str
    rows: int
    share: float
    wanted: float
    met: bool


class BalanceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What balancing found and did. `warnings` are sentences for people."""

    fields: list[FieldCount]
    requirements: list[RequirementCount]
    warnings: list[str]


class Balancing(Stage):
    """Rows of large classes go, as far as the recipe's rules say."""

    name = "balance"
    composes = True

    def is_wanted(self, recipe: Recipe, folder: Path) -> bool:  # noqa: ARG002 - a stage's
        """Does the recipe have rules for it?"""
        return recipe.balance is not None

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:
        """The rows that are left."""
        settings = context.recipe.balance
        assert settings is not None
        if any("tokens" in (rule.length_in, rule.by) for rule in settings.rules):
            measured = {**measured, "tokens": count_tokens(rows, context, self.name)}
        return balance_rows(rows, settings, context.recipe.seed, measured)

    def card(self, report: Mapping[str, Any]) -> str:
        """The classes before and after, and what was required."""
        lines = [[*line, f"{each['share']:.1%}"] for line, each in _class_lines(report)]
        text = "## Balance\n\n" + table(["field", "class", "before", "after", "share"], lines)
        wanted = [
            [one["name"], one["rows"], f"{one['share']:.1%}", f"{one['wanted']:.1%}", "yes" if one["met"] else "no"]
            for one in report["requirements"]
        ]
        return text + ("\n\n" + table(["required", "rows", "share", "wanted", "met"], wanted) if wanted else "")

    def tables(self, report: Mapping[str, Any]) -> Iterator[Table]:
        """The classes before and after."""
        yield ["field", "class", "before", "after"], [line for line, _ in _class_lines(report)]


def _class_lines(report: Mapping[str, Any]) -> Iterator[tuple[list[object], Mapping[str, Any]]]:
    for one in report["fields"]:
        for each in one["classes"]:
            yield [one["by"], each["name"], each["before"], each["after"]], each


def balance_rows(rows: RowSelection, settings: Balance, seed: int = 0, measured: Measured = _NO_COLUMNS) -> StageResult:
    """The rows left by the rules, in their order. Which go depends on the seed and each row's content alone.

    `measured` holds values that were worked out elsewhere by row id, such as `tokens`.
    Raises: ConfigError where no row has a rule's field; DataError where something required can't be met.
    """
    seed = seed if settings.seed is None else settings.seed
    columns = measured
    kept, rejections, warnings = rows, Rejections(), list[str]()
    for rule in settings.rules:
        kept, dropped = _apply(kept, rule, seed, columns, warnings, gold_first=settings.gold_first)
        rejections += dropped
    for requirement in settings.require:
        if requirement.when_short == "trim":
            kept, dropped = _trim(kept, requirement, seed, columns, gold_first=settings.gold_first)
            rejections += dropped
    for rule in settings.rules:
        _check_floors(kept, rows, rule, columns, warnings)
    requirements = [_check_requirement(kept, requirement, columns, warnings) for requirement in settings.require]
    fields = [_count(rows, kept, rule, columns) for rule in _distinct(settings.rules)]
    if all(count.by != "label" for count in fields) and rows.is_labelled:
        fields.append(_count(rows, kept, BalanceRule(by="label", cap=len(rows)), columns))
    # Rows of one length are no fault; rows of one answer are.
    named = [count for count in fields if count.by not in LENGTHS]
    warnings += [text for count in named if (text := _dominant(count, settings.dominant))]
    report = BalanceReport(fields=fields, requirements=requirements, warnings=warnings)
    return StageResult(kept, rejections, report=msgspec.to_builtins(report), warnings=warnings)


def dominant_class(rows: RowSelection, at_least: float = 0.95, by: str = "label") -> str | None:
    """A warning where one class makes `at_least` this part of the rows; for datasets that are not balanced too."""
    value = field_value(by, {})
    if not rows.is_labelled if by == "label" else all(value(row) is None for row in rows.rows):
        return None
    return _dominant(_count(rows, rows, BalanceRule(by=by, cap=len(rows)), {}), at_least)


def _apply(
    rows: RowSelection, rule: BalanceRule, seed: int, columns: Measured, warnings: list[str], *, gold_first: bool
) -> tuple[RowSelection, Rejections]:
    names = _classes(rows, rule, columns)
    members: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        members.setdefault(name, []).append(position)
    sizes = {name: len(positions) for name, positions in members.items()}
    limits = {name: min(size, _limit(rule, name, size)) for name, size in sizes.items()}
    targets = _targets(rule, limits, warnings)
    reasons: dict[int, tuple[str, str]] = {}
    for name, positions in members.items():
        if targets[name] == sizes[name]:
            continue
        order = draw_order(rows.take(positions), seed, gold_first=gold_first)
        for rank, chosen in enumerate(order[targets[name] :], start=targets[name]):
            reason = _divider(rule) if rank < limits[name] else "over-quota" if name in rule.quotas else "over-cap"
            text = f"{rule.by} {name!r} has {sizes[name]} rows and keeps {targets[name]}"
            reasons[positions[chosen]] = (reason, text)
    gone = sorted(reasons)
    return rows.without(gone), Rejections.of_rows(Balancing.name, rows.take(gone), [reasons[at] for at in gone])


def _limit(rule: BalanceRule, name: str, size: int) -> int:
    most = rule.most(name)
    return size if most is None else most


def _divider(rule: BalanceRule) -> str:
    return "over-share" if rule.shares else "temperature"


def _targets(rule: BalanceRule, limits: Mapping[str, int], warnings: list[str]) -> dict[str, int]:
    """How many rows each class keeps: its limit, or what shares or temperature give it, but not below its floor."""
    divided = {name: limit for name, limit in limits.items() if name not in rule.quotas}
    if rule.shares:
        parts = _by_shares(rule, divided, warnings)
    elif rule.temperature is not None and divided:
        parts = _by_temperature(divided, rule.temperature, rule.rows)
    else:
        parts = dict(divided)
    floors = {name: min(rule.least(name) or 0, limit) for name, limit in limits.items()}
    return {name: max(parts.get(name, limit), floors[name]) for name, limit in limits.items()}


def _by_temperature(limits: Mapping[str, int], temperature: float, rows: int | None) -> dict[str, int]:
    """Rows in proportion to n^(1/T).

    Without `rows`, as many as leave the smallest class whole: n_min^(1 - 1/T) * n^(1/T), so that new rows in a class
    that isn't the smallest change no other class.
    """
    power = 1 / temperature
    if rows is not None:
        return divide_within(rows, {name: limit**power for name, limit in limits.items()}, limits)
    smallest = min((limit for limit in limits.values() if limit), default=0)
    return {
        name: min(limit, round(smallest ** (1 - power) * limit**power)) if limit else 0
        for name, limit in limits.items()
    }


def _by_shares(rule: BalanceRule, limits: Mapping[str, int], warnings: list[str]) -> dict[str, int]:
    missing = sorted(name for name, share in rule.shares.items() if share > 0 and not limits.get(name))
    if missing:
        _short(
            f"balance: no row has {rule.by} {', '.join(map(repr, missing))}, which should have a share",
            warnings,
            required=rule.required,
        )
    weights = {name: Fraction(str(share)) for name, share in rule.shares.items() if limits.get(name)}
    others = {name: limit for name, limit in limits.items() if name not in rule.shares and limit}
    rest = max(Fraction(0), 1 - sum((Fraction(str(share)) for share in rule.shares.values()), Fraction(0)))
    size = sum(others.values())
    weights |= {name: rest * limit / size for name, limit in others.items()}
    # What typing leaves over (0.33 + 0.33 + 0.33) is no share for anyone.
    if others and rest < Fraction(1, 10_000):
        weights |= dict.fromkeys(others, Fraction(0))
        warnings.append(f"balance: the shares leave nothing for {rule.by} {', '.join(map(repr, sorted(others)))}")
    whole = sum(weights.values(), Fraction(0))
    if whole == 0:
        return dict.fromkeys(limits, 0)
    if rule.rows is not None:
        return {**dict.fromkeys(limits, 0), **divide_within(rule.rows, weights, limits)}
    total = min(int(limits[name] * whole / weight) for name, weight in weights.items() if weight > 0)
    parts = largest_remainder(total, weights)
    return {name: min(limit, parts.get(name, 0)) for name, limit in limits.items()}


def _trim(
    rows: RowSelection, requirement: Requirement, seed: int, columns: Measured, *, gold_first: bool
) -> tuple[RowSelection, Rejections]:
    """Without as many of the other rows as it takes for the required ones to make their share."""
    others = np.flatnonzero(~np.array(_meant(rows, requirement, columns), np.bool_))
    count = len(rows) - others.size
    share = Fraction(str(requirement.share))
    if share == 0 or count >= share * len(rows):
        return rows, Rejections()
    if count == 0:
        raise DataError(
            f"no row counts as {requirement.name!r}, so no trimming gives it a share of {requirement.share:g}",
            where="balance.require",
            fix="add such rows, or correct `field` and `values`",
        )
    most = int(count * (1 - share) / share)
    gone = np.sort(others[draw_order(rows.take(others), seed, gold_first=gold_first)[most:]])
    text = f"{count} rows are {requirement.name}; for a share of {requirement.share:g}, {most} others stay"
    why = [("makes-room", text)] * gone.size
    return rows.without(gone), Rejections.of_rows(Balancing.name, rows.take(gone), why)


def _meant(rows: RowSelection, requirement: Requirement, columns: Measured) -> list[bool]:
    """For each row whether it is of the required kind."""
    value, wanted = field_value(requirement.field, columns), set(requirement.values)
    found = list(map(value, rows.rows))
    if not wanted:
        return [one is not None and one is not False for one in found]
    return [one is not None and class_name(one) in wanted for one in found]


def _check_requirement(
    kept: RowSelection, requirement: Requirement, columns: Measured, warnings: list[str]
) -> RequirementCount:
    count = sum(_meant(kept, requirement, columns))
    share = count / len(kept) if kept else 0.0
    met = count >= Fraction(str(requirement.share)) * len(kept)
    if not met:
        text = f"balance: {requirement.name} make {share:.1%} of the rows, not {requirement.share:.1%}"
        _short(text, warnings, required=requirement.when_short == "error")
    return RequirementCount(name=requirement.name, rows=count, share=share, wanted=requirement.share, met=met)


def _check_floors(
    kept: RowSelection, before: RowSelection, rule: BalanceRule, columns: Measured, warnings: list[str]
) -> None:
    """Floors are checked on what all rules together leave: a later rule can take what an earlier one had kept."""
    if rule.floor is None and not rule.floors and not rule.quotas:
        return
    there = Counter(_classes(before, rule, columns))
    left = Counter(_classes(kept, rule, columns)) if kept else Counter[str]()
    for name in sorted({*rule.floors, *rule.quotas, *there}):
        least = rule.least(name) or 0
        if left[name] < least:
            text = f"balance: {rule.by} {name!r} has {left[name]} rows of the {least} wanted"
            _short(
                text if there[name] < least else f"{text}; other rules took the rest", warnings, required=rule.required
            )


def _short(text: str, warnings: list[str], *, required: bool) -> None:
    if required:
        raise DataError(text.removeprefix("balance: "), where="balance", fix="add such rows, or ask for fewer")
    warnings.append(text)


def _classes(rows: RowSelection, rule: BalanceRule, columns: Measured) -> list[str]:
    return classes(rows, rule.by, columns, rule.edges, rule.length_in)


def _distinct(rules: Sequence[BalanceRule]) -> list[BalanceRule]:
    return list({(rule.by, tuple(rule.edges), rule.length_in): rule for rule in rules}.values())


def _count(before: RowSelection, kept: RowSelection, rule: BalanceRule, columns: Measured) -> FieldCount:
    there = Counter(_classes(before, rule, columns))
    left = Counter(_classes(kept, rule, columns)) if kept else Counter[str]()
    counts = [
        ClassCount(name=name, before=size, after=left[name], share=left[name] / len(kept) if kept else 0.0)
        for name, size in there.items()
    ]
    return FieldCount(by=rule.by, classes=sorted(counts, key=lambda count: (-count.after, -count.before, count.name)))


def _dominant(count: FieldCount, at_least: float) -> str | None:
    largest = count.classes[0] if count.classes else None
    if largest is None or largest.share < at_least or largest.name == NO_VALUE:
        return None
    return (
        f"balance: {count.by} {largest.name!r} makes {largest.share:.1%} of the rows: a model can score well by always"
        f" answering as for it; add other rows or cap it"
    )
