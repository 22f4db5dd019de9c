"""Columns as they grow row by row: what stages ask of every row, worked out once, while the row is at hand."""

import sys
from array import array

import numpy as np

from curate.batches import Columns, Settings, Sketched
from curate.core.normalize import chosen_text, text_lengths
from curate.core.rows import Row, encode_row
from curate.entries import Context, Rejection
from curate.keys import make_keys
from curate.minhash import banding_of, sketch
from curate.plain import find_plain
from curate.preference import UNNAMED, ranking
from curate.readers import Record
from curate.split import drawing_bytes
from curate.validate import is_sound, make_rules


class Working:
    """What is worked out of each row under a recipe."""

    def __init__(self, context: Context) -> None:
        recipe = context.recipe
        sketched = None
        # Frequent n-grams are known when all texts are: then sketches have to wait.
        if recipe.dedup is not None and recipe.dedup.ignored_share is None:
            sketched = Sketched(recipe.dedup.on, banding_of(recipe.dedup, recipe.seed))
        self.settings = Settings(recipe.dedup or UNNAMED, recipe.split, recipe.seed, sketched)
        self.fix = recipe.checks.fix
        self.rules = make_rules(context)
        # Those that `Plain.is_sound` answers for; repairs and schemas look at what no rule objects to.
        self.rules_are_usual = not recipe.checks.fix and recipe.checks.target_schema is None
        self.ranks = ranking(recipe.dedup or UNNAMED)
        self.draws = drawing_bytes(recipe.split, recipe.seed)
        self.keyed = recipe.dedup.on if recipe.dedup is not None else "prompt"


class Growing:
    """The columns of a piece that is being read."""

    def __init__(self, working: Working, *, is_in_file: bool) -> None:
        self._working, self._is_in_file = working, is_in_file
        sketched = working.settings.sketched
        self._on = sketched.on if sketched is not None else None
        self._ids: list[str] = []
        self._numbers, self._offsets, self._starts, self._sizes = (array("q") for _ in range(4))
        self._line_sizes, self._lengths, self._ranks = array("q"), array("q"), array("d")
        self._sides: list[bytes] = []
        self._orders: list[bytes] = []
        self._sound = bytearray()
        self._keys: list[bytes] = []
        self._lines: list[bytes] = []
        self._raws: list[bytes] = []
        self._texts: list[str] = []
        self._labels: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        self._synthesized: list[int] = []
        self._rejections: list[Rejection] = []

    def reject(self, rejection: Rejection) -> None:
        """Take in a record that is no row."""
        self._rejections.append(rejection)

    def add(self, record: Record, row: Row, verbatim: bool) -> None:
        """Take in a row; `verbatim`: its record's bytes are its line."""
        working, raw = self._working, record.raw
        self._numbers.append(record.number)
        self._offsets.append(record.offset)
        self._starts.append(record.start)
        self._sizes.append(len(raw))
        if not self._is_in_file:
            self._raws.append(raw)
        line = b"" if verbatim else encode_row(row)
        self._lines.append(line)
        self._line_sizes.append(len(line))
        plain = find_plain(row)
        usual = plain is not None and working.keyed == "prompt"
        keys = plain.keys() if plain is not None and usual else make_keys(row, working.keyed)
        self._keys.append(keys)
        side, order = working.draws(row.id, row.group, keys)
        self._sides.append(side)
        self._orders.append(order)
        self._lengths.extend(plain.lengths() if plain is not None else text_lengths(row))
        self._ranks.extend(working.ranks(row))
        clear = plain is not None and working.rules_are_usual and plain.is_sound()
        self._sound.append(clear or is_sound(row, working.rules, fix=working.fix))
        if self._on is not None:
            self._texts.append(plain.prompt() if plain is not None and usual else chosen_text(row, self._on))
        if row.label is not None:
            self._labels[len(self._ids)] = sys.intern(row.label)
        if row.group is not None:
            self._groups[len(self._ids)] = row.group
        if "synthetic" in row.meta:
            self._synthesized.append(len(self._ids))
        self._ids.append(row.id)

    def columns(self) -> Columns:
        """What was taken in."""
        sketched = self._working.settings.sketched
        rows = len(self._ids)
        return Columns(
            ids=self._ids,
            numbers=np.array(self._numbers),
            offsets=np.array(self._offsets),
            raw_starts=np.array(self._starts),
            raw_sizes=np.array(self._sizes),
            lines=b"".join(self._lines),
            line_sizes=np.array(self._line_sizes),
            keys=np.frombuffer(b"".join(self._keys), np.uint8).reshape(rows, -1 if rows else 0),
            lengths=np.array(self._lengths).reshape(rows, 2),
            ranks=np.array(self._ranks).reshape(rows, -1 if rows else 0),
            sides=np.frombuffer(b"".join(self._sides), "<u8") / 2.0**64,
            orders=np.frombuffer(b"".join(self._orders), "<u8"),
            labels=self._labels,
            groups=self._groups,
            sound=np.frombuffer(bytes(self._sound), np.bool_),
            synthesized=frozenset(self._synthesized),
            sketches=None if sketched is None else sketch(self._texts, sketched.banding),
            rejections=self._rejections,
            records=rows + len(self._rejections),
            raws=b"".join(self._raws),
        )
