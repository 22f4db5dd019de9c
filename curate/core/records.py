"""Records: JSON files that say what an artefact is and which digests it came from, sealed by a digest of their own."""

import os
import platform
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from curate.core.digests import digest_json
from curate.core.errors import ProvenanceError, os_errors
from curate.core.files import atomic_write

# Keys whose values differ from one run to the next on the same inputs: when, where, how fast. At any depth, they
# stay outside the digest, so that the same inputs, seed and versions give the same digest.
VOLATILE = frozenset({"environment", "latency_ms"})


def seal(body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with its digest under `digest`; what is in `VOLATILE` doesn't count."""
    unsealed = {key: value for key, value in body.items() if key != "digest"}
    return {**unsealed, "digest": digest_json(_stable(unsealed))}


def write_record(path: Path, body: Mapping[str, Any]) -> dict[str, Any]:
    """Seal `body`, write it to `path` as indented JSON, atomically, and return it."""
    sealed = seal(body)
    with atomic_write(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(sealed), indent=2) + b"\n")
    return sealed


def read_record(path: Path) -> dict[str, Any]:
    """The record at `path`. Raises: ProvenanceError where it is damaged or its digest doesn't fit its content."""
    with os_errors(path):
        data = path.read_bytes()
    try:
        record = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ProvenanceError(f"not a record: {error}", where=path, fix="make it again") from error
    if record.get("digest") != seal(record)["digest"]:
        raise ProvenanceError(
            "the record's content does not fit its digest: it was changed by hand or damaged",
            where=path,
            fix="make it again with the command that wrote it",
        )
    return record


def peek_record(path: Path) -> dict[str, Any] | None:
    """The record at `path`, or None where there is none that can be trusted: for "is this up to date?" questions."""
    if not path.is_file():
        return None
    try:
        return read_record(path)
    except ProvenanceError:
        return None


def environment(**more: Any) -> dict[str, Any]:
    """When and where something ran, with `more` measured values: the field that digests leave out."""
    return {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        **more,
    }


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of acidtest and `packages`; a package that isn't there is left out."""
    found = {}
    for name in ("acidtest", *packages):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _stable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _stable(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list | tuple):
        return [_stable(item) for item in value]
    return value
