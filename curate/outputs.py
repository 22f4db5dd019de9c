"""The dataset folder: written so that readers see the old dataset or the whole new one, and checked afterwards."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from curate.card import render_card
from curate.config import Side
from curate.core.digests import digest_bytes, digest_file
from curate.core.errors import DataError, ProvenanceError, os_errors
from curate.core.jsonl import atomic_write, read_lines
from curate.core.records import peek_record, read_record, seal, write_record
from curate.entries import Entry, Rejection
from curate.report.html import render_report

MANIFEST = "manifest.json"
COLUMNS_FOLDER = ".columns"  # what screens measured: it can be made again, and no digest depends on it
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What the stages made: the rows of each side, the rejections, the manifest's facts, and further files."""

    sides: dict[Side, list[Entry]]
    rejections: list[Rejection]
    facts: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)


def write_dataset(dataset: Dataset, output: Path | None, environment: Mapping[str, Any]) -> dict[str, Any]:
    """Write the dataset's files and return its manifest; where `output` is None, only make the manifest.

    The files take their places when all are on disk, the manifest last: a folder without one is unfinished.
    """
    contents = {f"{side}.jsonl": _joined(entry.line for entry in rows) for side, rows in dataset.sides.items()}
    if dataset.facts["recipe"]["parquet"]:
        from curate.row_tables import rows_as_parquet

        contents |= {
            f"{side}.parquet": rows_as_parquet(entry.row for entry in rows) for side, rows in dataset.sides.items()
        }
    contents["rejected.jsonl"] = _joined(msgspec.json.encode(rejection) for rejection in dataset.rejections)
    contents |= dataset.files
    card = render_card(dataset.facts, [entry.row for entry in dataset.sides["train"]])
    contents["card.md"] = card.encode("utf-8", "replace")
    contents["report.html"] = render_report(dataset.facts, dataset.sides, dataset.rejections).encode("utf-8", "replace")
    outputs = {name: _describe(name, content) for name, content in contents.items()}
    body = {**dataset.facts, "outputs": outputs, "environment": dict(environment)}
    if output is None:
        return seal(body)
    with os_errors(output):
        existed = output.exists()
        output.mkdir(parents=True, exist_ok=True)
        for left_over in output.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left_over)
        staging = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=output))
    try:
        for name, content in contents.items():
            with atomic_write(staging / name) as file:
                file.write(content)
        manifest = write_record(staging / MANIFEST, body)
        with os_errors(output):
            _remove_old(output, set(contents))
            for name in (*contents, MANIFEST):
                (staging / name).replace(output / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not existed:
            with suppress(OSError):
                output.rmdir()  # only where it stayed empty
    return manifest


def _remove_old(output: Path, names: set[str]) -> None:
    """Remove the manifest, and the files it names that the new dataset doesn't have: nothing stale stays beside it."""
    old = peek_record(output / MANIFEST)
    (output / MANIFEST).unlink(missing_ok=True)
    for name in (old or {}).get("outputs", {}):
        if name not in names and "/" not in name:
            (output / name).unlink(missing_ok=True)


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _describe(name: str, content: bytes) -> dict[str, Any]:
    described: dict[str, Any] = {"digest": digest_bytes(content)}
    return {**described, "rows": content.count(b"\n")} if name.endswith(".jsonl") else described


def check_writable(output: Path) -> None:
    """Raises: DataError where the output folder can't be made or written to, before any work is done."""
    place = output
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise DataError("a file stands where the output folder should be", where=place, fix="name another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise DataError("no permission to write the dataset", where=place, fix="name another folder with --output")


def current_manifest(output: Path, input_digest: str) -> dict[str, Any] | None:
    """The manifest in `output` where it was made from the same inputs and its files are untouched, else None."""
    manifest = peek_record(output / MANIFEST)
    if manifest is None or manifest.get("input_digest") != input_digest or find_changes(output, manifest):
        return None
    return manifest


def find_changes(output: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What differs between the files in `output` and what the manifest says of them, a sentence each."""
    changes = []
    for name, expected in manifest.get("outputs", {}).items():
        path = output / name
        if not path.is_file():
            changes.append(f"{name} is missing")
        elif digest_file(path) != expected["digest"]:
            changes.append(f"{name} was changed")
        elif "rows" in expected and sum(1 for _ in read_lines(path)) != expected["rows"]:
            changes.append(f"{name} does not have {expected['rows']} rows")
    return changes


def verify_dataset(output: Path) -> dict[str, Any]:
    """The manifest of a dataset whose files fit it. Raises: ProvenanceError naming each that doesn't."""
    if not output.is_dir():
        raise DataError("no such folder", where=output, fix="name the folder that `curate build` wrote")
    if not (output / MANIFEST).is_file():
        raise ProvenanceError("the folder has no manifest", where=output / MANIFEST, fix="build it again")
    manifest = read_record(output / MANIFEST)
    changes = find_changes(output, manifest)
    changes += [
        f"stage {stage['name']}: {stage['kept']} kept and {stage['rejected']} rejected are not {stage['rows_in']} rows"
        for stage in manifest.get("stages", ())
        if stage["kept"] + stage["rejected"] != stage["rows_in"]
    ]
    if changes:
        raise ProvenanceError(
            "\n".join(["the dataset does not fit its manifest", *(f"  {c}" for c in changes)]),
            where=output,
            fix="build it again with `curate build --force`",
        )
    return manifest
