"""The gate's verdict on a result, as a file: what it decided, why, and the digest of the result that it judged."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from curate.core.digests import digest_file
from curate.core.errors import DataError, ProvenanceError
from curate.core.records import read_record, write_record

VERDICT, CARDS = "verdict.json", "cards"
SCHEMA = 1

Outcome = Literal["pass", "fail", "inconclusive"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict. `result_digest` is the SHA-256 of the bytes of the result.json that was judged.

    `rules` are the gate's, each with at least its own `outcome`; `contender` is who was judged, where the gate says so.
    Further fields are the gate's own.
    """

    outcome: Outcome
    result_digest: str
    because: str
    rules: list[dict[str, Any]]
    contender: str | None = None


def read_verdict(path: Path) -> Verdict:
    """The verdict at `path`. Raises: DataError where there is none, ProvenanceError where it is damaged or edited."""
    if not path.is_file():
        raise DataError("there is no verdict here", where=path, fix="make one with `evalkit gate`")
    record = read_record(path)
    if record.get("kind") != "verdict" or record.get("schema") != SCHEMA:
        raise ProvenanceError("not a verdict that we know", where=path, fix="make one with `evalkit gate`")
    try:
        return msgspec.convert(record, Verdict)
    except msgspec.ValidationError as error:
        raise ProvenanceError(f"not a verdict: {error}", where=path, fix="make one with `evalkit gate`") from error


def verdict_body(verdict: Verdict, **more: Any) -> dict[str, Any]:
    """The verdict's record, unsealed, with `more` fields of the gate's own."""
    return {"kind": "verdict", "schema": SCHEMA, **msgspec.to_builtins(verdict), **more}


def write_verdict(path: Path, verdict: Verdict, **more: Any) -> dict[str, Any]:
    """Write the verdict to `path`, sealed, and return the record."""
    return write_record(path, verdict_body(verdict, **more))


def card_beside(verdict: Path, digest: str) -> Path:
    """Where the copy of a judge's card with this digest lies, beside the verdict that rests on it."""
    return verdict.parent / CARDS / f"{digest.removeprefix('sha256:')[:16]}.json"


def exit_code(outcomes: Iterable[Outcome | None]) -> int:
    """What a command ends with: 1 where something failed, else 6 where something is open, else 0."""
    found = set(outcomes)
    return 1 if "fail" in found else 6 if "inconclusive" in found else 0


def result_digest(results: Path) -> str:
    """The digest that a verdict on this results folder names."""
    return digest_file(results / "result.json")
