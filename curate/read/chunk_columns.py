"""What stages ask of every row, worked out of a piece of a file while it is at hand."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.compose.split import draw_all
from curate.core.numba_kernels import call, copy_parts
from curate.core.rows.row import Row, encode_rows
from curate.core.rows.row_keys import make_keys
from curate.core.rows.row_text import KEY_BYTES, chosen_text, text_key, text_lengths
from curate.dedup.minhash import banding_of, sketch, sketch_joined
from curate.dedup.which_stays import UNNAMED, ranks_of
from curate.read.chunk_lines import Lines
from curate.read.fast.chat_lines import GIVEN_SYNTHETIC, GROUP, ID, LABEL, Scanned, room_for_lines, scan
from curate.read.fast.plain_columns import WorkedOut, work_out
from curate.read.fast.write_lines import is_verbatim, rewritten
from curate.read.record_to_row import STAGE, RowReader, Unread
from curate.recipe.recipe import Source
from curate.table.byte_store import Spool
from curate.table.row_ref import Context, Place, Rejection, reject_raw
from curate.table.row_table import Columns, Settings, Sketched, SketchPlace
from curate.validate.stage import is_sound, make_rules

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


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of a piece: where their records are among its lines, and what was found out of them."""

    at: NDArray[np.int64]
    scanned: Scanned
    objects: Mapping[int, Row]
    """The rows that had to be made, by number: those of lines that machine code could not take apart."""
    verbatim: NDArray[np.bool_]
    lines: bytes
    """What the records of the made rows don't say word for word, each with its line end."""
    rejections: list[Rejection]


class Workpiece:
    """A piece of a source's file that is worked on, all of it in memory."""

    def __init__(self, working: Working, source: Source, shown: str, lines: Lines, reader: RowReader) -> None:
        self._working, self._source, self._shown = working, source, shown
        self._lines, self._reader = lines, reader

    def columns(self, spool: Spool) -> Columns:
        """Its columns; what rows are read from later goes into the spool."""
        lines, working, settings = self._lines, self._working, self._working.settings
        found = self._find()
        at, scanned = found.at, found.scanned
        made = self._work_out(found)
        ids, labels, groups = self._names(found)
        keys, sketches = made.keys, None
        if working.keyed != "prompt":
            texts = [chosen_text(self._row(found, number), working.keyed) for number in range(at.size)]
            more = np.frombuffer(b"".join(map(text_key, texts)), np.uint8).reshape(-1, KEY_BYTES)
            keys = np.concatenate([keys, more], 1)
        if settings.sketched is not None:
            banding = settings.sketched.banding
            some = sketch_joined(made.prompts, banding) if working.keyed == "prompt" else sketch(texts, banding)
            sketches = SketchPlace.of(some, spool)
        sides, orders = draw_all(settings.split, settings.seed, ids, groups, made.keys)
        line_starts, line_sizes = self._write_lines(found, spool)
        starts = lines.starts[at]
        if (starts < 0).any():
            starts = lines.places[at, 0] + spool.add(lines.data[: lines.size].data)
        synthetic = scanned.origins == GIVEN_SYNTHETIC
        synthetic |= (scanned.origins == 0) & (self._source.origin == "synthetic")
        return Columns(
            ids=ids,
            numbers=lines.numbers[at],
            offsets=lines.offsets[at],
            raw_starts=starts,
            raw_sizes=lines.places[at, 1] - lines.places[at, 0],
            line_starts=line_starts,
            line_sizes=line_sizes,
            keys=keys,
            lengths=made.lengths,
            ranks=ranks_of(settings.dedup, made.lengths, synthetic, found.objects, scanned.fits),
            sides=sides,
            orders=orders,
            labels=labels,
            groups=groups,
            sound=made.sound,
            synthesized=frozenset(number for number, row in found.objects.items() if "synthetic" in row.meta),
            sketches=sketches,
            rejections=found.rejections,
            lines_read=lines.ends,
            records=at.size + len(found.rejections),
        )

    def _find(self) -> _Found:
        """The rows, and the records that are none."""
        lines, reader = self._lines, self._reader
        fits = lines.are_text() if reader.direct else np.zeros(len(lines.places), np.bool_)
        scanned = scan(lines.data, lines.size, np.where(fits[:, None], lines.places, 0), strict=True)
        if scanned.fits.all():
            at = np.arange(fits.size)
            return _Found(at, scanned, {}, is_verbatim(scanned, self._source), b"", [])
        fits = scanned.fits
        rejections: list[Rejection] = []
        objects: dict[int, Row] = {}
        verbatim = np.where(fits, is_verbatim(scanned, self._source), True)
        kept = np.ones(fits.size, np.bool_)
        for number in np.flatnonzero(~fits).tolist():
            record = lines.record(number)
            found = reader.find(record)
            if isinstance(found, Unread):
                place = Place(self._source.name, self._shown, record.number, record.offset)
                rejections.append(reject_raw(place, record.raw, STAGE, found.reason, found.detail, id=found.id))
                kept[number] = False
            else:
                objects[number], verbatim[number] = found
        written = encode_rows([row for number, row in objects.items() if not verbatim[number]])
        # Once more, with what is now known to be a row: its line as a dataset has it.
        at = np.flatnonzero(kept)
        new = np.array([number for number in objects if not verbatim[number]], np.int64)
        data, places = self._with(written, new)
        of_row = np.cumsum(kept) - 1
        rows = {int(of_row[number]): row for number, row in objects.items()}
        again = scan(data, lines.size + len(written), places[at], strict=False)
        return _Found(at, again, rows, verbatim[at], written, rejections)

    def _with(self, written: bytes, new: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The lines with those behind them that the new rows are written as, and the places of all lines then."""
        size = self._lines.size
        data = room_for_lines(size + len(written))
        data[:size] = self._lines.data[:size]
        data[size : size + len(written)] = np.frombuffer(written, np.uint8)
        ends = np.flatnonzero(data[size : size + len(written)] == _LINE_END) + size
        places = self._lines.places.copy()
        places[new, 0], places[new, 1] = np.concatenate([[size], ends[:-1] + 1])[: new.size], ends
        return data, places

    def _row(self, found: _Found, number: int) -> Row:
        """A row, made where it was not."""
        row = found.objects.get(number)
        if row is None:
            read = self._reader.find(self._lines.record(int(found.at[number])))
            assert not isinstance(read, Unread)
            row = read[0]
        return row

    def _names(self, found: _Found) -> tuple[list[str], dict[int, str], dict[int, str]]:
        """The ids of all rows; the labels and the groups of those that have one."""
        scanned, objects = found.scanned, found.objects
        made = np.zeros(found.at.size, np.bool_)
        made[list(objects)] = True
        ids = _texts(scanned, ID, ~made)
        default = self._source.label
        if default is None:
            labels = _some_texts(scanned, LABEL, ~made)
        else:
            labels = {**dict.fromkeys(np.flatnonzero(~made).tolist(), default), **_some_texts(scanned, LABEL, ~made)}
        groups = _some_texts(scanned, GROUP, ~made)
        for number, row in objects.items():
            ids[number] = row.id
            if row.label is not None:
                labels[number] = sys.intern(row.label)
            if row.group is not None:
                groups[number] = row.group
        return ids, labels, groups

    def _work_out(self, found: _Found) -> WorkedOut:
        working, fits, objects = self._working, found.scanned.fits, found.objects
        odd = np.flatnonzero(~fits).tolist()
        prompts = {number: chosen_text(objects[number], "prompt") for number in odd}
        made = work_out(found.scanned, {number: row.tools for number, row in objects.items() if row.tools}, prompts)
        for number in odd:
            made.keys[number] = np.frombuffer(make_keys(objects[number]), np.uint8)
            made.lengths[number] = text_lengths(objects[number])
        sound = made.sound
        sound &= fits & working.rules_are_usual
        for number in np.flatnonzero(~sound).tolist():
            sound[number] = is_sound(self._row(found, number), working.rules, fix=working.fix)
        return made

    def _write_lines(self, found: _Found, spool: Spool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Put the lines of the rows that their records don't say word for word into the spool; their places."""
        made = np.zeros(found.at.size, np.bool_)
        made[list(found.objects)] = True
        lines, sizes = rewritten(found.scanned, ~made & ~found.verbatim, self._source)
        starts = np.zeros(sizes.size, np.int64)
        if lines.size:
            starts = np.cumsum(np.where(sizes, sizes + 1, 0)) - sizes - 1 + spool.add(lines.data)
        if found.lines:
            ends = np.flatnonzero(np.frombuffer(found.lines, np.uint8) == _LINE_END)
            new = made & ~found.verbatim
            sizes[new] = np.diff(ends, prepend=-1) - 1
            starts[new] = ends - sizes[new] + spool.add(found.lines)
        return starts, sizes


def _texts(scanned: Scanned, field: int, wanted: NDArray[np.bool_]) -> list[str]:
    """This field of all rows, empty where it is not wanted. It has no line ends: control characters are escaped."""
    places = np.where(wanted[:, None], scanned.fields[:, field], 0)
    sizes = places[:, 1] - places[:, 0]
    room = np.full(int(sizes.sum()) + sizes.size, _LINE_END, np.uint8)
    call(copy_parts, scanned.data, places[:, 0], sizes, np.cumsum(sizes + 1) - sizes - 1, room)
    return room.tobytes().decode().split("\n")[:-1]


def _some_texts(scanned: Scanned, field: int, wanted: NDArray[np.bool_]) -> dict[int, str]:
    """This field of the wanted rows that have it, by number."""
    there = wanted & (scanned.fields[:, field, 0] >= 0)
    if not there.any():
        return {}
    found: Sequence[str] = _texts(scanned, field, there)
    return {number: sys.intern(found[number]) for number in np.flatnonzero(there).tolist()}
