"""Human decisions as a stage of the build: what reviewers dropped goes, what they edited changes, what they took back
stays. A decision on a row that has changed since is counted and not applied.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from curate.build.plan import COMPOSING, Done, Step
from curate.core.digests import digest_file, digest_text
from curate.core.review.decisions import FILE, REJECTED, Event, read_events, replay, row_digest
from curate.files.records import Input
from curate.read.sources import InputFile
from curate.table.class_of_row import Columns
from curate.table.row_ref import Context, Entry, Outcome, Rejection, reject

STAGE = "review"
# What a person can't overrule: unreadable records are no rows, and no item of an evaluation may get into train.
_FINAL = frozenset({"read", "decontaminate", STAGE, *COMPOSING})


@dataclass
class Decisions:
    """What holds after a journal. `rows` are decisions on rows of the dataset, by id and digest."""

    rows: dict[tuple[str, str], Event] = field(default_factory=dict)
    back: dict[tuple[str, str], Event] = field(default_factory=dict)
    """Rejected rows that a reviewer wants in the dataset, by id and digest."""
    counts: Counter[str] = field(default_factory=Counter)
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
                if event.action in ("drop", "other"):
                    found.rows[kept] = event
                    keys.setdefault(kept[0], {})[kept] = None
                if event.action in ("distinct", "other"):
                    found.back[dropped] = event
            elif not event.place.startswith(f"{REJECTED}:"):
                found.rows[event.item, event.digest] = event
                keys.setdefault(event.item, {})[event.item, event.digest] = None
            elif event.action == "keep":
                # That a row was rightly left out changes nothing; that it should come back does.
                found.back[event.item, event.digest] = event
                for key in keys.pop(event.item, ()):
                    if found.rows[key].action in ("drop", "other"):  # what a person dropped a person can take back
                        del found.rows[key]
                        found._used.add(event.seq)
        return found

    def take_back(self, stage: str, entries: Sequence[Entry], done: Done, context: Context) -> Done:
        """What a stage did, less the rejections that a reviewer overruled: those rows go on to the next stage."""
        wanted = {name for name, _ in self.back}
        told = done.outcome.rejections if stage not in _FINAL else []
        asked = {at: item for at, item in enumerate(told) if item.id in wanted}
        if not asked:
            return done
        from curate.table.selection import left_out, spots, take, together

        events = {
            at: event
            for at, digest in zip(asked, _digests(list(asked.values()), context), strict=True)
            if (event := self.back.get((asked[at].id or "", digest))) is not None
        }
        again = [asked[at] for at in events]
        self._used |= {event.seq for event in events.values()}
        self._taken_back[stage] += len(again)
        places = {(item.path, item.offset) for item in again}
        gone = left_out(entries, done.outcome.kept)
        is_back = np.array([(path, offset) in places for path, _, offset in spots(take(entries, gone))], np.bool_)
        kept = together([done.outcome.kept, take(entries, gone[is_back])])
        # A row that repeats another stays on its side of the split.
        tied: dict[str, str] = {}
        for item in again:
            if item.because_of is not None and item.id is not None and not item.because_of.dataset:
                name = done.outcome.ties.get(item.because_of.id, item.because_of.id)
                tied |= {item.because_of.id: name, item.id: name}
        outcome = replace(
            done.outcome,
            kept=kept,
            rejections=[item for at, item in enumerate(told) if at not in events],
            ties={**done.outcome.ties, **tied},
        )
        return replace(done, outcome=outcome)

    def apply(self, entries: Sequence[Entry], _: Context, __: Columns) -> Done:
        """The rows as the reviewers left them: dropped ones are rejected, edited ones changed."""
        from curate.table.selection import names, take

        wanted = {name for name, _ in self.rows}
        changed: dict[int, Entry] = {}
        rejections: list[Rejection] = []
        gone: list[int] = []
        applied: Counter[str] = Counter()
        for at, name in enumerate(names(entries)):
            if name not in wanted:
                continue
            given = entries[at]
            entry, event = self._last(given)
            if event is None:
                continue
            applied["drop" if event.rows else event.action] += 1
            if event.action == "drop" or event.rows:
                gone.append(at)
                rejections.append(reject(given, STAGE, "reviewed", _detail(event)))
            elif entry is not given:
                changed[at] = entry
        kept = take(entries, np.delete(np.arange(len(entries)), gone))
        if changed:
            dropped = set(gone)
            stay = (at for at in range(len(entries)) if at not in dropped)
            kept = [changed.get(at, entry) for at, entry in zip(stay, kept, strict=True)]
        return Done(Outcome(kept, rejections), self._report(applied, len(changed)))

    def _last(self, entry: Entry) -> tuple[Entry, Event | None]:
        """The entry after its edits, one after the other, and the last decision on it."""
        last: Event | None = None
        while (event := self.rows.get((entry.id, row_digest(entry.line)))) is not None and event is not last:
            self._used.add(event.seq)
            last = event
            if event.row is None or event.row == entry.row:
                break
            entry = Entry(event.row, entry.place, entry.raw)
        return entry, last

    def _report(self, applied: Counter[str], edited: int) -> dict[str, object]:
        every = {event.seq for event in (*self.rows.values(), *self.back.values())}
        return {
            "journal": FILE,
            "decisions": dict(sorted(self.counts.items())),
            "applied": {**dict(sorted(applied.items())), "rows_changed": edited},
            "taken_back": dict(sorted(self._taken_back.items())),
            "stale": len(every - self._used),
        }


def with_review(steps: Sequence[Step], decisions: Decisions | None) -> list[Step]:
    """The steps with the human decisions after those that look for faults and before those that compose."""
    if decisions is None:
        return list(steps)
    first = next((at for at, step in enumerate(steps) if step.name in COMPOSING), len(steps))
    return [*steps[:first], Step(STAGE, decisions.apply), *steps[first:]]


def find_decisions(folder: Path) -> tuple[Decisions | None, list[InputFile]]:
    """The decisions in a dataset's folder, None where nobody has reviewed it, and the file that they are in.

    Raises: ProvenanceError where the journal is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None, []
    found = InputFile(STAGE, "decisions", Input(FILE, path), digest_file(path))
    return Decisions.of(read_events(path)), [found]


def _digests(rejections: Sequence[Rejection], context: Context) -> list[str]:
    """The digest of each rejection that a reviewer saw: that of what `rejected.jsonl` holds of it."""
    from curate.build.plan import wants_screens

    shown = rejections
    if wants_screens(context.recipe):
        from curate.screen.redact_ids import redact_rejections

        shown = redact_rejections(shown, context.recipe.screens, context.folder)
    return [digest_text(seen.raw) for seen in shown]


def _detail(event: Event) -> str:
    words = [f"{event.reviewer} decided: {event.action}", event.value, event.note]
    return ": ".join(word for word in words if word)
