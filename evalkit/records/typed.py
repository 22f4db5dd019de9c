"""Records as typed structures: sealed, written and read back through one door, so that nobody reads them by string."""

from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from curate.core.errors import ProvenanceError
from curate.core.records import read_record, seal, write_record

ABSENT: Any = msgspec.UNSET
"""The default of a field that a record leaves out where there is nothing to say; it counts as false."""


class _Sealed(Protocol):
    @property
    def digest(self) -> str: ...


R = TypeVar("R", bound=_Sealed)


def sealed(record: R) -> R:
    """The record with the digest of its content, without what differs from run to run."""
    body: dict[str, Any] = msgspec.to_builtins(record)
    return _with(record, digest=seal(body)["digest"])


def write_typed(path: Path, record: R, **more: Any) -> R:
    """Write the record to `path`, sealed, with `more` of its fields set, and return it as it was written.

    Fields stand in the file in the order of the structure; those that are `ABSENT` don't stand there.
    """
    whole = _with(record, **more)
    return _with(whole, digest=write_record(path, msgspec.to_builtins(whole))["digest"])


def read_typed(path: Path, kind: type[R], what: str, fix: str) -> R:
    """The record at `path`, `what` it should be in words. Fields that the structure doesn't know are left out.

    Raises: ProvenanceError, with `fix`, where it is damaged, was changed by hand, or is another kind of record.
    """
    record = read_record(path)
    try:
        return msgspec.convert(record, kind)
    except msgspec.ValidationError as error:
        raise ProvenanceError(f"not {what} that we know: {error}", where=path, fix=fix) from error


def _with(record: R, **fields: Any) -> R:
    changed: R = msgspec.structs.replace(record, **fields)  # type: ignore[type-var]  # every record is a Struct
    return changed
