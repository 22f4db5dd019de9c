"""The dataset folder: written so that readers see the old dataset or the whole new one, and checked afterwards."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import UNSET

from curate.core.digests import digest_file
from curate.core.errors import ConfigError, DataError, ProvenanceError, os_errors
from curate.core.files import atomic_write, read_lines
from curate.core.manifest import (
    MANIFEST,
    SIDES,
    Manifest,
    ManifestOutput,
    Side,
    peek_manifest,
    read_manifest,
    sealed,
    write_manifest,
)
from curate.core.output_folder import check_apart, check_unclaimed
from curate.core.text.leaks.evidence import EVIDENCE_FILE, TOUCHED_FILE
from curate.recipe.recipe import recipe_of
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection

KEPT_FOLDER = ".kept"  # what stages decided and measured: it can be made again, and no digest depends on it
_UNFINISHED = ".unfinished-"
# What a dataset's folder may hold beside its manifest.
_NAMES = (
    *(f"{side}.{kind}" for side in SIDES for kind in ("jsonl", "parquet")), "rejected.jsonl", "card.md", "report.html",
    "clusters.parquet", "canaries.jsonl", EVIDENCE_FILE, TOUCHED_FILE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dataset:
    """What the stages made: the rows of each side, the rejections, the manifest so far, and further files."""

    sides: dict[Side, RowSelection]
    rejections: Rejections
    manifest: Manifest
    files: dict[str, bytes] = field(default_factory=dict)
    check: Callable[[], None] = lambda: None
    """Raises where the rows are no longer what was read: asked when all are written."""


def write_dataset(dataset: Dataset, output: Path | None, environment: Mapping[str, Any]) -> Manifest:
    """Write the dataset's files and return its manifest; where `output` is None, only make the manifest.

    The files take their places when all are on disk, the manifest last: a folder without one is unfinished.
    """
    if output is None:
        return sealed(_with(dataset.manifest, _write_all(dataset, None), environment))
    with os_errors(output):
        output.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=output))
    try:
        outputs = _write_all(dataset, staging)
        dataset.check()
        manifest = write_manifest(staging / MANIFEST, _with(dataset.manifest, outputs, environment))
        with os_errors(output):
            _remove_old(output, set(outputs))
            for name in (*outputs, MANIFEST):
                (staging / name).replace(output / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def _with(manifest: Manifest, outputs: dict[str, ManifestOutput], environment: Mapping[str, Any]) -> Manifest:
    return msgspec.structs.replace(manifest, outputs=outputs, environment=dict(environment))


def _write_all(dataset: Dataset, folder: Path | None) -> dict[str, ManifestOutput]:
    """What the manifest says of each of the files, which are written into the folder where there is one."""
    rows = {f"{side}.jsonl": len(rows) for side, rows in dataset.sides.items()}
    rows["rejected.jsonl"] = len(dataset.rejections)
    rows |= {name: made.count(b"\n") for name, made in dataset.files.items() if name.endswith(".jsonl")}

    def write(name: str, parts: Iterable[bytes]) -> ManifestOutput:
        if folder is None:
            return _describe(parts, rows.get(name), None)
        with atomic_write(folder / name) as file:
            return _describe(parts, rows.get(name), file)

    # Rows are copied, digested and written without the interpreter's lock: time for what is made row by row in Python.
    with ThreadPoolExecutor(1) as beside:
        sides = {f"{side}.jsonl": rows.blocks() for side, rows in dataset.sides.items()}
        waiting = {name: beside.submit(write, name, parts) for name, parts in sides.items()}
        others = {name: write(name, parts) for name, parts in _other_files(dataset)}
    return {name: written.result() for name, written in waiting.items()} | others


def _other_files(dataset: Dataset) -> Iterator[tuple[str, Iterable[bytes]]]:
    """What is in the files beside those of the sides, each made when it is asked for."""
    # Imported here, as above.
    from curate.report.card import render_card
    from curate.report.html import render_report

    if recipe_of(dataset.manifest).parquet:
        from curate.report.parquet_rows import rows_as_parquet

        for side, rows in dataset.sides.items():
            yield f"{side}.parquet", (rows_as_parquet(rows.rows),)
    yield "rejected.jsonl", dataset.rejections.lines()
    for name, content in dataset.files.items():
        yield name, (content,)
    sections = _card_sections(dataset.manifest.reports)
    yield "card.md", (render_card(dataset.manifest, dataset.sides["train"], sections).encode("utf-8", "replace"),)
    report = render_report(dataset.manifest, dataset.sides, dataset.rejections)
    yield "report.html", (report.encode("utf-8", "replace"),)


def _card_sections(reports: Mapping[str, Any]) -> list[str]:
    """What the stages have to say of their reports."""
    from curate.build.human_decisions import Decisions
    from curate.build.stages import STAGES

    order = [*STAGES[:-1], Decisions(), *STAGES[-1:]]  # what people decided stands before the mix
    return [stage.card(reports[stage.name]) for stage in order if stage.name in reports]


def _remove_old(output: Path, names: set[str]) -> None:
    """Remove the manifest, and the files it names that the new dataset doesn't have: nothing stale stays beside it."""
    old = peek_manifest(output / MANIFEST)
    (output / MANIFEST).unlink(missing_ok=True)
    for name in old.outputs if old is not None else ():
        if name not in names and "/" not in name:
            (output / name).unlink(missing_ok=True)


def _describe(parts: Iterable[bytes], rows: int | None, file: IO[bytes] | None) -> ManifestOutput:
    """What the manifest says of a file with this content, which goes into `file` where there is one."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
        if file is not None:
            file.write(part)
    return ManifestOutput(digest=f"sha256:{state.hexdigest()}", rows=UNSET if rows is None else rows)


@contextmanager
def sole_use(output: Path) -> Iterator[None]:
    """Hold the folder, made if need be, for this build, and remove what builds that were killed left in it.

    Raises: ConfigError where another build is at work on it; DataError where it can't be made.
    """
    existed = output.is_dir()
    if not existed:
        check_writable(output)
    with os_errors(output):
        output.mkdir(parents=True, exist_ok=True)
        handle = os.open(output, os.O_RDONLY)  # the folder itself: no file stays, and a killed build holds nothing
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            fix = "wait for it, or name another folder with --output"
            raise ConfigError("another build is at work on this folder", where=output, fix=fix) from error
        except OSError:  # a file system without locks
            pass
        for left_over in output.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left_over, ignore_errors=True)
        for left_over in (output / KEPT_FOLDER).rglob(".*.tmp"):
            with suppress(OSError):
                left_over.unlink()
        yield
    finally:
        os.close(handle)
        if not existed:
            with suppress(OSError):
                output.rmdir()  # only where it stayed empty


def check_writable(output: Path) -> None:
    """Raises: DataError where the output folder can't be made or written to, before any work is done."""
    place = output
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise DataError("a file stands where the output folder should be", where=place, fix="name another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise DataError("no permission to write the dataset", where=place, fix="name another folder with --output")


def check_own_folder(output: Path, read: Iterable[Path]) -> None:
    """Raises: ConfigError where the folder holds what is `read`, or files of a dataset that no build wrote there."""
    check_apart(output, read)
    if (old := peek_manifest(output / MANIFEST)) is not None:
        check_unclaimed(output, _NAMES, old.outputs)
    elif not (output / KEPT_FOLDER).is_dir() and not any(output.glob(f"{_UNFINISHED}*")):  # which a killed build leaves
        check_unclaimed(output, (*_NAMES, MANIFEST), ())


def current_manifest(output: Path, input_digest: str) -> Manifest | None:
    """The manifest in `output` where it was made from the same inputs and its files are untouched, else None."""
    manifest = peek_manifest(output / MANIFEST)
    if manifest is None or manifest.input_digest != input_digest or find_changes(output, manifest):
        return None
    return manifest


def find_changes(output: Path, manifest: Manifest) -> list[str]:
    """What differs between the files in `output` and what the manifest says of them, a sentence each."""
    changes = []
    for name, expected in manifest.outputs.items():
        path = output / name
        if not path.is_file():
            changes.append(f"{name} is missing")
        elif digest_file(path) != expected.digest:
            changes.append(f"{name} was changed")
        elif expected.rows is not UNSET and sum(1 for _ in read_lines(path)) != expected.rows:
            changes.append(f"{name} does not have {expected.rows} rows")
    return changes


def verify_dataset(output: Path) -> Manifest:
    """The manifest of a dataset whose files fit it. Raises: ProvenanceError naming each that doesn't."""
    if not output.is_dir():
        raise DataError("no such folder", where=output, fix="name the folder that `curate build` wrote")
    if not (output / MANIFEST).is_file():
        raise ProvenanceError("the folder has no manifest", where=output / MANIFEST, fix="build it again")
    manifest = read_manifest(output / MANIFEST)
    changes = find_changes(output, manifest)
    changes += [
        f"stage {stage.name}: {stage.kept} kept and {stage.rejected} rejected are not {stage.rows_in} rows"
        for stage in manifest.stages
        if stage.kept + stage.rejected != stage.rows_in
    ]
    if changes:
        raise ProvenanceError(
            "\n".join(["the dataset does not fit its manifest", *(f"  {c}" for c in changes)]),
            where=output,
            fix="build it again with `curate build --force`",
        )
    return manifest
