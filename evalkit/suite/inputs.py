"""What an evaluation reads, and the checks that it is what it says: no artefact swapped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from curate.core.chat.base_model import BaseModel, find_base
from curate.core.config_file import load_config
from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.manifest import MANIFEST, read_manifest
from curate.core.paths import find_path
from curate.core.records import versions
from curate.core.rows.row import Row
from curate.core.seeding import stable_seed
from curate.core.text.embedding import Embedder, find_embedder
from evalkit.documents.config import DocumentsConfig
from evalkit.documents.reading import DocumentFiles, find_files
from evalkit.records.disk_list import Spool
from evalkit.scorers.registry import scorer_version
from evalkit.suite.chain import BaseOrigin, EmbedderOrigin, ItemsOrigin, ResultChain, RowsOrigin, RunOrigin
from evalkit.suite.contenders import Contender, FileExamples, NearestExamples
from evalkit.suite.items import read_items
from evalkit.suite.suite import Suite
from trainer.model.hub import check_reachable
from trainer.run.record import Run, read_run

_SHOWN = 5  # ids in a message: enough to look at, short enough to read


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows with its digest, and the digest of the manifest beside it that vouches for it, if any."""

    path: Path
    rows: Sequence[Row]
    digest: str
    manifest: str | None


@dataclass(frozen=True, slots=True)
class Inputs:
    """A suite with everything that it names, read and checked. `base` is None where all contenders are recorded."""

    suite: Suite
    folder: Path
    contenders: list[Contender]
    items: Sequence[Row]
    item_file: RowFile
    train: RowFile | None
    example_files: Mapping[str, RowFile]
    documents: Mapping[str, DocumentFiles]
    runs: Mapping[str, Run]
    replays: Mapping[str, str]
    base: BaseModel | None
    base_digest: str | None
    quantisation: str
    embedder: Embedder | None

    def chain(self) -> ResultChain:
        """The digests of what goes in."""
        return ResultChain(
            suite=digest_json(self.suite.facts()),
            items=ItemsOrigin(self.suite.items, self.item_file.digest, len(self.items)),
            dataset=RowsOrigin(self.item_file.manifest, self.train.digest if self.train else None),
            examples={name: file.digest for name, file in self.example_files.items()},
            documents=self._documents(),
            base=BaseOrigin(self.suite.base, self.base_digest, self.quantisation) if self.base else None,
            runs={name: RunOrigin(run.record.digest, run.record.adapter.digest) for name, run in self.runs.items()},
            replays=dict(self.replays),
            scorers={config.name: scorer_version(config, self.folder) for config in self.suite.plain_scorers},
            embedder=EmbedderOrigin(self.embedder.id, self.embedder.digest) if self.embedder else None,
        )

    def _documents(self) -> dict[str, Any]:
        return {
            name: {"digest": files.digest, "files": len(files.files), **versions("lancedb", "pypdf", "beautifulsoup4")}
            for name, files in self.documents.items()
        }

    def training_rows(self) -> Sequence[Row] | None:
        """What was trained on: the suite's train rows, else those that the items' manifest names beside them."""
        if self.train:
            return self.train.rows
        beside = self.item_file.path.parent / "train.jsonl"
        if self.item_file.manifest is None or not beside.is_file():
            return None
        return _read_rows(beside).rows

    def files(self) -> list[Path]:
        """The files of items, rows and recorded answers."""
        named = [self.item_file, *([self.train] if self.train else []), *self.example_files.values()]
        recorded = [find_path(one.replay, self.folder) for one in self.contenders if one.replay]
        return [file.path for file in named] + recorded

    def digest(self) -> str:
        """The digest of everything that the result depends on."""
        return digest_json(
            {
                "suite": self.suite.facts(),
                "chain": msgspec.to_builtins(self.chain()),
                "items": [item.id for item in self.items],
                "contenders": [contender.name for contender in self.contenders],
                "versions": library_versions(),
            }
        )


def library_versions() -> dict[str, str]:
    """The versions of the libraries that a result depends on."""
    return versions("torch", "transformers", "peft", "sentence-transformers", "scipy")


def read_inputs(path: Path, *, limit: int | None = None, only: Sequence[str] = (), seed: int | None = None) -> Inputs:
    """The suite at `path` with what it names; `limit` items (chosen by the seed) and `only` some contenders.

    `seed` takes the place of the suite's.

    Raises: ConfigError, DataError; ProvenanceError where something is not what its record says.
    """
    suite = load_config(path, Suite)
    if seed is not None:
        suite = suite.model_copy(update={"seed": seed})
    folder = path.parent
    contenders = _chosen(suite, only)
    item_file = _read_rows(find_path(suite.items, folder))
    train = _read_rows(find_path(suite.train, folder)) if suite.train else None
    runs = {c.name: read_run(find_path(c.run, folder)) for c in contenders if c.run}
    local = [c for c in contenders if c.is_local]
    base = find_base(suite.base, folder, _template_kwargs(suite, runs)) if local or runs else None
    if base and local:
        check_reachable(base)
    base_digest = base.digest() if base else None
    for name, run in runs.items():
        _check_run(name, run, train, base_digest)
    retrieves = any(
        isinstance(c.examples, NearestExamples) or (c.documents and c.documents.paths and c.documents.ranking != "text")
        for c in contenders
    )
    return Inputs(
        suite=suite,
        folder=folder,
        contenders=contenders,
        items=_limited(item_file.rows, limit, suite.seed),
        item_file=item_file,
        train=train,
        example_files={
            c.name: _read_rows(find_path(c.examples.path, folder))
            for c in contenders
            if isinstance(c.examples, FileExamples)
        },
        documents={c.name: _documents(c.documents, folder) for c in contenders if c.documents},
        runs=runs,
        replays={c.name: digest_file(find_path(c.replay, folder)) for c in contenders if c.replay},
        base=base,
        base_digest=base_digest,
        quantisation=_quantisation(suite, runs),
        embedder=find_embedder(suite.embedder, folder) if retrieves else None,
    )


def _template_kwargs(suite: Suite, runs: Mapping[str, Run]) -> dict[str, Any]:
    """The suite's word, else what the runs were trained with; of runs that differ, those of the others are refused."""
    if suite.chat_template_kwargs is not None:
        return suite.chat_template_kwargs
    return next((dict(run.record.config.get("chat_template_kwargs") or {}) for run in runs.values()), {})


def _chosen(suite: Suite, only: Sequence[str]) -> list[Contender]:
    known = [contender.name for contender in suite.contenders]
    for name in only:
        if name not in known:
            raise ConfigError(f"no contender is called {name}", where="--contender", fix=f"known: {', '.join(known)}")
    return [contender for contender in suite.contenders if not only or contender.name in only]


def _read_rows(path: Path) -> RowFile:
    rows = read_items(path)
    if not rows:
        raise DataError("no rows in it", where=path)
    twice = [row_id for row_id, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise DataError(
            f"{len(twice)} ids are there twice: {_some(twice)}", where=path, fix="give every row its own id"
        )
    digest = digest_file(path)
    return RowFile(path, rows, digest, _manifest_digest(path, digest))


def _manifest_digest(path: Path, digest: str) -> str | None:
    """The digest of the manifest beside a row file. Raises: ProvenanceError where it describes other content."""
    place = path.parent / MANIFEST
    if not place.is_file():
        return None
    manifest = read_manifest(place)
    described = manifest.outputs.get(path.name)
    if described and described.digest != digest:
        raise ProvenanceError(
            "the file is not the one its manifest describes: it was changed after it was built",
            where=path,
            fix="build the dataset again with `curate build`",
        )
    return manifest.digest if described else None


def _check_run(name: str, run: Run, train: RowFile | None, base_digest: str | None) -> None:
    """Raises: ProvenanceError where the run was trained from another base or other rows than the suite names."""
    record, where = run.record, run.path
    if record.base.digest != base_digest:
        raise ProvenanceError(
            f"{name} was trained on another base model ({record.base.id}) than the suite's",
            where=where,
            fix="set the suite's `base` to the run's, or train again",
        )
    dataset = record.dataset
    if train is None:
        raise ConfigError(
            f"`train` is missing: without it nobody knows whether {name} has seen the items", where="suite: train"
        )
    same_rows = dataset.train.digest == train.digest
    if not same_rows or (dataset.manifest and train.manifest and dataset.manifest != train.manifest):
        raise ProvenanceError(
            f"{name} was trained on other rows than those in {train.path}",
            where=where,
            fix="train again on this dataset, or point the suite's `train` at the one the run used",
        )


def _documents(config: DocumentsConfig, folder: Path) -> DocumentFiles:
    """The files that passages come from; of a user's function, the file that it is in."""
    return find_files(config.paths or [str(config.function).rpartition(":")[0]], folder)


def _quantisation(suite: Suite, runs: Mapping[str, Run]) -> str:
    """What the base's weights went through: the suite's word, else what the runs trained on."""
    if suite.quantisation:
        return suite.quantisation
    used = {run.quantisation or "none" for run in runs.values()}
    if len(used) > 1:
        raise ConfigError(
            "the runs were trained on differently quantised weights", where="suite: quantisation", fix="name one"
        )
    return used.pop() if used else "none"


def _limited(items: Sequence[Row], limit: int | None, seed: int) -> Sequence[Row]:
    if limit is None or limit >= len(items):
        return items
    chosen = set(sorted((item.id for item in items), key=lambda name: stable_seed(seed, name))[:limit])
    return Spool(Row, (item for item in items if item.id in chosen))


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (" and more" if len(ids) > _SHOWN else "")
