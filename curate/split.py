"""Splitting: groups go whole to train, val or test, each by a draw that depends on its name and the seed alone."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from curate.config import SIDES, Side, Split
from curate.core.seeding import stable_fraction, stable_seed
from curate.entries import Entry
from curate.keys import prompt_part


def split_rows(
    entries: Sequence[Entry], settings: Split, seed: int, ties: Mapping[str, str]
) -> dict[Side, list[Entry]]:
    """The rows of each side, in an order that depends on seed and ids alone. No group and no tie crosses sides.

    The draw of a group never changes, so adding rows moves no old one, except where a new row ties two groups
    together: then they follow the one whose draw is smaller. Shares are met on average, not to the row.
    """
    make = drawing(settings, seed)
    draws = [entry.held.draws(entry.at, settings, seed) or make(entry.id, entry.group, entry.keys) for entry in entries]
    # Rows of one group have one draw, and no two groups have the same: it stands for the group.
    together = _merge([(draw[0], tie) for entry, draw in zip(entries, draws, strict=True)
                       if (tie := ties.get(entry.id)) is not None]) if ties else {}  # fmt: skip
    sides: dict[Side, list[Entry]] = {side: [] for side in SIDES}
    of_draw: dict[float, Side] = {}
    order = sorted(range(len(entries)), key=lambda at: (draws[at][1], entries[at].id))
    for at in order:
        draw = draws[at][0]
        side = _side(together.get(draw, draw), settings)
        sides[side].append(entries[at])
        if of_draw.setdefault(draw, side) != side:
            raise RuntimeError(f"the split tears the group of {entries[at].id} apart")
    _check(sides, ties)
    return sides


def drawing(settings: Split, seed: int) -> Callable[[str, str | None, bytes], tuple[float, int]]:
    """The function that draws, from a row's id, group and keys, what decides its side, and its place there."""
    chosen = seed if settings.seed is None else settings.seed
    by_group = settings.by == "group"

    def draw(name: str, group: str | None, keys: bytes) -> tuple[float, int]:
        whole = f"group\x00{group}" if by_group and group is not None else f"prompt\x00{prompt_part(keys).hex()}"
        return stable_fraction(chosen, whole), stable_seed(chosen, name)

    return draw


def count_labels(sides: Mapping[Side, Sequence[Entry]]) -> dict[str, dict[str, int]]:
    """How many rows of each label each side has."""
    return {
        side: dict(sorted(Counter(entry.label or "(none)" for entry in rows).items())) for side, rows in sides.items()
    }


def _side(draw: float, settings: Split) -> Side:
    # Test comes first, so that changing the share of val leaves test as it is.
    if draw < settings.shares.test:
        return "test"
    return "val" if draw < settings.shares.test + settings.shares.val else "train"


def _merge(pairs: Sequence[tuple[float, str]]) -> dict[float, float]:
    """For each draw in the pairs the smallest of all draws that ties connect it with."""
    parents: dict[float, float] = {}
    first: dict[str, float] = {}

    def root(draw: float) -> float:
        parents.setdefault(draw, draw)
        while parents[draw] != draw:
            parents[draw] = parents[parents[draw]]
            draw = parents[draw]
        return draw

    for draw, tie in pairs:
        low, high = sorted((root(draw), root(first.setdefault(tie, draw))))
        parents[high] = low
    return {draw: root(draw) for draw in parents}


def _check(sides: Mapping[Side, Sequence[Entry]], ties: Mapping[str, str]) -> None:
    """Raises: RuntimeError where a tie stands on two sides: that would be a fault of this module."""
    seen: dict[str, Side] = {}
    for side, rows in sides.items() if ties else ():
        for entry in rows:
            tie = ties.get(entry.id)
            if tie is not None and seen.setdefault(tie, side) != side:
                raise RuntimeError(f"the split tears {tie!r} apart at row {entry.id}")
