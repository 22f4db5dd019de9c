"""verdict.json: what the gate decided on a result, why, and the digest of the result that it judged."""

from collections.abc import Iterable
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from curate.core.digests import digest_file
from curate.core.errors import DataError
from evalkit.records.typed import ABSENT, read_typed, write_typed

VERDICT, CARDS = "verdict.json", "cards"
_FIX = "make one with `evalkit gate`"

GateOutcome = Literal["pass", "fail", "inconclusive"]
R = TypeVar("R")


class VerdictRule(msgspec.Struct, frozen=True, kw_only=True):
    """What every verdict says of a rule; a gate of somebody else's may say more, or less."""

    rule: str | None = None
    metric: str | None = None


class VerdictChain(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of what the verdict rests on; of judges that voted, those of their cards, by metric."""

    result: str = ABSENT
    baseline: str | None = ABSENT
    rules: str = ABSENT
    cards: dict[str, list[str]] = ABSENT


class GateVerdict(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """A verdict, with all that its maker says of each rule (`R`). `contender`: who was judged, where the gate says so.

    `result_digest` is the SHA-256 of the bytes of the result.json that was judged.
    """

    kind: Literal["verdict"] = "verdict"
    schema: Literal[1] = 1
    outcome: GateOutcome
    result_digest: str
    because: str
    rules: list[R]
    contender: str | None = None
    suite: str = ABSENT
    alpha: float = ABSENT
    chain: VerdictChain = ABSENT
    digest: str = ""


def read_verdict(path: Path) -> GateVerdict[VerdictRule]:
    """The verdict at `path`. Raises: DataError where there is none, ProvenanceError where it is damaged or edited."""
    if not path.is_file():
        raise DataError("there is no verdict here", where=path, fix=_FIX)
    return read_typed(path, GateVerdict[VerdictRule], "a verdict", _FIX)


def write_verdict(path: Path, verdict: GateVerdict[R]) -> GateVerdict[R]:
    """Write the verdict to `path`, sealed, and return it with its digest."""
    return write_typed(path, verdict)


def card_beside(verdict: Path, digest: str) -> Path:
    """Where the copy of a judge's card with this digest lies, beside the verdict that rests on it."""
    return verdict.parent / CARDS / f"{digest.removeprefix('sha256:')[:16]}.json"


def exit_code(outcomes: Iterable[GateOutcome | None]) -> int:
    """What a command ends with: 1 where something failed, else 6 where something is open, else 0."""
    found = set(outcomes)
    return 1 if "fail" in found else 6 if "inconclusive" in found else 0


def result_digest(results: Path) -> str:
    """The digest that a verdict on this results folder names."""
    return digest_file(results / "result.json")
