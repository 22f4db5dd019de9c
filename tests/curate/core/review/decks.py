"""Files of rows to review, and sessions on them that write to a list."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.core.review.decisions import Event, Journal, read_events
from curate.core.review.items import Deck
from curate.core.review.session import Session
from curate.review.rows_deck import RowDeck


def record(number: int, **more: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": f"Question {number}?"},
        {"role": "assistant", "content": f"Answer {number}."},
    ]
    return {"id": f"r{number}", "source": "web", "messages": messages, **more}


def write_rows(path: Path, records: Sequence[object]) -> Path:
    lines = [item if isinstance(item, bytes) else json.dumps(item, ensure_ascii=False).encode() for item in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def make_deck(folder: Path, count: int = 8) -> RowDeck:
    labels = ("refund", "cancel")
    return RowDeck([write_rows(folder / "rows.jsonl", [record(n, label=labels[n % 2]) for n in range(count)])])


def make_session(deck: Deck, events: list[Event]) -> Session:
    """A session whose lines go into `events`, with a clock that ticks once a second."""
    ticks = itertools.count()
    return Session(
        deck, list(events), events.extend, reviewer="ann", clock=lambda: float(next(ticks)), stamp=lambda: "2026-11-22"
    )


def on_disk(deck: Deck, path: Path) -> tuple[Session, Journal]:
    journal = Journal(path)
    journal.__enter__()
    session = Session(
        deck, read_events(path), lambda events: journal.append(*events), reviewer="ann",
        clock=lambda: 0.0, stamp=lambda: "2026-11-22",
    )  # fmt: skip
    return session, journal


def state(session: Session) -> dict[int, tuple[str, str, str]]:
    """What holds: for each position the action, the value and the note."""
    found = {}
    for at in range(len(session.deck)):
        event = session.decision(at)
        if event is not None:
            found[at] = (event.action, event.value, event.note)
    return found
