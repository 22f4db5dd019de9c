"""Mixing: how many gold and synthetic rows there are, and how often training sees each of them.

Mixing never copies a row: it says how often each is repeated, and `repeat_rows` writes the repetitions into the
training side, under ids of their own, once the split is made.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from curate.compose.apportion import draw_order, largest_remainder
from curate.compose.token_counts import count_tokens
from curate.core.errors import DataError
from curate.core.markdown import table
from curate.core.rows.row import Origin, Row
from curate.core.rows.row_text import message_text
from curate.core.seeding import stable_seed
from curate.recipe.balance_mix import Mix
from curate.recipe.recipe import Recipe
from curate.table.class_of_row import count_words
from curate.table.rejections import Rejections
from curate.table.row_table import NO_VALUE
from curate.table.selection import RowSelection
from curate.table.stage import Context, Measured, Stage, StageResult, Table

_Part = tuple[Origin, str]
_SIDES: tuple[Origin, ...] = ("gold", "synthetic")


class MixPart(msgspec.Struct, frozen=True, kw_only=True):
    """One source's part of the mix. `units` and `share` count repetitions."""

    source: str
    origin: Origin
    before: int
    kept: int
    repeats: int
    units: int
    share: float


class MixReport(msgspec.Struct, frozen=True, kw_only=True):
    """The mix that came out. `counted` is what `units` are: rows, tokens, or words where no tokens were counted."""

    counted: str
    units: int
    synthetic_share: float
    parts: list[MixPart]
    warnings: list[str]


class Mixing(Stage):
    """Gold and synthetic rows go, and are repeated, until they are in the proportions that the recipe asks for."""

    name = "mix"
    composes = True

    def is_wanted(self, recipe: Recipe, folder: Path) -> bool:  # noqa: ARG002 - a stage's
        """Does the recipe have a mix?"""
        return recipe.mix is not None

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are left, and how often training sees them."""
        settings = context.recipe.mix
        assert settings is not None
        wants_tokens = settings.unit == "tokens" and context.recipe.base is not None
        tokens = count_tokens(rows, context, self.name) if wants_tokens else None
        return mix_rows(rows, settings, context.recipe.seed, tokens)

    def card(self, report: Mapping[str, Any]) -> str:
        """The parts of the mix."""
        head = [*_PART_HEAD[:5], report["counted"], "share"]
        share = f"Synthetic: {report['synthetic_share']:.1%} of the {report['counted']}."
        return f"## Mix\n\n{share}\n\n" + table(head, _part_lines(report))

    def tables(self, report: Mapping[str, Any]) -> Iterator[Table]:
        """The parts of the mix."""
        yield _PART_HEAD, _part_lines(report)


_PART_HEAD = ["source", "origin", "before", "kept", "repeats", "units", "share"]


def _part_lines(report: Mapping[str, Any]) -> list[list[object]]:
    return [[*(one[key] for key in _PART_HEAD[:6]), f"{one['share']:.1%}"] for one in report["parts"]]


def mix_rows(rows: RowSelection, settings: Mix, seed: int = 0, tokens: Mapping[str, int] | None = None) -> StageResult:
    """The mix that the settings ask for. Which rows stay depends on the seed and each row's content alone.

    `tokens` holds the tokens of each row by id; without it, `unit: tokens` counts words and says so.
    Raises: DataError where there is no gold for synthetic rows to be a part of, or a row was not counted.
    """
    seed = seed if settings.seed is None else settings.seed
    sizes, part_of = _sizes(rows, settings.unit, tokens), [_part(row) for row in rows.rows]
    parts: dict[_Part, list[int]] = {}
    for position, part in enumerate(part_of):
        parts.setdefault(part, []).append(position)
    whole = {
        part: Fraction(str(settings.epochs.get(part[1], 1.0))) * sum(sizes[position] for position in at)
        for part, at in sorted(parts.items())
    }
    have = {
        side: sum((units for (origin, _), units in whole.items() if origin == side), Fraction(0)) for side in _SIDES
    }
    times, reasons, realised = [0] * len(rows), dict[_Part, str](), dict.fromkeys(_SIDES, 0)
    for side in _SIDES:
        # Gold comes first: synthetic rows are a part of the gold that came out, not of what was planned.
        give, reason = _gold_units(have, settings) if side == "gold" else _synthetic_units(have, realised, settings)
        mine = {part[1]: units for part, units in whole.items() if part[0] == side}
        budgets = mine if give >= have[side] else largest_remainder(int(give), mine)
        exact = give < have[side] or (side == "synthetic" and settings.max_synthetic < 1)
        for source, budget in budgets.items():
            at = parts[side, source]
            order = [at[index] for index in draw_order(rows.take(at), seed)]
            shown = _passes([sizes[position] for position in order], Fraction(budget), exact=exact)
            for position, count in zip(order, shown, strict=True):
                times[position] = count
            realised[side] += sum(count * sizes[position] for position, count in zip(order, shown, strict=True))
            reasons[side, source] = reason
    counted = settings.unit if settings.unit == "rows" or tokens is not None else "words"
    warnings = _warnings(settings, have, realised, sorted({source for _, source in parts}))
    return _mixed(rows, part_of, times, sizes, reasons, _Told(counted, warnings))


def repeat_rows(rows: RowSelection, times: Mapping[str, int], seed: int = 0) -> RowSelection:
    """The rows with their repetitions, in an order that depends on seed and ids alone.

    The second showing of row `a` is the row `a#2` with `meta.repeat_of: a`: no two rows have the same id.
    Raises: DataError where a row already has such an id.
    """
    more: list[Row] = []
    repeated: list[int] = []
    for at in rows.find(times.keys()).tolist():
        old = rows[at].row
        numbers = range(2, times[old.id] + 1)
        more += [replace(old, id=f"{old.id}#{number}", meta={**old.meta, "repeat_of": old.id}) for number in numbers]
        repeated += [at] * len(numbers)
    if taken := {row.id for row in more} & set(rows.ids()):
        raise DataError("a repetition would have the id of another row", where=min(taken), fix="rename that row")
    new = rows.table.append_rows(more, rows.numbers[repeated], own_record=True) if more else rows.numbers[:0]
    found = rows.followed_by(RowSelection(rows.table, new))
    ids = found.ids()
    return found.take(sorted(range(len(ids)), key=lambda at: (stable_seed(seed, ids[at]), ids[at])))


@dataclass(frozen=True, slots=True)
class _Told:
    """What the report says beside the counts."""

    counted: str
    warnings: list[str]


def _sizes(rows: RowSelection, unit: str, tokens: Mapping[str, int] | None) -> list[int]:
    if unit == "rows":
        return [1] * len(rows)
    if tokens is None:
        return [max(1, sum(count_words(message_text(message)) for message in row.messages)) for row in rows.rows]
    ids = rows.ids()
    uncounted = next((name for name in ids if name not in tokens), None)
    if uncounted is not None:
        raise DataError("the tokens of this row were not counted", where=uncounted, fix="count them again")
    return [max(1, tokens[name]) for name in ids]


def _gold_units(have: Mapping[Origin, Fraction], settings: Mix) -> tuple[Fraction, str]:
    """The gold units of the mix, and what makes gold rows go."""
    gold = have["gold"]
    total = sum(have.values(), Fraction(0))
    if not gold and total and (settings.max_synthetic < 1 or settings.synthetic is not None):
        raise DataError(
            "there is no gold, so synthetic rows can't be a part of the mix",
            where="mix",
            fix="add gold rows, or take `synthetic` and `max_synthetic` out",
        )
    if settings.size is None or (settings.synthetic is None and total <= settings.size):
        return gold, "under-one-epoch"
    wanted = _halves(have, settings)["gold"]
    return (Fraction(wanted), "over-size") if wanted < gold else (gold, "under-one-epoch")


def _synthetic_units(
    have: Mapping[Origin, Fraction], realised: Mapping[Origin, int], settings: Mix
) -> tuple[Fraction, str]:
    """The synthetic units beside the gold that came out: the tightest of size, target and cap."""
    give, reason = have["synthetic"], "under-one-epoch"
    gold = Fraction(realised["gold"])
    if settings.size is not None and give > settings.size - gold:
        give, reason = max(Fraction(0), settings.size - gold), "over-size"
    if settings.synthetic is not None:
        share = Fraction(str(settings.synthetic))
        most = round(gold * share / (1 - share))
        if settings.size is not None and gold == (halves := _halves(have, settings))["gold"]:
            most = halves["synthetic"]  # largest remainder has already rounded the two to make the size
        if give > most:
            give, reason = Fraction(most), "synthetic-share"
    if settings.max_synthetic < 1:
        cap = Fraction(str(settings.max_synthetic))
        most = int(gold * cap / (1 - cap))
        if give > most:
            give, reason = Fraction(most), "synthetic-cap"
    return give, reason


def _halves(have: Mapping[Origin, Fraction], settings: Mix) -> dict[str, int]:
    """The size divided into gold and synthetic: by the target, else as they are there, but not over the cap."""
    cap = Fraction(str(settings.max_synthetic))
    natural = min(cap, have["synthetic"] / max(Fraction(1), sum(have.values(), Fraction(0))))
    share = natural if settings.synthetic is None else Fraction(str(settings.synthetic))
    return largest_remainder(settings.size or 0, {"gold": 1 - share, "synthetic": share})


def _warnings(
    settings: Mix, have: Mapping[Origin, Fraction], realised: Mapping[Origin, int], sources: Sequence[str]
) -> list[str]:
    total = sum(realised.values())
    share = realised["synthetic"] / total if total else 0.0
    unknown = sorted(set(settings.epochs) - set(sources))
    told = [f"mix: no row is from {name!r}, which epochs names" for name in unknown]
    if settings.synthetic is not None and total:
        gap = Fraction(str(settings.synthetic)) * total - realised["synthetic"]
        if gap > 1 and realised["synthetic"] >= have["synthetic"]:
            told.append(f"mix: synthetic rows are too few: they make {share:.1%}, not {settings.synthetic:.1%}")
    elif share > 0.5 and settings.max_synthetic == 1:
        told.append(f"mix: synthetic rows make {share:.1%}; max_synthetic would cap them")
    if settings.size is not None and settings.unit == "rows" and total < settings.size:
        told.append(f"mix: the mix has {total} rows of the {settings.size} wanted")
    return told


def _passes(sizes: Sequence[int], budget: Fraction, *, exact: bool) -> list[int]:
    """How often each row is shown: all of them equally often, and the first ones once more, as the budget allows.

    An exact budget is never exceeded; one that only comes from epochs is met as nearly as whole rows can.
    """
    whole = sum(sizes)
    full = int(budget // whole)
    left = budget - full * whole
    ends = list(accumulate(sizes))
    more = bisect_right(ends, left)
    if not exact and more < len(ends):
        below = ends[more - 1] if more else 0
        more += ends[more] - left <= left - below
    return [full + (index < more) for index in range(len(sizes))]


def _mixed(
    rows: RowSelection, part_of: Sequence[_Part], times: Sequence[int], sizes: Sequence[int],
    reasons: Mapping[_Part, str], told: _Told,
) -> StageResult:  # fmt: skip
    before, kept, repeats, units = Counter[_Part](), Counter[_Part](), Counter[_Part](), Counter[_Part]()
    for part, count, size in zip(part_of, times, sizes, strict=True):
        before[part] += 1
        kept[part] += count > 0
        repeats[part] += max(0, count - 1)
        units[part] += count * size
    gone = [at for at, count in enumerate(times) if not count]
    why = []
    for part in (part_of[at] for at in gone):
        detail = f"{kept[part]} of the {before[part]} {part[0]} rows from {part[1]!r} are in the mix"
        why.append((reasons[part], detail))
    total = units.total()
    parts = [
        MixPart(
            source=part[1], origin=part[0], before=before[part], kept=kept[part], repeats=repeats[part],
            units=units[part], share=units[part] / total if total else 0.0,
        )
        for part in sorted(before)
    ]  # fmt: skip
    share = sum(part.share for part in parts if part.origin == "synthetic")
    report = MixReport(counted=told.counted, units=total, synthetic_share=share, parts=parts, warnings=told.warnings)
    return StageResult(
        rows.without(gone),
        Rejections.of_rows(Mixing.name, rows.take(gone), why),
        report=msgspec.to_builtins(report),
        warnings=told.warnings,
        repetitions={name: count for name, count in zip(rows.ids(), times, strict=True) if count > 1},
    )


def _part(row: Row) -> _Part:
    return row.origin, row.source or NO_VALUE
