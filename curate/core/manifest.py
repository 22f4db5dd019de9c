"""manifest.json: what a dataset was made of, what each stage did with its rows, and the digests of its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from curate.core.errors import ProvenanceError
from curate.core.records import peek_record, read_record, seal, write_record

MANIFEST = "manifest.json"
Side = Literal["train", "val", "test"]
SIDES: tuple[Side, ...] = ("train", "val", "test")


class ManifestInput(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read. `lines` (records) and `format` are there for files of rows."""

    name: str
    kind: str
    path: str
    digest: str
    lines: int | UnsetType = UNSET
    format: str | UnsetType | None = UNSET


class StageCount(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage did: rows in, kept and rejected, and how many for which reason.

    The others are there where a stage has them: how many rows repeat another, by similarity; rows of earlier datasets
    that were compared with, by dataset; how many rows were repaired, and warned of, by rule; how many are like another
    and stay, by why.
    """

    name: str
    rows_in: int
    kept: int
    rejected: int
    reasons: dict[str, int]
    similarities: dict[str, int] | UnsetType = UNSET
    against: dict[str, int] | UnsetType = UNSET
    repairs: dict[str, int] | UnsetType = UNSET
    warnings: dict[str, int] | UnsetType = UNSET
    alike: dict[str, int] | UnsetType = UNSET


class SourceCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of a source were read, kept and rejected.

    `kept_keys` is there where a source has keys that rows and messages have no field for: in how many rows each was
    kept in `meta`, the most common first. Nothing is trained on that stands under them.
    """

    name: str
    read: int
    kept: int
    rejected: int
    kept_keys: dict[str, int] | UnsetType = UNSET


class CanaryCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many canaries there are, how many times they stand in train, and the digest of the file that has them."""

    count: int
    planted: int
    digest: str


class FactCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the rows looked at seem to teach facts, their share, and the ids of some."""

    looked_at: int
    facts: int
    share: float
    listed: list[str]


class Licenses(msgspec.Struct, frozen=True, kw_only=True):
    """The licence of each source, and that of the base model where one is named; None where nobody says."""

    sources: dict[str, str | None] = {}
    base: str | UnsetType | None = UNSET

    def sentences(self) -> list[str]:
        """What they say, a line each: `source rows: CC-BY-4.0`."""
        named = [(f"source {name}", said) for name, said in self.sources.items()]
        if self.base is not UNSET:
            named.append(("base", self.base))
        return [f"{what}: {said or 'none named'}" for what, said in named]


class ManifestOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the dataset. `rows` is there for files of rows."""

    digest: str
    rows: int | UnsetType = UNSET


class Manifest(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="manifest"):
    """What manifest.json says, in the file's order. What a file doesn't say is empty; unset keys are not written.

    Attributes:
        recipe: the recipe with all its defaults.
        reports: what each stage that reports has to say, by the stage's name.
        split: how many rows of each label each side has.
        conflicts: the ids of rows with one prompt, or nearly one, and different answers.
        added: how many rows no source has, by what they are.
        input_digest: the digest of the recipe and of everything that was read.
        outputs: the dataset's other files, by name.
        environment: when, where and how fast; no part of `digest`.
        digest: the digest of all of it, empty until it is written.
    """

    schema: int = 1
    name: str = ""
    behaviour: str = ""
    recipe: dict[str, Any] = {}
    inputs: list[ManifestInput] = []
    stages: list[StageCount] = []
    reports: dict[str, Any] = {}
    sources: list[SourceCount] = []
    licenses: Licenses | UnsetType = UNSET
    split: dict[str, dict[str, int]] = {}
    conflicts: list[list[str]] = []
    seed: int = 0
    versions: dict[str, str] = {}
    added: dict[str, int] | UnsetType = UNSET
    canaries: CanaryCount | UnsetType = UNSET
    fit: FactCount = FactCount(looked_at=0, facts=0, share=0.0, listed=[])
    warnings: list[str] = []
    input_digest: str = ""
    outputs: dict[str, ManifestOutput] = {}
    environment: dict[str, Any] = {}
    digest: str = ""


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with its digest."""
    return msgspec.convert(seal(msgspec.to_builtins(manifest)), Manifest)


def write_manifest(path: Path, manifest: Manifest) -> Manifest:
    """Seal the manifest, write it to `path`, atomically, and return it."""
    return msgspec.convert(write_record(path, msgspec.to_builtins(manifest)), Manifest)


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`. Raises: ProvenanceError where it is damaged or its digest doesn't fit its content."""
    return _manifest(path, read_record(path))


def peek_manifest(path: Path) -> Manifest | None:
    """The manifest at `path`, or None where there is none that can be trusted."""
    record = peek_record(path)
    try:
        return None if record is None else _manifest(path, record)
    except ProvenanceError:
        return None


def _manifest(path: Path, record: Mapping[str, Any]) -> Manifest:
    try:
        return msgspec.convert(record, Manifest)
    except msgspec.ValidationError as error:
        raise ProvenanceError(f"not a manifest: {error}", where=path, fix="build the dataset again") from error
