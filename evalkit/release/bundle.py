"""A release's folder: the adapter with its template, the dataset's card, the report, and the chain of records.

Its name is the digest of its record, which names the digest of every file in it: other content is another release.
Laid out as a run's folder, so that whatever takes a run takes a release.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from curate.core.digests import digest_file
from curate.core.errors import AcidtestError, DataError, ProvenanceError, os_errors
from curate.core.files import atomic_folder
from curate.core.manifest import MANIFEST
from curate.core.records import environment
from evalkit.gate.verdict_file import CARDS, VERDICT
from evalkit.judge.card import STATES, read_card
from evalkit.records.typed import ABSENT, read_typed, sealed, write_typed
from evalkit.release import signing
from evalkit.release.chain import Chain, check_links, read_chain
from evalkit.results.compare_contenders import Metric
from evalkit.results.folder import RESULT
from trainer.run.record import RECORD

RELEASE = "release.json"
SCHEMA = 1
_RESULTS, _DATASET, _CARD = "results", "dataset", "card.md"


class ReleaseVerdict(msgspec.Struct, frozen=True):
    """What the gate said of the release."""

    outcome: str
    because: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """release.json: what a release is made of. `base` and `template` stand as in its run's record.

    `chain` names the digest of each link, `judges` what each judge that voted may do, `files` the digest of every file.
    """

    kind: Literal["release"] = "release"
    schema: int = SCHEMA
    name: str
    contender: str
    base: dict[str, Any]
    template: dict[str, Any]
    adapter: str
    chain: dict[str, str]
    recorded_answers: bool
    verdict: ReleaseVerdict
    primary: str
    metrics: dict[str, Metric]
    judges: dict[str, str] = ABSENT
    files: dict[str, str]
    environment: dict[str, Any] = ABSENT
    digest: str = ""


def describe(chain: Chain, *, allow_recorded: bool = False) -> tuple[Release, dict[str, Path]]:
    """The release's record, sealed, and where each of its files comes from. Raises: as `check_links`."""
    contender = check_links(chain, allow_recorded=allow_recorded)
    run, result = chain.run.record, chain.result
    sources = _sources(chain)
    section = next(entry for entry in result.contenders if entry.name == contender)
    release = Release(
        name=result.terms.name,
        contender=contender,
        base=msgspec.to_builtins(run.base),
        template=msgspec.to_builtins(run.template),
        adapter=run.adapter.digest,
        chain=chain.digests(),
        recorded_answers=contender in result.chain.replays,
        verdict=ReleaseVerdict(chain.verdict.outcome, chain.verdict.because),
        primary=result.primary,
        metrics=section.metrics,
        judges=_judges(chain) or ABSENT,
        files={name: digest_file(path) for name, path in sorted(sources.items())},
    )
    return sealed(release), sources


def _judges(chain: Chain) -> dict[str, str]:
    """By metric, what each judge that voted may do; of several cards, what the least of them lets it."""
    states = {metric: [read_card(path)["state"] for path in cards.values()] for metric, cards in chain.cards.items()}
    return {metric: min(found, key=STATES.index) for metric, found in states.items()}


def _sources(chain: Chain) -> dict[str, Path]:
    results, dataset = chain.result_path.parent, chain.manifest.path.parent
    found = {
        RECORD: chain.run.path,
        VERDICT: chain.verdict_path,
        f"{_DATASET}/{MANIFEST}": chain.manifest.path,
        f"{_RESULTS}/{RESULT}": chain.result_path,
    }
    found |= {f"{CARDS}/{path.name}": path for cards in chain.cards.values() for path in cards.values()}
    weights = chain.adapter.name
    found |= {f"{weights}/{name}": chain.adapter / name for name in chain.run.record.adapter.files}
    found |= {f"{_RESULTS}/{name}": results / name for name in chain.result.files}
    card = chain.manifest.record.outputs.get(_CARD)
    if card is not None:
        if not (dataset / _CARD).is_file() or digest_file(dataset / _CARD) != card.digest:
            raise ProvenanceError(
                "the dataset's card is not the one its manifest describes",
                where=dataset / _CARD,
                fix="build the dataset again with `curate build`",
            )
        found[f"{_DATASET}/{_CARD}"] = dataset / _CARD
    return found


def write_bundle(folder: Path, record: Release, sources: Mapping[str, Path]) -> None:
    """Write the release into `folder`, which appears when all of it is there, checked, and on disk.

    Raises: ProvenanceError where a source changed while it was copied.
    """
    with atomic_folder(folder) as staging:
        for name, path in sources.items():
            place = staging / name
            with os_errors(path):
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
        write_typed(staging / RELEASE, record, environment=environment())
        faults = bundle_faults(staging, record.digest)
        if faults:
            raise ProvenanceError(
                f"something changed while it was copied: {faults[0]}", where=folder, fix="promote again"
            )
        for inner in (*(path for path in staging.rglob("*") if path.is_dir()), staging):
            sync_folder(inner)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """See that the names in a folder are on disk; a rename alone may be lost with the power."""
    if os.name == "nt":
        return  # Windows opens no folders; its file systems keep names in a journal
    with os_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_bundle(folder: Path) -> Release:
    """The record of a release. Raises: DataError, ProvenanceError."""
    if not (folder / RELEASE).is_file():
        raise DataError("there is no release here", where=folder, fix="see `evalkit release list`")
    return read_typed(folder / RELEASE, Release, "a release", "promote it again from its run")


def bundle_faults(folder: Path, digest: str, public_key: Path | None = None) -> list[str]:
    """What is wrong with the release in `folder` that should have this digest, a sentence each."""
    try:
        record = read_bundle(folder)
    except AcidtestError as error:
        return [error.what]
    if record.digest != digest:
        return [f"its record is that of another release, {record.digest}"]
    files = record.files
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    faults = [f"{name} is missing" for name in sorted(set(files) - there)]
    faults += [
        f"{name} was changed" for name in sorted(set(files) & there) if digest_file(folder / name) != files[name]
    ]
    extra = there - set(files) - {RELEASE, RELEASE + signing.SUFFIX}
    faults += [f"{name} doesn't belong to it" for name in sorted(extra)]
    if public_key is not None and (fault := signing.check_signature(folder / RELEASE, public_key)):
        faults.append(fault)
    return faults or _chain_faults(folder, record)


def _chain_faults(folder: Path, record: Release) -> list[str]:
    try:
        chain = read_chain(folder, folder / _RESULTS, folder / VERDICT, folder / _DATASET)
        check_links(chain, allow_recorded=record.recorded_answers)
    except AcidtestError as error:
        return [error.what]
    return [] if chain.digests() == record.chain else ["its records are not those that its chain names"]
