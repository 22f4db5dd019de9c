"""Splitting: groups go whole to train, val or test, each by a draw that depends on its name and the seed alone."""

from collections import Counter
from collections.abc import Mapping, Sequence

from curate.config import SIDES, Side, Split
from curate.core.seeding import stable_fraction, stable_seed
from curate.entries import Entry
from curate.keys import prompt_key


def split_rows(
    entries: Sequence[Entry], settings: Split, seed: int, ties: Mapping[str, str]
) -> dict[Side, list[Entry]]:
    """The rows of each side, in an order that depends on seed and ids alone. No group and no tie crosses sides.

    The draw of a group never changes, so adding rows moves no old one, except where a new row ties two groups
    together: then they follow the one whose draw is smaller. Shares are met on average, not to the row.
    """
    seed = seed if settings.seed is None else settings.seed
    names = [_group_name(entry, settings.by) for entry in entries]
    together = _merge(
        [
            (name, f"tie\x00{tie}")
            for entry, name in zip(entries, names, strict=True)
            if (tie := ties.get(entry.row.id)) is not None
        ]
    )
    draws: dict[str, float] = {}
    for name in names:
        root = together.get(name, name)
        draws[root] = min(draws.get(root, 1.0), stable_fraction(seed, name))
    sides: dict[Side, list[Entry]] = {side: [] for side in SIDES}
    for entry, name in zip(entries, names, strict=True):
        sides[_side(draws[together.get(name, name)], settings)].append(entry)
    for rows in sides.values():
        rows.sort(key=lambda entry: (stable_seed(seed, entry.row.id), entry.row.id))
    _check(sides, dict(zip((entry.row.id for entry in entries), names, strict=True)), ties)
    return sides


def count_labels(sides: Mapping[Side, Sequence[Entry]]) -> dict[str, dict[str, int]]:
    """How many rows of each label each side has."""
    return {
        side: dict(sorted(Counter(entry.row.label or "(none)" for entry in rows).items()))
        for side, rows in sides.items()
    }


def _group_name(entry: Entry, by: str) -> str:
    """What the draw depends on: the group, or for rows without one the text of the prompt."""
    if by == "group" and entry.row.group is not None:
        return f"group\x00{entry.row.group}"
    return f"prompt\x00{prompt_key(entry).hex()}"


def _side(draw: float, settings: Split) -> Side:
    # Test comes first, so that changing the share of val leaves test as it is.
    if draw < settings.shares.test:
        return "test"
    return "val" if draw < settings.shares.test + settings.shares.val else "train"


def _merge(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """For each name in the pairs, one name for all that the pairs connect."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        parents.setdefault(name, name)
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parents[high] = low
    return {name: root(name) for name in parents}


def _check(sides: Mapping[Side, Sequence[Entry]], names: Mapping[str, str], ties: Mapping[str, str]) -> None:
    """Raises: RuntimeError where a group or a tie stands on two sides: that would be a fault of this module."""
    seen: dict[str, Side] = {}
    for side, rows in sides.items():
        for entry in rows:
            row = entry.row.id
            for name in (names[row], f"tie\x00{ties[row]}") if row in ties else (names[row],):
                if seen.setdefault(name, side) != side:
                    raise RuntimeError(f"the split tears {name!r} apart at row {row}")
