"""The deck of conflicts: rows of the dataset with one prompt, or nearly one, and different answers, side by side."""

from collections.abc import Iterator
from pathlib import Path

from curate.core.digests import digest_text
from curate.core.errors import DataError
from curate.core.manifest import MANIFEST, SIDES, peek_manifest
from curate.core.review.decisions import Key
from curate.core.review.items import FLAG, SKIP, Block, Choice, Item, Kind
from curate.core.review.layout import blocks_text, row_blocks
from curate.core.review.memory_deck import MadeDeck
from curate.core.rows.row import Row
from curate.review.rows_deck import RowDeck, differences, metadata

KIND = Kind(
    "conflicts", "rows with one prompt and different answers",
    (
        Choice("a", "keep", "keep both", "keep"), Choice("x", "drop", "drop both", "neither"),
        Choice("1", "1", "keep the first", "first"), Choice("2", "2", "keep the second", "second"), FLAG, SKIP,
    ),
    pairs=True,
)  # fmt: skip


def conflict_deck(folder: Path) -> MadeDeck:
    """Each row of a conflict beside the first of them. Raises: DataError where the folder is no dataset."""
    manifest = peek_manifest(folder / MANIFEST)
    if manifest is None:
        fix = "name the folder of a dataset that `curate build` wrote"
        raise DataError(f"no {MANIFEST} here", where=folder, fix=fix)
    rows = RowDeck([path for side in SIDES if (path := folder / f"{side}.jsonl").is_file()])
    places = rows.ids({name for names in manifest.conflicts for name in names})
    items = list(_items(rows, places, manifest.conflicts))
    return MadeDeck(KIND, items, [{"id": item.key.item} for item in items])


def _items(rows: RowDeck, places: dict[str, int], conflicts: list[list[str]]) -> Iterator[Item]:
    for names in conflicts:
        # A row that a person dropped is no part of the dataset any more.
        there = [
            (row, rows.key(at).digest)
            for name in names
            if name in places and isinstance(row := rows.row(at := places[name]), Row)
        ]
        for second, digest in there[1:]:
            first = there[0][0]
            pair = ((first.id, there[0][1]), (second.id, digest))
            yield Item(
                Key(f"{first.id} ~ {second.id}", digest_text(f"{there[0][1]} {digest}")),
                f"{first.id} | {second.id}", (),
                (
                    Block(f"first: {first.id}", blocks_text(row_blocks(first)), "user"),
                    Block(f"second: {second.id}", blocks_text(row_blocks(second)), "assistant"),
                ),
                differences(metadata(first), metadata(second)), rows=pair,
            )  # fmt: skip
