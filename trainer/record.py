"""A run's folder: its record, its steps, and whether both still say the truth. Needs no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError, os_errors
from curate.core.files import read_lines, write_lines
from curate.core.records import peek_record, read_record

RECORD, STEPS, ADAPTER, MODEL, PICTURE = "run.json", "steps.jsonl", "adapter", "model", "loss.svg"
SCHEMA = 1


class StepRecord(msgspec.Struct, frozen=True):
    """One optimizer step, a line of steps.jsonl. `loss` is in nats per supervised token, before the step's update."""

    step: int
    epoch: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens: int
    supervised_tokens: int
    environment: dict[str, float]


@dataclass(frozen=True)
class Run:
    """A finished run: its record, and its adapter's folder (the model's, where all of it was trained)."""

    record: dict[str, Any]
    adapter: Path

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self.adapter.parent

    @property
    def paths_from(self) -> Path:
        """The folder that the paths in the run's configuration start from."""
        return self.folder.absolute() / str(self.record["environment"].get("paths_from", ""))

    @property
    def base_id(self) -> str:
        """The base model as the training file named it."""
        return str(self.record["base"]["id"])

    @property
    def quantisation(self) -> str | None:
        """How the base's frozen weights were stored in training."""
        return "nf4" if self.record["config"]["method"] == "qlora" else None


def read_run(folder: Path) -> Run:
    """The finished run in `folder`, checked.

    Raises: DataError where there is none, ProvenanceError where the record or the adapter was changed afterwards.
    """
    if not (folder / RECORD).is_file():
        raise DataError("there is no finished run here", where=folder / RECORD, fix="run `trainer fit` to its end")
    record = read_record(folder / RECORD)
    if record.get("kind") != "run" or record.get("schema") != SCHEMA:
        raise ProvenanceError("not a run record that we know", where=folder / RECORD, fix="train again")
    weights = folder / weights_name(record["config"]["method"])
    if adapter_digests(weights) != record["adapter"]["files"]:
        raise ProvenanceError("the adapter's files are not those that the run wrote", where=weights, fix="train again")
    return Run(record, weights)


def trained_tokens(run: Run) -> int | None:
    """How many tokens the training's steps went through; None where its steps are no longer there."""
    path = run.folder / STEPS
    if not path.is_file():
        return None
    return sum(msgspec.json.decode(line.raw, type=StepRecord).tokens for line in read_lines(path))


def finished(folder: Path, input_digest: str) -> dict[str, Any] | None:
    """The record of a run in `folder` with exactly these inputs and an intact adapter, or None."""
    record = peek_record(folder / RECORD)
    if record is None or record.get("input_digest") != input_digest:
        return None
    weights = folder / weights_name(record["config"]["method"])
    return record if adapter_digests(weights) == record["adapter"]["files"] else None


def weights_name(method: str) -> str:
    """The name of the folder, in a run's, that a training with this method writes its weights to."""
    return MODEL if method == "full" else ADAPTER


def adapter_digests(folder: Path) -> dict[str, str]:
    """The digest of each file of an adapter's folder; empty where there is no folder."""
    return {path.name: digest_file(path) for path in sorted(folder.glob("*")) if path.is_file()}


def adapter_digest(files: dict[str, str]) -> str:
    """One digest for an adapter."""
    return digest_json(files)


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Hold `folder`, made if need be, for this process. Raises: ConfigError where another training holds it."""
    from filelock import FileLock, Timeout

    with os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise ConfigError(
                "another training is writing to this folder", where=folder, fix="wait for it, or name another output"
            ) from error
    try:
        yield
    finally:
        lock.release()


class StepLog:
    """Appends steps to steps.jsonl. A training that goes on first takes away what lies after its checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = False

    def __call__(self, record: StepRecord) -> None:
        """Write one step."""
        if not self.opened:
            write_lines(self.path, [line for line, known in _known_steps(self.path) if known.step < record.step])
            self.opened = True
        with os_errors(self.path), self.path.open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")

    def steps(self) -> list[StepRecord]:
        """Every step so far."""
        return [known for _, known in _known_steps(self.path)]


def _known_steps(path: Path) -> Iterator[tuple[bytes, StepRecord]]:
    if path.is_file():
        for line in read_lines(path):
            try:
                yield line.raw, msgspec.json.decode(line.raw, type=StepRecord)
            except msgspec.MsgspecError:
                return  # the last line of a killed training may be cut off
