"""Splitting: groups go whole to train, val or test, each by a draw that depends on its name and the seed alone."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from curate.blake2b import digests
from curate.chosen import known_draws, labels, names, take
from curate.config import SIDES, Side, Split
from curate.core.normalize import KEY_BYTES
from curate.core.seeding import stable_fraction, stable_prefix, stable_seed
from curate.entries import Entry
from curate.keys import CHOSEN, PROMPT, prompt_part

_GROUP, _PROMPT = "group\x00", "prompt\x00"


def split_rows(
    entries: Sequence[Entry], settings: Split, seed: int, ties: Mapping[str, str]
) -> dict[Side, Sequence[Entry]]:
    """The rows of each side, in an order that depends on seed and ids alone. No group and no tie crosses sides.

    The draw of a group never changes, so adding rows moves no old one, except where a new row ties two groups
    together: then they follow the one whose draw is smaller. Shares are met on average, not to the row.
    """
    draws, orders = _draws(entries, settings, seed)
    tied = [at for at, name in enumerate(names(entries)) if name in ties] if ties else []
    # Rows of one group have one draw, and no two groups have the same: it stands for the group.
    merged = _merge([(float(draws[at]), ties[entries[at].id]) for at in tied])
    decided = draws.copy()
    if merged:
        asked, given = np.array(sorted(merged.items())).T
        found = np.minimum(np.searchsorted(asked, draws), asked.size - 1)
        decided = np.where(asked[found] == draws, given[found], draws)
    order = _in_order(entries, orders)
    # Test comes first, so that changing the share of val leaves test as it is.
    edges = (settings.shares.test, settings.shares.test + settings.shares.val)
    side_of = np.searchsorted(edges, decided, "right")[order]
    by_side = {"test": 0, "val": 1, "train": 2}
    sides = {side: take(entries, order[side_of == by_side[side]]) for side in SIDES}
    _check(sides, draws[order], side_of, ties)
    return sides


def _draws(entries: Sequence[Entry], settings: Split, seed: int) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    if (known := known_draws(entries, settings, seed)) is not None:
        return known
    make = drawing(settings, seed)
    found = [entry.held.draws(entry.at, settings, seed) or make(entry.id, entry.group, entry.keys) for entry in entries]
    return np.array([draw for draw, _ in found], np.float64), np.array([order for _, order in found], np.uint64)


def _in_order(entries: Sequence[Entry], orders: NDArray[np.uint64]) -> NDArray[np.int64]:
    order = np.argsort(orders, kind="stable")
    if (orders[order[1:]] == orders[order[:-1]]).any():
        order = np.array(sorted(range(len(entries)), key=lambda at: (orders[at], entries[at].id)), np.int64)
    return order


def drawing(settings: Split, seed: int) -> Callable[[str, str | None, bytes], tuple[float, int]]:
    """The function that draws, from a row's id, group and keys, what decides its side, and its place there."""
    chosen = _seed(settings, seed)

    def drawn(name: str, group: str | None, keys: bytes) -> tuple[float, int]:
        whole = _GROUP + group if settings.by == "group" and group is not None else _PROMPT + prompt_part(keys).hex()
        return stable_fraction(chosen, whole), stable_seed(chosen, name)

    return drawn


def draw_all(
    settings: Split, seed: int, names: Sequence[str], groups: Mapping[int, str], keys: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """The same for many rows at once; `groups` are those of the rows that have one, by number."""
    chosen = _seed(settings, seed)
    first = stable_prefix(chosen)
    prompts = keys[:, PROMPT * KEY_BYTES : CHOSEN * KEY_BYTES].tobytes().hex().encode()
    ends = np.arange(1, len(names) + 1) * (2 * KEY_BYTES)
    sides = digests(first + _PROMPT.encode(), prompts, ends)
    for at, group in groups.items() if settings.by == "group" else ():
        sides[at] = stable_seed(chosen, _GROUP + group)
    whole = "".join(names)
    if whole.isascii():
        data, sizes = whole.encode(), list(map(len, names))
    else:
        named = [name.encode("utf-8", "surrogatepass") for name in names]
        data, sizes = b"".join(named), list(map(len, named))
    return sides / 2.0**64, digests(first, data, np.cumsum(np.array(sizes, np.int64)))


def _seed(settings: Split, seed: int) -> int:
    return seed if settings.seed is None else settings.seed


def count_labels(sides: Mapping[Side, Sequence[Entry]]) -> dict[str, dict[str, int]]:
    """How many rows of each label each side has."""
    return {side: dict(sorted(labels(rows).items())) for side, rows in sides.items()}


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


def _check(
    sides: Mapping[Side, Sequence[Entry]],
    draws: NDArray[np.float64],
    side_of: NDArray[np.int64],
    ties: Mapping[str, str],
) -> None:
    """Raises: RuntimeError where a group or a tie stands on two sides: that would be a fault of this module."""
    by_draw = np.argsort(draws)
    draws, side_of = draws[by_draw], side_of[by_draw]
    if ((draws[1:] == draws[:-1]) & (side_of[1:] != side_of[:-1])).any():
        raise RuntimeError("the split tears a group apart")
    seen: dict[str, Side] = {}
    for side, rows in sides.items() if ties else ():
        for name in names(rows):
            tie = ties.get(name)
            if tie is not None and seen.setdefault(tie, side) != side:
                raise RuntimeError(f"the split tears {tie!r} apart at row {name}")
