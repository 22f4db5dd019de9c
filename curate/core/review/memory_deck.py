"""A deck of items that were made beforehand: some thousands, such as the answers of an evaluation."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from curate.core.review.decisions import Key
from curate.core.review.items import Item, Kind
from curate.core.rows.row import Row


class MadeDeck:
    """Items, each with the fields that filters can name, and measures with a number for each item."""

    def __init__(
        self,
        kind: Kind,
        items: Sequence[Item],
        fields: Sequence[Mapping[str, str | None]],
        measures: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        self.kind = kind
        self._items, self._fields, self._measures = items, fields, measures or {}
        self._at = {item.key[:2]: at for at, item in enumerate(items)}

    def __len__(self) -> int:
        return len(self._items)

    def item(self, at: int) -> Item:
        """The item."""
        return self._items[at]

    def key(self, at: int) -> Key:
        """What the journal calls it."""
        return self._items[at].key

    def heading(self, at: int) -> str:
        """The question, or what comes first."""
        blocks = self._items[at].blocks
        return next((block.text for block in reversed(blocks) if block.role == "user"), self._items[at].title)

    def field(self, at: int, name: str) -> str | None:
        """One of its fields."""
        return self._fields[at].get(name)

    def text(self, at: int) -> str:
        """Everything that is shown of it."""
        item = self._items[at]
        return "\n".join(block.text for block in (*item.blocks, *(item.sides or ())))

    def measure(self, name: str) -> NDArray[np.float64] | None:
        """`length` of the text, and what else is known."""
        if name == "length":
            return np.array([len(self.text(at)) for at in range(len(self))], np.float64)
        found = self._measures.get(name)
        return None if found is None or np.isnan(found).all() else found

    def find(self, keys: Iterable[Key]) -> Mapping[Key, int]:
        """Where these items are: nothing but the item and its digest counts."""
        return {key: self._at[key[:2]] for key in keys if key[:2] in self._at}

    def faults(self, item: Item, row: Row) -> Sequence[str]:  # noqa: ARG002 - nothing of these is edited
        """Answers are as they were given."""
        return ["answers can't be edited"]
