"""A review from its start to its end: the journal opened, the session driven on a full screen or line by line."""

import getpass
import importlib.util
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from curate.core.console import say
from curate.core.errors import ConfigError, DataError
from curate.core.review.decisions import Journal
from curate.core.review.items import Chosen, Deck
from curate.core.review.keymap import load_keys
from curate.core.review.layout import Tokens
from curate.core.review.plain_mode import PlainReview
from curate.core.review.session import Session


@dataclass(frozen=True, slots=True)
class Settings:
    """How a review is done. `sample` rows are drawn by `seed`; `keys` is the file of a keymap."""

    journal: Path
    reviewer: str
    plain: bool = False
    filter: str = ""
    sample: int | None = None
    seed: int = 0
    keys: Path | None = None


def reviewer_name(given: str | None) -> str:
    """Who decides, for the journal."""
    try:
        return given or getpass.getuser()
    except OSError:
        return "reviewer"


def check_terminal(*, plain: bool) -> None:
    """Raises: ConfigError where a full screen is wanted and there is no terminal for one, or no Textual."""
    if not plain and importlib.util.find_spec("textual") is None:
        raise ConfigError("a full screen needs Textual", fix="pip install 'acidtest[tui]', or use --plain")
    if not plain and not (sys.stdin.isatty() and sys.stdout.isatty()):
        fix = "run it in a terminal, or with --plain, which reads a line for each decision"
        raise ConfigError("a full screen needs a terminal, and standard input or output is none", fix=fix)


def review(deck: Deck, settings: Settings, tokens: Tokens | None = None) -> Session:
    """Let a person decide on the deck's items; what was decided is in the journal.

    Raises: ConfigError without a terminal or for a keymap, DataError where there is nothing to decide or no writing.
    """
    check_terminal(plain=settings.plain)
    keys = load_keys(deck.kind, settings.keys or _users_keymap())
    if settings.sample is not None and settings.sample < len(deck):
        drawn = random.Random(settings.seed).sample(range(len(deck)), settings.sample)
        deck = Chosen(deck, sorted(drawn))
    if not len(deck):
        raise DataError(f"there are no {deck.kind.title} to review", where=settings.journal.parent)
    try:
        journal = Journal(settings.journal).__enter__()
    except DataError as error:
        fix = "decisions are kept beside what is reviewed: name another place with --journal FILE"
        raise DataError(error.what, where=error.where, fix=fix) from error
    try:
        session = Session(
            deck,
            journal.records,
            lambda events: journal.append(*events),
            reviewer=settings.reviewer,
            clock=time.monotonic,
            stamp=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if settings.filter:
            session.show(session.matching(settings.filter), settings.filter)
            session.next_pending()
        if settings.plain:
            PlainReview(session, keys, click.echo, click.edit, tokens).run(_input_lines())
        else:
            from curate.core.review.tui.app import ReviewApp

            ReviewApp(session, keys, tokens).run()
    finally:
        journal.__exit__(None, None, None)
    say(f"{session.done:,} of {len(deck):,} decided; every decision is in {settings.journal}")
    return session


def _users_keymap() -> Path | None:
    home = os.environ.get("XDG_CONFIG_HOME")
    path = (Path(home) if home else Path.home() / ".config") / "acidtest" / "review-keys.yaml"
    return path if path.is_file() else None


def _input_lines() -> Iterator[str]:
    while line := sys.stdin.readline():
        yield line
