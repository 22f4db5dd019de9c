"""Human decisions as a stage of the build: what reviewers dropped goes, what they edited changes, what they took back
stays. A decision on a row that has changed since is counted and not applied.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from curate.core.digests import digest_file, digest_text
from curate.core.markdown import table
from curate.core.review.decisions import FILE, REJECTED, Event, read_events, replay, row_digest
from curate.core.rows.row import Row, encode_row
from curate.core.sources.records import Input
from curate.decontaminate.stage import Decontamination
from curate.dedup.exact import ExactDuplicates
from curate.dedup.near import NearDuplicates
from curate.recipe.screens import wants_screens
from curate.screen.stage import Screening
from curate.table.rejections import Rejection, Rejections
from curate.table.selection import RowRef, RowSelection
from curate.table.stage import Context, InputFile, Measured, Stage, StageResult
from curate.validate.stage import Validation

# What a person can't overrule: unreadable records are no rows, and no item of an evaluation may get into train.
_FINAL = frozenset({"read", "decontaminate", "review"})


# Which actions on a pair take its rows out of the dataset; `drop` and `other` are on one that has the first row alone.
_DROPS_FIRST, _DROPS_SECOND = frozenset({"drop", "other", "second", "neither"}), frozenset({"first", "neither"})
_DROPS = _DROPS_FIRST | _DROPS_SECOND
# The stages that an edited row goes through by itself, and those that compare it with all others.
_ALONE: tuple[Stage, ...] = (Validation(), Screening(), Decontamination())
_DUPLICATES: tuple[Stage, ...] = (ExactDuplicates(), NearDuplicates())


@dataclass
class Decisions(Stage):
    """What holds after a journal. `rows` are decisions on rows of the dataset, by id and digest."""

    name: ClassVar[str] = "review"
    rows: dict[tuple[str, str], Event] = field(default_factory=dict)
    back: dict[tuple[str, str], Event] = field(default_factory=dict)
    """Rejected rows that a reviewer wants in the dataset, by id and digest."""
    counts: Counter[str] = field(default_factory=Counter)
    compared: bool = False
    """Were rows compared anew, because edits changed some? All conflicts are then in what it came to."""
    _used: set[int] = field(default_factory=set)
    _taken_back: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Decisions":
        """What the lines of a journal come to."""
        found = cls()
        keys: dict[str, dict[tuple[str, str], None]] = {}
        for event in sorted(replay(events).standing.values(), key=lambda event: event.seq):
            if not event.decides:
                continue
            found.counts[event.action] += 1
            if event.rows:
                kept, dropped = event.rows
                for row in (kept,) * (event.action in _DROPS_FIRST) + (dropped,) * (event.action in _DROPS_SECOND):
                    found.rows[row] = event
                    keys.setdefault(row[0], {})[row] = None
                if event.action in ("distinct", "other"):
                    found.back[dropped] = event
            elif not event.place.startswith(f"{REJECTED}:"):
                found.rows[event.item, event.digest] = event
                keys.setdefault(event.item, {})[event.item, event.digest] = None
            elif event.action == "keep":
                # That a row was rightly left out changes nothing; that it should come back does.
                found.back[event.item, event.digest] = event
                for key in keys.pop(event.item, ()):
                    if found.rows[key].action in _DROPS:  # what a person dropped a person can take back
                        del found.rows[key]
                        found._used.add(event.seq)
        return found

    def take_back(self, stage: Stage, rows: RowSelection, result: StageResult, context: Context) -> StageResult:
        """What a stage did, less the rejections that a reviewer overruled: those rows go on to the next stage."""
        wanted = {name for name, _ in self.back}
        told = result.rejections
        if stage.name in _FINAL or stage.composes or not wanted:
            return result
        asked = [at for at, name in enumerate(told.ids()) if name in wanted]
        found = [told[at] for at in asked]
        events = {
            at: (item, event)
            for at, item, digest in zip(asked, found, _digests(found, context), strict=True)
            if (event := self.back.get((item.id or "", digest))) is not None
        }
        if not events:
            return result
        # The stages that edited rows go through again find again what they found before.
        self._taken_back[stage.name] += len({event.seq for _, event in events.values()} - self._used)
        self._used |= {event.seq for _, event in events.values()}
        numbers = told.numbers()
        assert numbers is not None
        given = rows.given(numbers[list(events)])  # as the stage got them, before it repaired anything
        kept = result.kept.followed_by(rows.take(np.sort(rows.positions_of(given))))
        # A row that repeats another stays on its side of the split.
        tied: dict[str, str] = {}
        for item, _ in events.values():
            if item.because_of is not None and item.id is not None and not item.because_of.dataset:
                name = result.ties.get(item.because_of.id, item.because_of.id)
                tied |= {item.because_of.id: name, item.id: name}
        return replace(result, kept=kept, rejections=told.without(events), ties={**result.ties, **tied})

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:
        """The rows as the reviewers left them: dropped ones are rejected, edited ones changed.

        What an edit made goes through what every row went through: rules, screens and decontamination by itself, and
        the search for duplicates with all others.
        """
        asked = rows.find({name for name, _ in self.rows}).tolist()
        changed: dict[int, Row] = {}
        gone: dict[int, tuple[str, str]] = {}
        applied: Counter[str] = Counter()
        for at in asked:
            row, event = self._last(rows[at])
            if event is None:
                continue
            applied["drop" if event.rows else event.action] += 1
            if event.action == "drop" or event.rows:
                gone[at] = ("reviewed", _detail(event))
            elif row is not None:
                changed[at] = row
        edits = len(changed)
        refused = _checked(changed, context, measured)
        gone |= refused
        rejections = Rejections.of_rows(self.name, rows.take(list(gone)), list(gone.values()))
        kept = rows.changed(list(changed), list(changed.values()), own_record=False).without(list(gone))
        report = self._report(applied, edits)
        if refused:
            report["refused"] = dict(sorted(Counter(reason for reason, _ in refused.values()).items()))
        result = StageResult(kept, rejections, report=report, warnings=_told(report))
        self.compared = bool(changed)
        for stage in _DUPLICATES if changed else ():
            found = stage.run(result.kept, replace(context, cache=None), measured)
            found = self.take_back(stage, result.kept, found, context)
            result = replace(
                result, kept=found.kept, rejections=result.rejections + found.rejections,
                ties={**result.ties, **found.ties}, conflicts=[*result.conflicts, *found.conflicts],
            )  # fmt: skip
        return result

    def card(self, report: Mapping[str, Any]) -> str:
        """How many decisions there were, and what came of them."""
        counts = [
            ("decided", report["decisions"]),
            ("applied", report["applied"]),
            ("taken back", report["taken_back"]),
        ]
        counts += [("edits refused", report["refused"])] if "refused" in report else []
        rows = [[what, ", ".join(f"{name} {count}" for name, count in one.items()) or "-"] for what, one in counts]
        stale = f"{report['stale']} decisions are on rows that have changed since or are gone; they were not applied."
        return f"## Human decisions\n\n{stale}\n\n" + table(["", "rows"], rows)

    def _last(self, given: RowRef) -> tuple[Row | None, Event | None]:
        """What the row says after its edits, one after the other, None without any; and the last decision on it."""
        last: Event | None = None
        row, name, line = None, given.id, given.line
        while (event := self.rows.get((name, row_digest(line)))) is not None and event is not last:
            self._used.add(event.seq)
            last = event
            if event.row is None or event.row == (row if row is not None else given.row):
                break
            row, name, line = event.row, event.row.id, encode_row(event.row)
        return row, last

    def _report(self, applied: Counter[str], edited: int) -> dict[str, Any]:
        every = {event.seq for event in (*self.rows.values(), *self.back.values())}
        return {
            "journal": FILE,
            "decisions": dict(sorted(self.counts.items())),
            "applied": {**dict(sorted(applied.items())), "rows_changed": edited},
            "taken_back": dict(sorted(self._taken_back.items())),
            "stale": len(every - self._used),
        }


def _checked(changed: dict[int, Row], context: Context, measured: Measured) -> dict[int, tuple[str, str]]:
    """Take those out of `changed` that a stage rejects, and say why; the others are as the stages leave them."""
    refused: dict[int, tuple[str, str]] = {}
    for stage in _ALONE:
        if not changed or not stage.is_wanted(context.recipe, context.folder):
            continue
        places = list(changed)
        rows = RowSelection.of_rows(list(changed.values()), "edited", FILE)
        found = stage.run(rows, replace(context, cache=None), measured)
        numbers = found.rejections.numbers()
        assert numbers is not None
        for at, item in zip(rows.positions_of(rows.given(numbers)).tolist(), found.rejections, strict=True):
            refused[places[at]] = item.reason, f"an edit in review: {item.detail}"
            del changed[places[at]]
        left = rows.positions_of(rows.given(found.kept.numbers)).tolist()
        changed.update({places[at]: row for at, row in zip(left, found.kept.rows, strict=True)})
    return refused


def _told(report: Mapping[str, Any]) -> list[str]:
    told = []
    if refused := report.get("refused"):
        what = ", ".join(f"{reason} {count}" for reason, count in refused.items())
        told.append(f"{sum(refused.values())} rows were edited into what is not kept ({what}): review them again")
    if stale := report["stale"]:
        told.append(
            f"{stale} decisions are on rows that read otherwise now or are gone, and were not applied: review them "
            "again with `curate review`"
        )
    return told


def find_decisions(folder: Path) -> tuple[Decisions | None, list[InputFile]]:
    """The decisions in a dataset's folder, None where nobody has reviewed it, and the file that they are in.

    Raises: ProvenanceError where the journal is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None, []
    found = InputFile(Decisions.name, "decisions", Input(FILE, path), digest_file(path))
    return Decisions.of(read_events(path)), [found]


def _digests(rejections: Sequence[Rejection], context: Context) -> list[str]:
    """The digest of each rejection that a reviewer saw: that of what `rejected.jsonl` holds of it."""
    shown = rejections
    if wants_screens(context.recipe.screens):
        from curate.screen.redact_ids import redacted

        shown = redacted(shown, context.recipe.screens, context.folder)
    return [digest_text(seen.raw) for seen in shown]


def _detail(event: Event) -> str:
    words = [f"{event.reviewer} decided: {event.action}", event.value, event.note]
    return ": ".join(word for word in words if word)
