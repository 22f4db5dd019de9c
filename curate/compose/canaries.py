"""Canaries: unique random strings planted in training rows, so that a later test can ask whether a model leaks them.

Source: Carlini et al. 2019, "The Secret Sharer": a canary is a format with a random fill from a space of known size;
its exposure is log2(size of the space) - log2(rank of the canary among all fills, by the model's perplexity). A fill
that was planted more often ranks higher in a model that memorises, so canaries come in several numbers of copies.

Plant after duplicates are dropped and after the split, in the training side alone: copies are duplicates on purpose,
and a canary on the test side proves nothing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from curate.core.digests import digest_json, digest_text
from curate.core.errors import DataError
from curate.core.files import decode_lines, write_lines
from curate.core.rows.row import Message, Row
from curate.core.seeding import stable_fraction, stable_seed
from curate.recipe.canaries import ALPHABET, FILL, Canaries

SOURCE = "canary"
_SEARCHED_ROWS = 4096  # rows whose texts are in memory at once


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """One canary, as a line of the side file: what was planted, how often, and in which rows.

    `prompt` is what an extra row asks, empty where the canary went into rows; `bits` is log2 of the number of fills.
    """

    id: str
    text: str
    fill: str
    format: str
    prompt: str
    copies: int
    bits: float
    digest: str
    rows: list[str]


@dataclass(frozen=True)
class Planted:
    """The canaries, for the side file; the lines that rows get, by row id; and the extra rows."""

    given: Sequence[Row]
    canaries: list[Canary]
    lines: dict[str, str]
    extra: list[Row]

    @property
    def rows(self) -> Iterator[Row]:
        """The rows with canaries in them, in order, extra rows last."""
        yield from map(self.changed, self.given)
        yield from self.extra

    def changed(self, row: Row) -> Row:
        """The row with its canary; the row itself where it gets none."""
        return _with_line(row, self.lines[row.id]) if row.id in self.lines else row

    def record(self) -> dict[str, object]:
        """What a manifest says about canaries: how many, and the digest of the side file; never the strings."""
        return {
            "count": len(self.canaries),
            "planted": sum(canary.copies for canary in self.canaries),
            "digest": canaries_digest(self.canaries),
        }


def plant(rows: Sequence[Row], settings: Canaries) -> Planted:
    """The rows with canaries planted; the same for the same rows, whatever their order, and seed.

    Raises: DataError where there are too few rows to plant in, or where a canary's text is in a row already.
    """
    fills = [random_fill(settings, f"canary-{number}") for number in range(settings.count)]
    _refuse_known(rows, fills)
    copies = [settings.copies[number % len(settings.copies)] for number in range(settings.count)]
    if settings.into == "extra":
        hosts = [[f"canary-{number}-{copy}" for copy in range(count)] for number, count in enumerate(copies)]
    else:
        hosts = _choose_hosts(rows, copies, settings.seed)
    canaries = [
        _canary(settings, number, fill, planted_in)
        for number, (fill, planted_in) in enumerate(zip(fills, hosts, strict=True))
    ]
    if settings.into == "extra":
        return Planted(rows, canaries, {}, [row for canary in canaries for row in _extra_rows(canary)])
    return Planted(rows, canaries, {row: canary.text for canary in canaries for row in canary.rows}, [])


def random_fill(settings: Canaries, key: str) -> str:
    """The fill for this key: what a canary holds, and, for keys of no canary, what a test compares it with."""
    places = range(settings.length)
    return "".join(ALPHABET[stable_seed(settings.seed, f"{key}/{place}") % len(ALPHABET)] for place in places)


def write_canaries(path: Path, canaries: Sequence[Canary]) -> None:
    """Write the side file: one canary a line. It holds the strings, so it must never become training data."""
    write_lines(path, (msgspec.json.encode(canary) for canary in canaries))


def read_canaries(path: Path) -> list[Canary]:
    """The canaries of a side file. Raises: DataError for a line that is none or was changed."""
    canaries = list(decode_lines(path, Canary))
    for number, canary in enumerate(canaries, start=1):
        if canary.digest != digest_text(canary.text):
            raise DataError("the canary's text does not fit its digest", where=f"{path}:{number}")
    return canaries


def canaries_digest(canaries: Sequence[Canary]) -> str:
    """The digest of these canaries: the manifest's link to the side file."""
    return digest_json(list(canaries))


def _canary(settings: Canaries, number: int, fill: str, rows: list[str]) -> Canary:
    text = settings.format.replace(FILL, fill)
    return Canary(
        id=f"canary-{number}",
        text=text,
        fill=fill,
        format=settings.format,
        prompt=settings.prompt.replace("{number}", str(number)) if settings.into == "extra" else "",
        copies=len(rows),
        bits=round(settings.length * math.log2(len(ALPHABET)), 4),
        digest=digest_text(text),
        rows=rows,
    )


def _extra_rows(canary: Canary) -> list[Row]:
    messages = [Message("user", canary.prompt), Message("assistant", canary.text)]
    return [
        Row(id=row, messages=messages, source=SOURCE, origin="synthetic", group=canary.id, meta={"canary": canary.id})
        for row in canary.rows
    ]


def _choose_hosts(rows: Sequence[Row], copies: Sequence[int], seed: int) -> list[list[str]]:
    """The rows that each canary goes into: by a number that hangs on seed and row id alone, one canary a row at most.

    Answers that are JSON are passed over: a line after them would break them.
    """
    fit = sorted({row.id for row in rows if _takes_a_line(row)}, key=lambda row: (stable_fraction(seed, row), row))
    if len(fit) < sum(copies):
        raise DataError(
            f"{sum(copies)} rows are needed to plant canaries in, and {len(fit)} have an answer in prose",
            where="canaries.into",
            fix="plant fewer, or set into: extra",
        )
    left = iter(fit)
    return [sorted(next(left) for _ in range(count)) for count in copies]


def _takes_a_line(row: Row) -> bool:
    last = row.messages[-1] if row.messages else None
    if last is None or last.role != "assistant" or last.tool_calls or not isinstance(last.content, str):
        return False
    return bool(last.content.strip()) and not last.content.lstrip().startswith(("{", "["))


def _with_line(row: Row, text: str) -> Row:
    last = msgspec.structs.replace(row.messages[-1], content=f"{row.messages[-1].text}\n{text}")
    return msgspec.structs.replace(row, messages=[*row.messages[:-1], last])


def _refuse_known(rows: Sequence[Row], fills: Sequence[str]) -> None:
    import polars as pl

    if len(set(fills)) < len(fills):
        raise DataError("two canaries are the same", where="canaries.length", fix="make them longer")
    for first in range(0, len(rows), _SEARCHED_ROWS):
        texts = [message.text for row in rows[first : first + _SEARCHED_ROWS] for message in row.messages]
        series = pl.Series([text.encode("utf-8", "replace").decode() for text in texts], dtype=pl.String)
        if series.str.contains_any(list(fills)).any():
            raise DataError(
                "a canary's characters are in a row already",
                where="canaries.seed",
                fix="choose another seed, or plant once",
            )
