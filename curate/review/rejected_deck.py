"""Decks of what a build left out: each row with the reason, and pairs of near duplicates side by side."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.digests import digest_text
from curate.core.errors import DataError
from curate.core.manifest import SIDES
from curate.core.review.decisions import REJECTED as FILE
from curate.core.review.decisions import Key
from curate.core.review.items import FLAG, SKIP, Block, Choice, Item, Kind
from curate.core.review.layout import blocks_text, row_blocks
from curate.core.rows.formats.registry import SAMPLE_RECORDS, detect
from curate.core.rows.row import Row
from curate.core.sources.record import Record
from curate.core.sources.record_to_row import RowReader, Unread
from curate.core.sources.source import LooseFiles
from curate.review.cluster_file import Clusters
from curate.review.line_index import LineIndex
from curate.review.rejected_records import RejectedRecords
from curate.review.rows_deck import RowDeck, differences, heading, metadata
from curate.table.rejections import Rejection

KIND = Kind(
    "rejected", "rejected rows",
    (Choice("a", "keep", "take it back", "keep"), Choice("x", "drop", "rightly left out", "drop"), FLAG, SKIP),
)  # fmt: skip
PAIRS = Kind(
    "pairs", "near duplicates",
    (
        Choice("a", "keep", "duplicates", "keep"), Choice("x", "drop", "drop both", "drop"),
        Choice("1", "1", "keep both", "distinct"), Choice("2", "2", "keep the other", "other"), FLAG, SKIP,
    ),
    pairs=True,
)  # fmt: skip
_UNSAID = "(as in the recipe)"  # the source of a record that names none


class RejectedDeck:
    """The rows of `rejected.jsonl`. What a recipe's adapter read is shown as the record that it got."""

    def __init__(self, folder: Path, kind: Kind = KIND) -> None:
        self.kind, self.folder = kind, folder
        if not (folder / FILE).is_file():
            raise DataError(
                f"no {FILE} here", where=folder, fix="name the folder of a dataset that `curate build` wrote"
            )
        self.index = LineIndex([folder / FILE])
        self.clusters = Clusters(folder)
        self._decode = msgspec.json.Decoder(Rejection).decode
        self._positions = self._choose()

    def _choose(self) -> Sequence[int]:
        return range(len(self.index))

    def __len__(self) -> int:
        return len(self._positions)

    def rejection(self, at: int) -> Rejection:
        """The rejection. One that can't be read says so as a rejection."""
        return self._read(self._positions[at])

    def _read(self, line: int) -> Rejection:
        raw = self.index.read(line)
        try:
            return self._decode(raw)
        except (msgspec.MsgspecError, UnicodeError) as error:
            return Rejection(
                id=None, path=FILE, line=line + 1, offset=0, stage="review", reason="not-a-rejection",
                detail=str(error), raw=raw.decode("utf-8", "backslashreplace"),
            )  # fmt: skip

    @cached_property
    def _reader(self) -> RowReader:
        sample = [_decoded(self.rejection(at).raw) for at in range(min(SAMPLE_RECORDS, len(self)))]
        return RowReader(LooseFiles(name=_UNSAID, path=FILE), detect(sample), None, {})

    @cached_property
    def _records(self) -> RejectedRecords:
        return RejectedRecords(self.folder)

    def row(self, rejection: Rejection) -> Row | None:
        """The row that was rejected, None where the record is none that can be shown as one."""
        found = self._records.row(rejection)
        if found is not None:
            return found
        record = Record(rejection.line, 0, rejection.raw.encode("utf-8", "replace"))
        read = self._reader.find(record)
        return None if isinstance(read, Unread) else read[0]

    def blocks(self, rejection: Rejection) -> tuple[Block, ...]:
        """What the rejected row says."""
        row = self.row(rejection)
        return row_blocks(row) if row is not None else (Block("record", rejection.raw, "text"),)

    def key(self, at: int) -> Key:
        """The row's id and the digest of its record."""
        found = self.rejection(at)
        place = self.index.place(self._positions[at])
        return Key(found.id or place, digest_text(found.raw), place)

    def item(self, at: int) -> Item:
        """The row with the stage, the reason, and the row that is kept instead."""
        found = self.rejection(at)
        row = self.row(found)
        why = [("left out by", f"{found.stage}: {found.reason}"), ("because", found.detail)]
        sides = None
        if (because := found.because_of) is not None:
            dataset = f" of {because.dataset}" if because.dataset else ""
            why.append(("kept instead", f"{because.id}{dataset}, similarity {because.similarity:.4f}"))
        title = " · ".join(filter(None, (found.id, f"{found.path}:{found.line}")))
        meta = metadata(row) if row is not None else ()
        return Item(self.key(at), title, self.blocks(found), sides, tuple(why), metadata=meta, raw=found.raw)

    def heading(self, at: int) -> str:
        """The reason, and the row's question."""
        found = self.rejection(at)
        row = self.row(found)
        return f"{found.reason}: {heading(row) if row is not None else found.raw}"

    def field(self, at: int, name: str) -> str | None:
        """One of the rejection's fields, or of its row's."""
        found = self.rejection(at)
        if name == "cluster":
            return self.clusters.of(found.id or "")
        if name in ("id", "stage", "reason"):
            return getattr(found, name)  # type: ignore[no-any-return]  # these three are text or None
        row = self.row(found)
        value = getattr(row, name, None)
        return value if isinstance(value, str) else None

    def text(self, at: int) -> str:
        """The rejected row's texts and the reason."""
        found = self.rejection(at)
        return "\n".join([found.detail, *(block.text for block in self.blocks(found))])

    def measure(self, name: str) -> NDArray[np.float64] | None:
        """`length` of the record, `similarity` with the row that is kept instead."""
        if name not in ("length", "similarity"):
            return None
        found = [self.rejection(at) for at in range(len(self))]
        if name == "length":
            return np.array([len(one.raw) for one in found], np.float64)
        values = [one.because_of.similarity if one.because_of else np.nan for one in found]
        return np.array(values, np.float64) if any(one.because_of for one in found) else None

    def find(self, keys: Iterable[Key]) -> Mapping[Key, int]:
        """Where these are: on the line where they were, else the first that is the same."""
        found: dict[Key, int] = {}
        moved: dict[tuple[str, str], list[Key]] = {}
        for key in keys:
            line = self.index.at(key.place)
            at = self._at(line) if line is not None else None
            if at is not None and self.key(at) == key:
                found[key] = at
            else:
                moved.setdefault(key[:2], []).append(key)
        if moved:
            for at in range(len(self)):
                for key in moved.get(self.key(at)[:2], ()):
                    found.setdefault(key, at)
        return found

    def _at(self, line: int) -> int | None:
        at = int(np.searchsorted(np.asarray(self._positions), line))
        return at if at < len(self) and self._positions[at] == line else None

    def faults(self, item: Item, row: Row) -> Sequence[str]:  # noqa: ARG002 - no rejected row is edited
        """Rejected rows aren't edited: what should come back has to be repaired in its source."""
        return ["only rows of the dataset can be edited"]


class PairDeck(RejectedDeck):
    """Each near duplicate that was dropped, beside the row that was kept instead."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PAIRS)
        sides = [path for side in SIDES if (path := folder / f"{side}.jsonl").is_file()]
        self._rows = RowDeck(sides)
        wanted = {because.id for at in range(len(self)) if (because := self.rejection(at).because_of)}
        self._kept = self._rows.ids(wanted)
        # A row that was kept instead may itself have gone in a later stage.
        self._gone = {one.id: one for line in range(len(self.index)) if (one := self._read(line)).id in wanted}

    def _choose(self) -> Sequence[int]:
        return [line for line in range(len(self.index)) if _is_pair(self._read(line))]

    def _partner(self, rejection: Rejection) -> tuple[str, str, Row | None]:
        """The kept row's id, digest and content; the digest of nothing where it is not there any more."""
        assert rejection.because_of is not None
        name = rejection.because_of.id
        if (at := self._kept.get(name)) is not None:
            row = self._rows.row(at)
            return name, self._rows.key(at).digest, None if isinstance(row, Rejection) else row
        if (gone := self._gone.get(name)) is not None:
            return name, digest_text(gone.raw), self.row(gone)
        return name, digest_text(""), None

    def key(self, at: int) -> Key:
        """Both ids, and a digest over both texts."""
        found = self.rejection(at)
        name, digest, _ = self._partner(found)
        place = self.index.place(self._positions[at])
        return Key(f"{found.id} ~ {name}", digest_text(f"{digest} {digest_text(found.raw)}"), place)

    def item(self, at: int) -> Item:
        """Both rows side by side, with the metadata that differs."""
        found = self.rejection(at)
        name, digest, kept = self._partner(found)
        row = self.row(found)
        assert found.because_of is not None
        kept_text = blocks_text(row_blocks(kept)) if kept is not None else "(not in this dataset any more)"
        sides = (
            Block(f"kept: {name}", kept_text, "user"),
            Block(f"dropped: {found.id}", blocks_text(self.blocks(found)), "assistant"),
        )
        why = [("similarity", f"{found.because_of.similarity:.4f} ({found.stage}: {found.reason})")]
        if found.stage == "near":
            why.append(("compared", self._records.compared))
        if (cluster := self.clusters.of(found.id or "")) is not None:
            why.append(("cluster", cluster))
        if kept is not None and row is not None:
            why += [
                (what, both) for what, both in differences(metadata(kept), metadata(row))
                if what != "source differs" or row.source != _UNSAID
            ]  # fmt: skip
        return Item(
            self.key(at), f"{name} | {found.id}", (), sides, tuple(why),
            metadata=metadata(row) if row is not None else (), raw=found.raw,
            rows=((name, digest), (found.id or "", digest_text(found.raw))),
        )  # fmt: skip

    def heading(self, at: int) -> str:
        """The similarity, and the dropped row's question."""
        found = self.rejection(at)
        row = self.row(found)
        similarity = found.because_of.similarity if found.because_of else 0
        return f"{similarity:.2f} {heading(row) if row is not None else found.raw}"


def _is_pair(found: Rejection) -> bool:
    return found.because_of is not None and found.because_of.dataset is None and found.stage != "exact"


def _decoded(raw: str) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
