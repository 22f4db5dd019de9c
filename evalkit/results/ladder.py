"""The ladder verdict: the cheapest rung that does the job, or that the data can't say.

Rungs, cheapest first: base, prompt, rag, fine-tune; within a rung, the order in which the suite names its contenders.
Each contender is compared with every cheaper one on the primary metric. With `useful` the useful effect, `a` is

- *better* than `b`: the difference is at least `useful`, its interval lies above zero, p is at most alpha (adjusted for
  climbing in a fixed order: `significance.climbing_p`), and it would still be above zero if every missing score went
  against `a`. (Big enough to pay for, and no luck.)
- *not better*: the interval ends below `useful`, and so does the difference if every missing score went for `a`.
  (Whatever the truth is, it is too small to pay for.)
- *open*: neither.

The rule, in this order:

0. A contender that lacks more answers than the suite allows (`max_errors`): `inconclusive`, whatever the others say.
1. A contender whose interval ends below the floor (`min_quality`, where the suite sets one) does not do the job.
2. The **winner** is the cheapest of the others that no costlier contender is better than. Cheapest unbeaten, not "climb
   step by step": being better isn't transitive (prompt +3, rag +3 over that, adapter +3 over that), and a costlier
   rung has to beat every rung below it to be worth its price, the best of them included.
3. No winner: `nothing-suffices`.
4. A costlier rung whose comparison with the winner is open: `inconclusive`, with the number of items that would decide.
   Staying on the cheap rung because too few items were measured is not a finding.
5. A winner whose interval holds the floor: `inconclusive`, likewise.
6. The base itself wins: with a floor it reaches, or so good that no rung could be usefully better, the base does the
   job with the prompt it was given: `prompt-suffices`. Otherwise nothing that was tried helps: `nothing-suffices`.
7. Else the winner's rung names the verdict: `prompt-suffices`, `rag-suffices`, `fine-tune-pays`.
8. Where the winner is not shown to be better than one answer given to every item, no verdict of 6 or 7 stands that says
   something suffices or pays: it may know how often an answer is right, not when. `inconclusive`.

The floor is a floor, not a target: it decides whether a winner does the job, never which contender wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from evalkit.stats.compare import Comparison
from evalkit.stats.in_words import p_value, percent, points, span
from evalkit.stats.power import gap_to_floor, gap_to_settle, items_to_settle
from evalkit.stats.significance import climbing_p
from evalkit.suite.contenders import RUNGS, Rung

LadderVerdict = Literal["prompt-suffices", "rag-suffices", "fine-tune-pays", "nothing-suffices", "inconclusive"]
StepOutcome = Literal["start", "better", "not-better", "open"]

_VERDICTS: dict[Rung, LadderVerdict] = {
    "prompt": "prompt-suffices",
    "rag": "rag-suffices",
    "fine-tune": "fine-tune-pays",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One contender on the primary metric: mean, interval, the number of items scored, the share without an answer."""

    name: str
    rung: Rung
    mean: float
    low: float
    high: float
    n: int
    errors: float = 0.0


@dataclass(frozen=True, slots=True)
class LadderRules:
    """What the suite fixed before the run. `useful`, `floor` and `max_errors` are shares (0.05 = 5 points)."""

    useful: float
    alpha: float = 0.05
    floor: float | None = None
    graded: bool = False
    power: float = 0.8
    max_errors: float = 1.0


@dataclass(frozen=True, slots=True)
class Constant:
    """One answer given to every item: how sentences call it, its mean, and each contender (`a`) against it."""

    name: str
    mean: float
    against: tuple[Comparison, ...]


class Step(msgspec.Struct, frozen=True):
    """One contender on the way up, against the best of the cheaper ones (`against`; None for the cheapest)."""

    contender: str
    rung: Rung
    outcome: StepOutcome
    against: str | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    beaten_by: tuple[str, ...]
    floor: Literal["none", "reached", "missed", "open"]


class Ladder(msgspec.Struct, frozen=True):
    """The verdict, why in a sentence or two, and how each contender fared."""

    verdict: LadderVerdict
    because: str
    winner: str | None
    steps: tuple[Step, ...]
    share_reached_by_prompting: float | None
    """The share of fine-tuning's gain over the base that the best baseline reaches; None without such a gain."""
    items_to_decide: int | None
    """Where inconclusive: about how many items would decide it."""


def climb_order(rungs: Sequence[Rung]) -> list[int]:
    """Positions from the cheapest rung to the costliest; equal rungs keep their order."""
    return sorted(range(len(rungs)), key=lambda index: RUNGS.index(rungs[index]))


def decide(
    standings: Sequence[Standing],
    comparisons: Sequence[Comparison],
    rules: LadderRules,
    constant: Constant | None = None,
) -> Ladder:
    """The verdict for contenders in climbing order, given a comparison of each (`a`) with every cheaper one (`b`)."""
    return _Climb(standings, comparisons, rules, constant).ladder()


class _Climb:
    """The facts of one decision, looked up by name."""

    def __init__(
        self,
        standings: Sequence[Standing],
        comparisons: Sequence[Comparison],
        rules: LadderRules,
        constant: Constant | None,
    ) -> None:
        self.standings = standings
        self.constant = constant
        self.rules = rules
        self.pairs = {(comparison.a, comparison.b): comparison for comparison in comparisons}
        names = [standing.name for standing in standings]
        self.p = climbing_p(names, {pair: comparison.p for pair, comparison in self.pairs.items()})

    def ladder(self) -> Ladder:
        winner = self._winner()
        verdict, because, items = self._verdict(winner)
        return Ladder(
            verdict=verdict,
            because=because,
            winner=winner.name if winner else None,
            steps=tuple(self._step(standing) for standing in self.standings),
            share_reached_by_prompting=self._share_reached(),
            items_to_decide=items,
        )

    def outcome(self, pair: Comparison) -> StepOutcome:
        """How `a` fares against `b`; see the module's docstring."""
        useful = self.rules.useful
        beyond_chance = pair.low > 0 and self.p[pair.a, pair.b] <= self.rules.alpha and pair.worst > 0
        if pair.difference >= useful and beyond_chance:
            return "better"
        return "not-better" if pair.high < useful and pair.best < useful else "open"

    def _floor(self, standing: Standing) -> Literal["none", "reached", "missed", "open"]:
        if self.rules.floor is None:
            return "none"
        if standing.high < self.rules.floor:
            return "missed"
        return "reached" if standing.low >= self.rules.floor else "open"

    def _costlier(self, standing: Standing) -> list[Comparison]:
        """The comparisons of every costlier contender with this one."""
        names = [other.name for other in self.standings]
        above = names[names.index(standing.name) + 1 :]
        return [self.pairs[name, standing.name] for name in above]

    def _cheaper(self, standing: Standing) -> list[Standing]:
        names = [other.name for other in self.standings]
        return list(self.standings[: names.index(standing.name)])

    def _beaten_by(self, standing: Standing) -> tuple[str, ...]:
        return tuple(pair.a for pair in self._costlier(standing) if self.outcome(pair) == "better")

    def _winner(self) -> Standing | None:
        fit = (standing for standing in self.standings if self._floor(standing) != "missed")
        return next((standing for standing in fit if not self._beaten_by(standing)), None)

    def _verdict(self, winner: Standing | None) -> tuple[LadderVerdict, str, int | None]:
        if not any(standing.n for standing in self.standings):
            return "inconclusive", "No item has a score.", None
        lacking = max(self.standings, key=lambda standing: standing.errors)
        if lacking.errors > self.rules.max_errors:
            return "inconclusive", self._why_errors(lacking), None
        if winner is None:
            return "nothing-suffices", self._why_nothing_reaches_the_floor(), None
        rung_of = {standing.name: standing.rung for standing in self.standings}
        undecided = [
            pair for pair in self._costlier(winner) if rung_of[pair.a] != winner.rung and self.outcome(pair) == "open"
        ]
        if undecided:
            pair = max(undecided, key=lambda open_pair: open_pair.difference)
            items = self._items(pair, gap_to_settle(pair.difference, self.rules.useful))
            return "inconclusive", self._why_open(pair, items), items
        if self._floor(winner) == "open":
            items = self._items(winner, gap_to_floor(winner.mean, self.rules.floor or 0, self.rules.useful))
            return "inconclusive", self._why_floor_open(winner, items), items
        # That training pays is said of a comparison alone: a prompt may reach all that an adapter by itself does.
        if len(self.standings) == 1 and (winner.rung == "fine-tune" or not self._does_it(winner)):
            named = "the base" if winner.rung == "base" else self._named(winner.name)
            return "inconclusive", f"Only {named} was measured: there is nothing to compare it with.", None
        if winner.rung == "base":
            return self._verdict_for_base(winner)
        return self._unless_constant(winner, _VERDICTS[winner.rung], self._why_winner(winner))

    def _verdict_for_base(self, base: Standing) -> tuple[LadderVerdict, str, int | None]:
        if self._does_it(base):
            return self._unless_constant(base, "prompt-suffices", self._why_base_does_it(base))
        return "nothing-suffices", self._why_nothing_helps(base), None

    def _does_it(self, standing: Standing) -> bool:
        """Whether it does the job whatever the others do: no other has room to be usefully better, or it is enough."""
        return self._floor(standing) == "reached" or standing.mean > 1 - self.rules.useful

    def _unless_constant(
        self, winner: Standing, verdict: LadderVerdict, because: str
    ) -> tuple[LadderVerdict, str, int | None]:
        constant = self.constant
        if constant is None or constant.mean == 0:
            return verdict, because, None
        pair = next(pair for pair in constant.against if pair.a == winner.name)
        kind = "would score" if self.rules.graded else "would be right on"
        because += f" Giving {constant.name} to every item {kind} {percent(constant.mean)}"
        if pair.low > 0 and pair.worst > 0:
            return verdict, f"{because}: {self._named(winner.name)} is at {self._noise(pair)}.", None
        items = self._items(pair, pair.difference)
        because += f", and {self._named(winner.name)} is not shown to be better than that: {self._noise(pair)}."
        return "inconclusive", because + _items_wanted(items, winner.n), items

    def _step(self, standing: Standing) -> Step:
        cheaper = self._cheaper(standing)
        best = max(cheaper, key=lambda other: other.mean, default=None)
        pair = self.pairs[standing.name, best.name] if best else None
        return Step(
            contender=standing.name,
            rung=standing.rung,
            outcome=self.outcome(pair) if pair else "start",
            against=pair.b if pair else None,
            difference=pair.difference if pair else None,
            low=pair.low if pair else None,
            high=pair.high if pair else None,
            p=self.p[pair.a, pair.b] if pair else None,
            beaten_by=self._beaten_by(standing),
            floor=self._floor(standing),
        )

    def _share_reached(self) -> float | None:
        base = next((standing for standing in self.standings if standing.rung == "base"), None)
        tuned = [standing for standing in self.standings if standing.rung == "fine-tune"]
        baselines = [standing for standing in self.standings if standing.rung in ("prompt", "rag")]
        if base is None or not tuned or not baselines:
            return None
        gain = self.pairs[max(tuned, key=lambda standing: standing.mean).name, base.name]
        if self.outcome(gain) != "better":
            return None  # a share of nothing, or of noise, says nothing
        return (
            self.pairs[max(baselines, key=lambda standing: standing.mean).name, base.name].difference / gain.difference
        )

    def _items(self, found: Comparison | Standing, gap: float) -> int | None:
        half_width = (found.high - found.low) / 2
        return items_to_settle(found.n, half_width, gap, self.rules.alpha, self.rules.power)

    def _named(self, name: str) -> str:
        """`the adapter` where a contender is simply called adapter; otherwise its name."""
        return f"the {name}" if name == "adapter" else name

    def _scores(self, standing: Standing) -> str:
        verb = "scores" if self.rules.graded else "is right on"
        tail = f"on average over {standing.n} items" if self.rules.graded else f"of {standing.n} items"
        return f"{verb} {percent(standing.mean)} {tail}"

    def _noise(self, pair: Comparison) -> str:
        level = percent(1 - self.rules.alpha)
        return f"{points(pair.difference)} points, {level} interval {span(pair.low, pair.high)}"

    def _why_winner(self, winner: Standing) -> str:
        cheaper, costlier = self._cheaper(winner), self._costlier(winner)
        text = f"{_sentence(self._named(winner.name))} {self._scores(winner)}"
        if cheaper:
            best = max(cheaper, key=lambda other: other.mean)
            pair = self.pairs[winner.name, best.name]
            kind = "the best baseline" if winner.rung == "fine-tune" else "the best cheaper rung"
            text += f"; {kind} ({best.name}){'' if self.rules.graded else ' on'} {percent(best.mean)}"
            text += f": {self._noise(pair)}, {p_value(self.p[pair.a, pair.b])}."
        else:
            text += "."
        share = self._share_reached()
        if winner.rung == "fine-tune" and share is not None:
            text += f" Prompting and retrieval reach {percent(max(share, 0))} of its gain over the base."
        if costlier:
            text += f" {self._ceiling(costlier)}"
        return text

    def _ceiling(self, costlier: list[Comparison]) -> str:
        pair = max(costlier, key=lambda other: other.high)
        return (
            f"Nothing costlier is usefully better: {self._named(pair.a)} is at {self._noise(pair)}, "
            f"where {points(self.rules.useful)} would be useful."
        )

    def _why_base_does_it(self, base: Standing) -> str:
        text = f"The base model does the job as it is: {base.name} {self._scores(base)}."
        costlier = self._costlier(base)
        return f"{text} {self._ceiling(costlier)}" if costlier else text

    def _why_nothing_helps(self, base: Standing) -> str:
        return f"{_sentence(self._named(base.name))} {self._scores(base)}. {self._ceiling(self._costlier(base))}"

    def _why_nothing_reaches_the_floor(self) -> str:
        best = max(self.standings, key=lambda standing: standing.mean)
        text = f"The best contender, {self._named(best.name)}, {self._scores(best)}"
        if self._floor(best) != "missed":  # it is beaten only by contenders that miss the floor
            return f"{text}, but no contender is both above the floor and unbeaten."
        level = percent(1 - self.rules.alpha)
        return (
            f"{text}, {level} interval {percent(best.low)} to {percent(best.high)}: "
            f"below the {percent(self.rules.floor or 0)} that the job needs."
        )

    def _why_open(self, pair: Comparison, items: int | None) -> str:
        text = (
            f"{_sentence(self._named(pair.a))} against {self._named(pair.b)} is open: {self._noise(pair)}, "
            f"where {points(self.rules.useful)} would be useful."
        )
        if pair.left_out:
            text += f" {pair.left_out} items lack a score for one of the two."
        return text + _items_wanted(items, pair.n)

    def _why_errors(self, lacking: Standing) -> str:
        return (
            f"{_sentence(self._named(lacking.name))} has no answer to {percent(lacking.errors)} of what it was asked, "
            f"more than the {percent(self.rules.max_errors)} that the suite allows: see its errors, and run it again."
        )

    def _why_floor_open(self, winner: Standing, items: int | None) -> str:
        level = percent(1 - self.rules.alpha)
        text = (
            f"{_sentence(self._named(winner.name))} {self._scores(winner)}, {level} interval {percent(winner.low)} to "
            f"{percent(winner.high)}: it is open whether that is the {percent(self.rules.floor or 0)} the job needs."
        )
        return text + _items_wanted(items, winner.n)


def _items_wanted(items: int | None, now: int) -> str:
    return f" About {items} items would decide it; there are {now}." if items else ""


def _sentence(text: str) -> str:
    """`The adapter ...` at a sentence's start; names of contenders stay as they are written."""
    return "The" + text[3:] if text.startswith("the ") else text
