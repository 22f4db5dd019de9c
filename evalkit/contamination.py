"""Items that the training rows give away, looked for again at run time, and the items that are left."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curate.core.config_file import Config
from curate.core.rows import Row
from curate.core.visible import visible

if TYPE_CHECKING:
    from curate.core.contamination.evidence import Evidence

_SHOWN = 160  # characters of what was found
_MOST_FINDS = 200  # finds that a record lists; counts are of all


class LookFor(Config):
    """How hard to look for items in the training rows."""

    ngram: int = Field(default=13, ge=5, le=64)
    """A run of this many words that a row shares with an item is evidence."""
    near: float | None = Field(default=0.5, gt=0, le=1)
    """The similarity of characters from which a row counts as a near copy; none: not looked for."""
    paraphrase: float | None = Field(default=0.8, gt=0, le=1)
    """The cosine of embeddings from which a row counts as rephrased; none: not looked for."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Which items the training rows give away: `touched`, aligned with the items; `record` is what the result says."""

    touched: NDArray[np.bool_]
    record: dict[str, Any]


def find_overlap(
    items: Sequence[Row], train: Sequence[Row], look_for: LookFor, *, embedder: str, folder: Path
) -> Overlap:
    """The items whose question or answer a training row holds: whole, in long runs, nearly, or in other words.

    Raises: ConfigError or ServiceError where the embedder can't be loaded.
    """
    from curate.core.contamination.items import suite_of_rows
    from curate.core.contamination.search import find_contamination
    from curate.core.contamination.settings import Against, Characters, Decontaminate, Paraphrases

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
    given_away = {touched.item for touched in found.touched}
    return Overlap(
        np.array([item.id in given_away for item in items]),
        {
            "train_rows": len(train),
            "items": len(items),
            "touched": len(given_away),
            "tiers": _tiers(found.evidence, found.summary(settings)["tiers"]),
            "finds": _finds(found.evidence),
        },
    )


def _tiers(evidence: Sequence["Evidence"], tiers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each way of looking: whether it was on, the items that it found, and what it can't see."""
    items: dict[str, set[str]] = {}
    for one in evidence:
        items.setdefault(one.tier, set()).add(one.item)
    return [
        {**{key: tier[key] for key in ("name", "on", "cannot_see")}, "items": len(items.get(tier["name"], ()))}
        for tier in tiers
    ]


def _finds(evidence: Sequence["Evidence"]) -> list[dict[str, Any]]:
    """The strongest evidence for each item and part: 200 rows that hold one item say no more than one does."""
    best: dict[tuple[str, str], Evidence] = {}
    for one in evidence:
        known = best.get((one.item, one.part))
        if known is None or one.score > known.score:
            best[one.item, one.part] = one
    strongest = sorted(best.values(), key=lambda one: (-one.score, one.item, one.part))[:_MOST_FINDS]
    return [
        {
            "item": one.item,
            "part": one.part,
            "tier": one.tier,
            "score": round(one.score, 4),
            "row": one.row,
            "found": visible(one.found, _SHOWN),
        }
        for one in strongest
    ]
