"""Columns as they grow row by row: what stages ask of every row, worked out once, while the row is at hand."""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curate.batches import Columns, Settings, Sketched
from curate.core.normalize import KEY_BYTES, chosen_text, text_key, text_lengths
from curate.core.rows import Row, encode_rows
from curate.entries import Context, Rejection
from curate.keys import make_keys
from curate.minhash import banding_of, sketch
from curate.plain import WorkedOut, all_plain, is_plain, work_out
from curate.preference import UNNAMED, ranks_of
from curate.readers import Record
from curate.split import draw_all
from curate.validate import is_sound, make_rules

_LINE_END = 10


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
        # Those that `WorkedOut.sound` answers for; repairs and schemas look at what no rule objects to.
        self.rules_are_usual = not recipe.checks.fix and recipe.checks.target_schema is None
        self.keyed = recipe.dedup.on if recipe.dedup is not None else "prompt"


class Growing:
    """The columns of a piece that is being read."""

    def __init__(self, working: Working, *, is_in_file: bool) -> None:
        self._working, self._is_in_file = working, is_in_file
        self._records: list[Record] = []
        self._rows: list[Row] = []
        self._verbatim: list[bool] = []
        self._rejections: list[Rejection] = []

    def reject(self, rejection: Rejection) -> None:
        """Take in a record that is no row."""
        self._rejections.append(rejection)

    def add(self, record: Record, row: Row, verbatim: bool) -> None:
        """Take in a row; `verbatim`: its record's bytes are its line."""
        self._records.append(record)
        self._rows.append(row)
        self._verbatim.append(verbatim)

    def columns(self) -> Columns:
        """What was taken in."""
        working, rows, records = self._working, self._rows, self._records
        settings, keyed = working.settings, working.keyed
        found, plain = _work_out(rows, working)
        ids = [row.id for row in rows]
        keys, prompts = found.keys, found.prompts
        if keyed != "prompt":
            texts = [chosen_text(row, keyed) for row in rows]
            more = np.frombuffer(b"".join(map(text_key, texts)), np.uint8).reshape(-1, KEY_BYTES)
            keys, prompts = np.concatenate([keys, more], 1), texts
        groups = {at: row.group for at, row in enumerate(rows) if row.group is not None}
        sides, orders = draw_all(settings.split, settings.seed, ids, groups, found.keys)
        lines, line_sizes = self._lines()
        return Columns(
            ids=ids,
            numbers=np.array([record.number for record in records], np.int64),
            offsets=np.array([record.offset for record in records], np.int64),
            raw_starts=np.array([record.start for record in records], np.int64),
            raw_sizes=np.array([len(record.raw) for record in records], np.int64),
            lines=lines,
            line_sizes=line_sizes,
            keys=keys,
            lengths=found.lengths,
            ranks=ranks_of(settings.dedup, rows, found.lengths, plain),
            sides=sides,
            orders=orders,
            labels={at: sys.intern(row.label) for at, row in enumerate(rows) if row.label is not None},
            groups=groups,
            sound=found.sound,
            synthesized=frozenset(at for at, row in enumerate(rows) if "synthetic" in row.meta),
            sketches=None if settings.sketched is None else sketch(prompts, settings.sketched.banding),
            rejections=self._rejections,
            records=len(rows) + len(self._rejections),
            raws=b"" if self._is_in_file else b"".join([record.raw for record in records]),
        )

    def _lines(self) -> tuple[bytes, NDArray[np.int64]]:
        """The lines of the rows that their records don't say word for word, with line ends, and all lines' sizes."""
        verbatim = np.array(self._verbatim, np.bool_)
        sizes = np.zeros(verbatim.size, np.int64)
        written = [row for row, same in zip(self._rows, self._verbatim, strict=True) if not same]
        lines = encode_rows(written)
        ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == _LINE_END)
        sizes[~verbatim] = np.diff(ends, prepend=-1) - 1
        return lines, sizes


def _work_out(rows: Sequence[Row], working: Working) -> tuple[WorkedOut, NDArray[np.bool_]]:
    """The columns of all rows, the plain ones worked out at once, the others one by one; and which are plain."""
    plain = np.ones(len(rows), np.bool_) if all_plain(rows) else np.array(list(map(is_plain, rows)), np.bool_)
    usual = np.flatnonzero(plain).tolist()
    made = work_out(rows if len(usual) == len(rows) else [rows[at] for at in usual])
    keys, lengths = np.empty((len(rows), 2 * KEY_BYTES), np.uint8), np.empty((len(rows), 2), np.int64)
    sound, prompts = np.zeros(len(rows), np.bool_), [""] * len(rows)
    keys[plain], lengths[plain], sound[plain] = made.keys, made.lengths, made.sound & working.rules_are_usual
    for at, prompt in zip(usual, made.prompts, strict=True):
        prompts[at] = prompt
    for at in np.flatnonzero(~plain).tolist():
        row = rows[at]
        keys[at] = np.frombuffer(make_keys(row), np.uint8)
        lengths[at] = text_lengths(row)
        prompts[at] = chosen_text(row, "prompt")
    for at in np.flatnonzero(~sound).tolist():
        sound[at] = is_sound(rows[at], working.rules, fix=working.fix)
    return WorkedOut(keys, lengths, sound, prompts), plain
