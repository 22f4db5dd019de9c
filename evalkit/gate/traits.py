"""What broken items have in common: the slices and traits that are there more often than chance would put them.

Each candidate is tested by Fisher's exact test, one-sided, and adjusted over all candidates (Holm), so that of hundreds
of words none is named that merely happened to be there. Candidates stand in the order of the items (a set has another
in each process), so that the same results give the same verdict.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from curate.core.rows.row import Row
from curate.core.visible import visible
from evalkit.records.lines import Generation, Score
from evalkit.stats.arrays import Mask
from evalkit.stats.significance import holm
from evalkit.suite.items import question_text

_LEVEL = 0.05
_SHOWN = 5
_MOST_VALUES = 40  # of a field; one with more values names items, not slices
_MOST_WORDS = 500  # the commonest; rarer ones can't reach the level anyway
_FEWEST = 3  # items that share a trait
_JOINED = 3  # names of traits that the same items have
_WORD = re.compile(r"[^\W\d_]{3,}")
_DETAIL = 80  # characters of a scorer's detail that make it the same as another's


class Trait(msgspec.Struct, frozen=True):
    """Something that `broke` of the broken items share, and `n` of all; `loss` is what they add to the difference."""

    trait: str
    broke: int
    n: int
    p: float
    loss: float | None = None


def slices(items: Sequence[Row], changes: NDArray[np.float64]) -> list[Trait]:
    """The values of label, source and meta fields by what they take from the difference, the costliest first.

    `changes` are differences on the items, 0 where unknown; a slice whose items lose nothing isn't listed.
    """
    broken = changes < 0
    found = _tested(_field_masks(items), broken, changes)
    return sorted((trait for trait in found if (trait.loss or 0) < 0), key=lambda trait: trait.loss or 0)[:_SHOWN]


def in_common(
    items: Sequence[Row], broken: Mask, answers: Mapping[str, Generation], scores: Mapping[str, Score]
) -> list[Trait]:
    """The traits of broken items that chance would not explain, the least likely first."""
    masks = _field_masks(items) | _question_masks(items) | _answer_masks(items, answers)
    details = _detail_masks(items, scores)
    # What the scorer says of every broken item is only that it broke.
    masks |= {name: mask for name, mask in details.items() if not mask[broken].all()}
    found = [trait for trait in _tested(_joined(masks), broken) if trait.p <= _LEVEL]
    return sorted(found, key=lambda trait: (trait.p, -trait.broke, trait.trait))[:_SHOWN]


def _tested(masks: Mapping[str, Mask], broken: Mask, changes: NDArray[np.float64] | None = None) -> list[Trait]:
    names = [name for name, mask in masks.items() if _FEWEST <= int(mask.sum()) < mask.size]
    if not names or not broken.any():
        return []
    sizes = np.array([int(masks[name].sum()) for name in names])
    hits = np.array([int((masks[name] & broken).sum()) for name in names])
    p_values = np.asarray(stats.hypergeom.sf(hits - 1, broken.size, int(broken.sum()), sizes))
    adjusted = holm(p_values.tolist())
    losses = [None if changes is None else float(changes[masks[name]].sum()) / changes.size for name in names]
    return [
        Trait(name, int(hit), int(size), p, loss)
        for name, hit, size, p, loss in zip(names, hits, sizes, adjusted, losses, strict=True)
    ]


def _joined(masks: Mapping[str, Mask]) -> dict[str, Mask]:
    """Traits of the very same items as one, so that none takes another's place."""
    groups: dict[bytes, list[str]] = {}
    for name, mask in masks.items():
        groups.setdefault(mask.tobytes(), []).append(name)
    return {", ".join(names[:_JOINED]): masks[names[0]] for names in groups.values()}


def _field_masks(items: Sequence[Row]) -> dict[str, Mask]:
    columns: dict[str, list[str | None]] = {
        field: [getattr(item, field) for item in items] for field in ("label", "source", "origin")
    }
    keys = Counter(key for item in items for key in item.meta)
    for key in keys:
        values = [item.meta.get(key) for item in items]
        if all(value is None or isinstance(value, str | bool | int) for value in values):
            columns.setdefault(key, [None if value is None else str(value) for value in values])
    return {
        f"{field} = {visible(value, _DETAIL)}": np.array([one == value for one in values])
        for field, values in columns.items()
        if 1 < len(set(values)) <= _MOST_VALUES
        for value in dict.fromkeys(values)
        if value is not None
    }


def _question_masks(items: Sequence[Row]) -> dict[str, Mask]:
    words = [dict.fromkeys(_WORD.findall(question_text(item).casefold())) for item in items]
    counts = Counter(word for one in words for word in one)
    lengths = np.array([len(question_text(item)) for item in items])
    masks = {
        f"the question says {word!r}": np.array([word in one for one in words])
        for word, _ in counts.most_common(_MOST_WORDS)
    }
    return {**masks, "the question is long": lengths > np.quantile(lengths, 0.75)}


def _answer_masks(items: Sequence[Row], answers: Mapping[str, Generation]) -> dict[str, Mask]:
    given = [answers.get(item.id) for item in items]
    cut = [one is not None and one.finish_reason == "length" for one in given]
    return {
        "the answer is empty": np.array([one is not None and not one.text.strip() for one in given]),
        "the answer was cut at the limit": np.array(cut),
        "there is no answer": np.array([one is None or one.error is not None for one in given]),
    }


def _detail_masks(items: Sequence[Row], scores: Mapping[str, Score]) -> dict[str, Mask]:
    details = [(scores[item.id].detail or "")[:_DETAIL] if item.id in scores else "" for item in items]
    named = dict.fromkeys(detail for detail in details if detail)
    if len(named) > _MOST_VALUES:
        return {}
    return {f"the scorer says: {visible(detail)}": np.array([one == detail for one in details]) for detail in named}
