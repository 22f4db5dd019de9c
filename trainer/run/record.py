"""A run's folder: its record, its steps, and whether both still say the truth. Needs no torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from curate.core.digests import digest_file
from curate.core.errors import ConfigError, DataError, ProvenanceError, os_errors
from curate.core.files import read_lines, write_lines
from curate.core.manifest import Licenses
from curate.core.records import peek_record, read_record, write_record

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


Watch = Callable[[StepRecord], None]


class HeldOut(msgspec.Struct, frozen=True):
    """The held-out loss after `step` steps, in nats per supervised token."""

    step: int
    loss: float


class BaseRecord(msgspec.Struct, frozen=True):
    """The base model: as the training file named it, and the digest of its files."""

    id: str
    digest: str


class TemplateRecord(msgspec.Struct, frozen=True):
    """The chat format's digest (template and stop tokens), and that of the template's text alone."""

    digest: str
    text: str | msgspec.UnsetType = msgspec.UNSET


class RowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """A file of rows in numbers. `digest` is the file's, `token_digest` that of its tokens, masks and weights.

    `dropped` and `truncated` rows were too long; `unstopped` ones among the latter lost an answer's stop token.
    """

    digest: str | msgspec.UnsetType = msgspec.UNSET
    rows: int
    dropped: int
    truncated: int = 0
    unstopped: int = 0
    tokens: int
    supervised_tokens: int
    longest: int
    token_digest: str


class DatasetRecord(msgspec.Struct, frozen=True):
    """What was trained and measured on; `manifest` is the digest in the dataset's manifest.json, if it has one."""

    manifest: str | None
    train: RowCounts
    val: RowCounts | None


class AdapterRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The weights that were kept: those after `step` steps.

    `files` has each file's digest by its name, `initial` is the digest of the tensors that training began with.
    """

    digest: str
    initial: str | msgspec.UnsetType = msgspec.UNSET
    files: dict[str, str]
    parameters: int
    step: int


class Ending(msgspec.Struct, frozen=True):
    """After which of how many steps the training ended; why, where that was early; a sentence on overfitting."""

    step: int
    of: int
    stopped: str | None
    overfitting: str | None


class Losses(msgspec.Struct, frozen=True):
    """The loss of each step, in its order, and the held-out losses between them."""

    train: list[float]
    held_out: list[HeldOut]


class Measurements(msgspec.Struct, frozen=True, kw_only=True):
    """When, where and how fast: what no digest counts. `paths_from` leads from the run's folder to its paths' start."""

    finished_at: str
    host: str
    python: str
    platform: str
    processors: int | None
    seconds: float
    tokens_per_s: float
    peak_memory_bytes: int
    predicted_memory_bytes: int | None = None
    threads: int
    processes: int = 1
    base_memory_bytes: int | None = None
    paths_from: str = ""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What run.json says: what went into a training and what came out, sealed by `digest`.

    The order of the fields is that of the file. Those with a default may be missing from a record that an earlier
    version wrote.

    Attributes:
        config: the training file's settings.
        input_digest: the digest of everything that the adapter depends on.
        stream: the digest of the tokens in the order in which they were trained on.
    """

    kind: str = "run"
    schema: int = SCHEMA
    base: BaseRecord
    template: TemplateRecord
    dataset: DatasetRecord
    licenses: Licenses | msgspec.UnsetType = msgspec.UNSET
    config: dict[str, Any]
    input_digest: str
    stream: str = ""
    adapter: AdapterRecord
    ending: Ending | None = None
    losses: Losses
    seed: int
    versions: dict[str, str]
    environment: Measurements
    digest: str = ""

    @property
    def method(self) -> str:
        """What was trained: `lora`, `full` and so on."""
        return str(self.config["method"])

    @property
    def objective(self) -> str:
        """What it was trained for."""
        return str(self.config.get("objective", "sft"))

    @property
    def final_losses(self) -> dict[str, float | None]:
        """The last training loss, and the held-out loss of the bare base and of the kept adapter, where measured."""
        held_out = {held.step: held.loss for held in self.losses.held_out}
        return {
            "train_last": self.losses.train[-1] if self.losses.train else None,
            "held_out_before": held_out.get(0),
            "held_out_kept": held_out.get(self.adapter.step),
        }


@dataclass(frozen=True)
class Run:
    """A finished run in `folder`. `document` is run.json as it lies there, with keys that only other versions know."""

    folder: Path
    record: RunRecord
    document: dict[str, Any]

    @property
    def path(self) -> Path:
        """Where its record lies."""
        return self.folder / RECORD

    @property
    def adapter(self) -> Path:
        """Its adapter's folder; the model's, where all of it was trained."""
        return self.folder / weights_name(self.record.method)

    @property
    def paths_from(self) -> Path:
        """The folder that the paths in the run's configuration start from."""
        return self.folder.absolute() / self.record.environment.paths_from

    @property
    def quantisation(self) -> str | None:
        """How the base's frozen weights were stored in training."""
        return "nf4" if self.record.method == "qlora" else None


def write_run(folder: Path, record: RunRecord) -> Run:
    """Seal the record, write it to the run's folder, and return the run."""
    document = write_record(folder / RECORD, msgspec.to_builtins(record))
    return Run(folder, _typed(document, folder), document)


def read_run(folder: Path) -> Run:
    """The finished run in `folder`, checked.

    Raises: DataError where there is none, ProvenanceError where the record or the adapter was changed afterwards.
    """
    if not (folder / RECORD).is_file():
        raise DataError("there is no finished run here", where=folder / RECORD, fix="run `trainer fit` to its end")
    document = read_record(folder / RECORD)
    run = Run(folder, _typed(document, folder), document)
    if adapter_digests(run.adapter) != run.record.adapter.files:
        raise ProvenanceError(
            "the adapter's files are not those that the run wrote", where=run.adapter, fix="train again"
        )
    return run


def peek_run(folder: Path) -> Run | None:
    """The run in `folder`, or None where none that can be trusted is; its adapter is not looked at."""
    document = peek_record(folder / RECORD)
    try:
        return None if document is None else Run(folder, _typed(document, folder), document)
    except ProvenanceError:
        return None


def finished(folder: Path, input_digest: str) -> Run | None:
    """The run in `folder`, if it is of exactly these inputs and its adapter is intact."""
    run = peek_run(folder)
    if run is None or run.record.input_digest != input_digest:
        return None
    return run if adapter_digests(run.adapter) == run.record.adapter.files else None


def _typed(document: dict[str, Any], folder: Path) -> RunRecord:
    """The record, typed; keys that this version doesn't know stay in the document. Raises: ProvenanceError."""
    known = document.get("kind") == "run" and document.get("schema") == SCHEMA
    try:
        record = msgspec.convert(document, RunRecord) if known else None
    except msgspec.ValidationError:
        record = None
    if record is None or "method" not in record.config:
        raise ProvenanceError("not a run record that we know", where=folder / RECORD, fix="train again")
    return record


def trained_tokens(run: Run) -> int | None:
    """How many tokens the training's steps went through; None where its steps are no longer there."""
    path = run.folder / STEPS
    if not path.is_file():
        return None
    return sum(msgspec.json.decode(line.raw, type=StepRecord).tokens for line in read_lines(path))


def weights_name(method: str) -> str:
    """The name of the folder, in a run's, that a training with this method writes its weights to."""
    return MODEL if method == "full" else ADAPTER


def adapter_digests(folder: Path) -> dict[str, str]:
    """The digest of each file of an adapter's folder; empty where there is no folder."""
    return {path.name: digest_file(path) for path in sorted(folder.glob("*")) if path.is_file()}


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
