"""What is reviewed: an item to look at, its kind with the choices that it allows, and the deck that holds many."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from curate.core.review.decisions import Event, Key
from curate.core.rows.row import Row

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of an item with its title. `role` says what it is: a message's role, `call`, `question`, `fault`."""

    title: str
    text: str
    role: str = "text"


@dataclass(frozen=True, slots=True)
class Item:
    """What a reviewer sees. The texts are untrusted: whoever shows them goes through `curate.core.review.safe_text`.

    `sides` are two texts that are compared. `why` says why the item is here, `after` what may be seen only after the
    decision. `row` is there where the item is a row: it can be edited and turned into tokens.
    """

    key: Key
    title: str
    blocks: tuple[Block, ...]
    sides: tuple[Block, Block] | None = None
    why: Facts = ()
    after: Facts = ()
    metadata: Facts = ()
    raw: str = ""
    row: Row | None = None
    rows: tuple[tuple[str, str], ...] = ()
    """Of a pair: id and digest of the row that was kept, then of the one that was dropped."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A decision that one key makes: the action that the journal holds, with a value where there are several."""

    key: str
    name: str
    """What a keymap calls it."""
    label: str
    action: str
    value: str = ""
    in_footer: bool = True

    def made(self, event: Event) -> bool:
        """Is this the choice that the decision made?"""
        return (event.action, event.value) == (self.action, self.value)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of item: what it is called, what can be decided, and whether it can be edited."""

    name: str
    title: str
    choices: tuple[Choice, ...]
    editable: bool = False
    digits: str = ""
    """What the footer says of digits that it does not list."""
    pairs: bool = False

    def label(self, event: Event) -> str:
        """A decision in words."""
        words = next((choice.label for choice in self.choices if choice.made(event)), event.action)
        return f"{words} ({event.value})" if event.value and event.value not in words else words


FLAG = Choice("f", "flag", "flag", "flag")
SKIP = Choice("space", "skip", "skip", "skip")


class Deck(Protocol):
    """Items by their position from 0. All but `item` is cheap enough to be asked for a screen full of them."""

    kind: Kind

    def __len__(self) -> int:
        """How many items there are."""

    def item(self, at: int, /) -> Item:
        """The item as a reviewer sees it; one that can't be read says so."""

    def key(self, at: int, /) -> Key:
        """What the journal calls it."""

    def heading(self, at: int, /) -> str:
        """The item in a line of a list."""

    def field(self, at: int, name: str, /) -> str | None:
        """One of the fields that filters name, None where the item has none."""

    def text(self, at: int, /) -> str:
        """Everything that a text filter looks at."""

    def measure(self, name: str, /) -> NDArray[np.float64] | None:
        """A number for each item to sort by, NaN where it has none; None where nothing is known by this name."""

    def find(self, keys: Iterable[Key], /) -> Mapping[Key, int]:
        """Where these items are; those that are not there, or have changed, are left out."""

    def faults(self, item: Item, row: Row, /) -> Sequence[str]:
        """What stands in the way of this row's taking the place of the item's."""


class Chosen:
    """Some of a deck's items, in a given order."""

    def __init__(self, deck: Deck, positions: Sequence[int]) -> None:
        self.kind = deck.kind
        self._deck, self._positions = deck, positions

    def __len__(self) -> int:
        return len(self._positions)

    def item(self, at: int) -> Item:
        """The item."""
        return self._deck.item(self._positions[at])

    def key(self, at: int) -> Key:
        """What the journal calls it."""
        return self._deck.key(self._positions[at])

    def heading(self, at: int) -> str:
        """The item in a line."""
        return self._deck.heading(self._positions[at])

    def field(self, at: int, name: str) -> str | None:
        """One of its fields."""
        return self._deck.field(self._positions[at], name)

    def text(self, at: int) -> str:
        """What text filters look at."""
        return self._deck.text(self._positions[at])

    def measure(self, name: str) -> NDArray[np.float64] | None:
        """A number for each of the chosen items."""
        found = self._deck.measure(name)
        return None if found is None else found[np.asarray(self._positions, np.int64)]

    def find(self, keys: Iterable[Key]) -> Mapping[Key, int]:
        """Where those of the items are that were chosen."""
        numbers = {position: number for number, position in enumerate(self._positions)}
        return {key: numbers[at] for key, at in self._deck.find(keys).items() if at in numbers}

    def faults(self, item: Item, row: Row) -> Sequence[str]:
        """What stands in the way of this row."""
        return self._deck.faults(item, row)
