"""Splitting: groups go whole to train, val or test, each by a draw that depends on its name and the seed alone."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row_keys import CHOSEN, PROMPT, prompt_part
from curate.core.rows.row_text import KEY_BYTES
from curate.core.seeding import stable_fraction, stable_seed, stable_seeds
from curate.recipe.recipe import SIDES, Side, Split
from curate.table.row_ref import Entry
from curate.table.selection import draw_names, find, known_draws, labels, names, take

_GROUP, _PROMPT = "group\x00", "prompt\x00"
_DECIDED = 1 << 16  # rows whose sides are looked up at once


def split_rows(
    entries: Sequence[Entry], settings: Split, seed: int, ties: Mapping[str, str]
) -> dict[Side, Sequence[Entry]]:
    """The rows of each side, in an order that depends on seed and ids alone. No group and no tie crosses sides.

    The draw of a group never changes, so adding rows moves no old one, except where a new row ties two groups
    together: then they follow the one whose draw is smaller. Shares are met on average, not to the row.
    """
    draws, orders = _draws(entries, settings, seed)
    tied = find(entries, ties.keys())
    tie_of = [ties[name] for name in names(take(entries, tied))]
    # Rows of one group have one draw, and no two groups have the same: it stands for the group.
    merged = np.array(_merge(list(zip(draws[tied].tolist(), tie_of, strict=True)))).reshape(-1, 2)
    # Test comes first, so that changing the share of val leaves test as it is.
    edges = np.array([settings.shares.test, settings.shares.test + settings.shares.val])
    side_of = np.empty(draws.size, np.uint8)
    for first in range(0, draws.size, _DECIDED):
        decided = _decided(draws[first : first + _DECIDED], merged)
        side_of[first : first + _DECIDED] = np.searchsorted(edges, decided, "right")
    _check(draws, side_of, dict(zip(tied.tolist(), tie_of, strict=True)))
    del draws  # eight bytes a row
    order = _in_order(entries, orders)
    by_side = {"test": 0, "val": 1, "train": 2}
    return {side: take(entries, order[side_of[order] == by_side[side]]) for side in SIDES}


def _decided(draws: NDArray[np.float64], merged: NDArray[np.float64]) -> NDArray[np.float64]:
    """The draws that decide: of groups that are tied, that of the one they follow."""
    if not merged.size:
        return draws
    asked, given = merged.T
    found = np.minimum(np.searchsorted(asked, draws), asked.size - 1)
    return np.where(asked[found] == draws, given[found], draws)


def _draws(entries: Sequence[Entry], settings: Split, seed: int) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    if (known := known_draws(entries, settings, seed)) is not None:
        return known
    make = drawing(settings, seed)
    found = [entry.held.draws(entry.at, settings, seed) or make(entry.id, entry.group, entry.keys) for entry in entries]
    return np.array([draw for draw, _ in found], np.float64), np.array([order for _, order in found], np.uint64)


def _in_order(entries: Sequence[Entry], orders: NDArray[np.uint64]) -> NDArray[np.int64]:
    order = np.argsort(orders, kind="stable")
    in_turn = orders[order]
    if (in_turn[1:] == in_turn[:-1]).any():
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
    prompts = keys[:, PROMPT * KEY_BYTES : CHOSEN * KEY_BYTES].tobytes().hex().encode()
    ends = range(2 * KEY_BYTES, len(prompts) + 1, 2 * KEY_BYTES)
    sides = np.frombuffer(stable_seeds(chosen, prompts, ends, _PROMPT), "<u8").astype(np.uint64)
    for at, group in groups.items() if settings.by == "group" else ():
        sides[at] = stable_seed(chosen, _GROUP + group)
    return sides / 2.0**64, draw_names(settings, seed, names)


def _seed(settings: Split, seed: int) -> int:
    return seed if settings.seed is None else settings.seed


def count_labels(sides: Mapping[Side, Sequence[Entry]]) -> dict[str, dict[str, int]]:
    """How many rows of each label each side has."""
    return {side: dict(sorted(labels(rows).items())) for side, rows in sides.items()}


def _merge(pairs: Sequence[tuple[float, str]]) -> list[tuple[float, float]]:
    """Each draw in the pairs, the smallest first, with the smallest of all draws that ties connect it with."""
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
    return [(draw, root(draw)) for draw in sorted(parents)]


def _check(draws: NDArray[np.float64], side_of: NDArray[np.uint8], ties: Mapping[int, str]) -> None:
    """Raises: RuntimeError where a group or a tie stands on two sides: that would be a fault of this module."""
    by_draw = np.argsort(draws)
    drawn, sides = draws[by_draw], side_of[by_draw]
    if ((drawn[1:] == drawn[:-1]) & (sides[1:] != sides[:-1])).any():
        raise RuntimeError("the split tears a group apart")
    seen: dict[str, int] = {}
    for at, tie in ties.items():
        if seen.setdefault(tie, int(side_of[at])) != side_of[at]:
            raise RuntimeError(f"the split tears {tie!r} apart at row {at}")
