"""Items that the training rows give away, looked for again at run time, and the items that are left."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from curate.core.rows.row import Row
from curate.core.text.leaks.evidence import Evidence
from curate.core.visible import visible
from evalkit.results.compare_contenders import Metric
from evalkit.results.ladder import Ladder
from evalkit.stats.arrays import Mask
from evalkit.suite.items import question_text
from evalkit.suite.suite import LookFor

_SHOWN = 160  # characters of what was found
_MOST_FINDS = 200  # finds that a record lists; counts are of all


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """One way of looking: whether it was on, what it can't see, and how many items it found."""

    name: str
    on: bool
    cannot_see: str
    items: int


class Find(msgspec.Struct, frozen=True, kw_only=True):
    """The strongest evidence that a training row gives away a part of an item."""

    item: str
    part: str
    tier: str
    score: float
    row: str
    found: str


class PairFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison on the items that are left; see `Comparison`."""

    a: str
    b: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    n: int


class CleanItems(msgspec.Struct, frozen=True, kw_only=True):
    """What the items that no training row gives away come to."""

    items: int
    verdict: str
    because: str
    contenders: dict[str, Metric]
    comparisons: list[PairFigures]


class ContaminationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the items training rows give away, `word_for_word` some of them, and how that was found.

    `clean` is about the others; None where all are given away, or none.
    """

    train_rows: int
    items: int
    touched: int
    word_for_word: int
    tiers: list[Tier] = []
    finds: list[Find] = []
    clean: CleanItems | None = None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Which items the training rows give away: `touched`, aligned with the items; `record` is what the result says."""

    touched: Mask
    record: ContaminationRecord


def find_overlap(
    items: Sequence[Row], train: Sequence[Row], look_for: LookFor, *, embedder: str, folder: Path
) -> Overlap:
    """The items whose question or answer a training row holds: whole, in long runs, nearly, or in other words.

    Raises: ConfigError or ServiceError where the embedder can't be loaded.
    """
    from curate.core.text.leaks.items import suite_of_rows
    from curate.core.text.leaks.search import find_contamination
    from curate.core.text.leaks.settings import Against, Characters, Decontaminate, Paraphrases

    short = Characters().short_threshold
    settings = Decontaminate(
        against=[Against(path="items")],
        ngram=look_for.ngram,
        characters=Characters(threshold=look_for.near, short_threshold=max(short, look_for.near))
        if look_for.near
        else None,
        paraphrases=Paraphrases(embedder=embedder, threshold=look_for.paraphrase) if look_for.paraphrase else None,
    )
    found = find_contamination(train, [suite_of_rows("items", items)], settings, folder=folder)
    same = _word_for_word(items, train)
    given_away = {touched.item for touched in found.touched} | same
    return Overlap(
        np.array([item.id in given_away for item in items]),
        ContaminationRecord(
            train_rows=len(train),
            items=len(items),
            touched=len(given_away),
            word_for_word=len(same),
            tiers=_tiers(found.evidence, found.summary(settings)["tiers"]),
            finds=_finds(found.evidence),
        ),
    )


def find_copies(items: Sequence[Row], train: Sequence[Row]) -> Overlap:
    """The items whose question is a training row's, word for word; nothing else is looked for."""
    same = _word_for_word(items, train)
    record = ContaminationRecord(train_rows=len(train), items=len(items), touched=len(same), word_for_word=len(same))
    return Overlap(np.array([item.id in same for item in items]), record)


def held_to_clean(ladder: Ladder, found: ContaminationRecord | None) -> Ladder:
    """The verdict with what the items that no training row gives away say to it.

    Items that were trained on can't show that training pays: where there are such, `fine-tune-pays` has to hold on the
    others too, and where nothing else is left it is `inconclusive`.
    """
    if not found or not found.touched:
        return ladder
    seen, clean = found.word_for_word, found.clean
    if clean and not seen:
        return ladder
    what = f"{seen} of {found.items} items are in the training rows, word for word"
    if not seen:
        what = f"All {found.items} items may be given away by training rows"
    rest = (
        f"on the other {clean.items} that no training row gives away the verdict is {clean.verdict}"
        if clean
        else "none is left that no training row gives away"
    )
    because = f"{ladder.because} Contaminated: {what}; {rest}."
    trusted = ladder.verdict != "fine-tune-pays" or (clean and clean.verdict == "fine-tune-pays")
    return msgspec.structs.replace(ladder, because=because, verdict=ladder.verdict if trusted else "inconclusive")


def _word_for_word(items: Sequence[Row], train: Sequence[Row]) -> set[str]:
    """The items whose question, whatever the system message, is a training row's."""
    trained_on = {question_text(row) for row in train}
    return {item.id for item in items if question_text(item) in trained_on}


def _tiers(evidence: Sequence[Evidence], tiers: Sequence[dict[str, Any]]) -> list[Tier]:
    """Each way of looking: whether it was on, the items that it found, and what it can't see."""
    items: dict[str, set[str]] = {}
    for one in evidence:
        items.setdefault(one.tier, set()).add(one.item)
    return [
        Tier(name=tier["name"], on=tier["on"], cannot_see=tier["cannot_see"], items=len(items.get(tier["name"], ())))
        for tier in tiers
    ]


def _finds(evidence: Sequence[Evidence]) -> list[Find]:
    """The strongest evidence for each item and part: 200 rows that hold one item say no more than one does."""
    best: dict[tuple[str, str], Evidence] = {}
    for one in evidence:
        known = best.get((one.item, one.part))
        if known is None or one.score > known.score:
            best[one.item, one.part] = one
    strongest = sorted(best.values(), key=lambda one: (-one.score, one.item, one.part))[:_MOST_FINDS]
    return [
        Find(
            item=one.item,
            part=one.part,
            tier=one.tier,
            score=round(one.score, 4),
            row=one.row,
            found=visible(one.found, _SHOWN),
        )
        for one in strongest
    ]
