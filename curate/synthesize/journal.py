"""The journal of a synthesis: every request sent and every reply got, on disk before anything is done with it.

A run that is killed goes on from here and pays for no reply twice. Lines are only ever added.
"""

from pathlib import Path
from typing import Literal

import msgspec

from curate.core import journal


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line: a request was `sent`, or it came back: with a `reply`, or `failed`. Units: tokens as they were charged.

    A sent request without a second line was cut off: it may have been charged, so its bounds count as spent.
    """

    event: Literal["sent", "reply", "failed"]
    key: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    text: str = ""
    finish_reason: str = ""
    model: str = ""
    detail: str = ""

    @property
    def tokens(self) -> tuple[int, int]:
        """Those of the prompt and of the answer."""
        return self.prompt_tokens, self.completion_tokens


class Journal(journal.Journal[Record]):
    """An open journal, for one process and any number of its threads. Raises: ServiceError where another one has it."""

    kind = Record
    loss = "the reply it held is then asked for again"

    def replies(self) -> dict[str, Record]:
        """The reply to each request that has one; the first counts."""
        found: dict[str, Record] = {}
        for record in self.records:
            if record.event == "reply":
                found.setdefault(record.key, record)
        return found


def read_journal(path: Path) -> list[Record]:
    """The lines of a journal, which may be missing or still be written to."""
    return journal.read_whole_lines(path, Record, Journal.loss)[0]
