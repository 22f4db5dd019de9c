"""`trainer fit`: from a configuration to a run's folder. Heavy libraries are imported once they are needed."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from curate.core.chat.base_model import BaseModel, find_base, load_chat_format
from curate.core.console import say, warn
from curate.core.digests import digest_json, digest_text
from curate.core.files import atomic_folder, write_text
from curate.core.paths import find_path
from curate.core.records import environment, read_record, versions, write_record
from curate.core.seeding import stable_seed
from trainer.config import CHECKPOINT_EVERY_S, TrainConfig
from trainer.curve import picture
from trainer.dataset import Files, Samples, find_files, read_held_out, read_samples, refuse_overlap
from trainer.hub import check_reachable
from trainer.record import (
    PICTURE,
    RECORD,
    SCHEMA,
    STEPS,
    StepLog,
    StepRecord,
    adapter_digest,
    adapter_digests,
    finished,
    sole_use,
    weights_name,
)
from trainer.schedule import steps_in_all
from trainer.team import Team, joined, team_size
from trainer.tracking import check_tracker, open_tracker

if TYPE_CHECKING:
    from curate.core.chat.chat_format import ChatFormat
    from trainer.loop import Trained
    from trainer.model import LoadedModel

Watch = Callable[[StepRecord], None]


@dataclass(frozen=True)
class Inputs:
    """What a training starts from, found and digested; nothing is loaded yet."""

    config: TrainConfig
    base: BaseModel
    base_digest: str
    files: Files
    output: Path
    folder: Path  # the training file's

    @property
    def digest(self) -> str:
        """The digest of everything that the adapter depends on."""
        return digest_json(
            {
                "kind": "run",
                "config": self.config.what_matters(),
                "base": self.base_digest,
                "train": self.files.train_digest,
                "held_out": self.files.held_out_digest,
                "manifest": self.files.manifest,
                "versions": versions(),
            }
            # Sums over several processes are rounded differently.
            | ({"processes": team_size()} if team_size() > 1 else {})
        )


@dataclass(frozen=True)
class Fitted:
    """A finished training; `repeated` is false where the run was there already."""

    record: dict[str, Any]
    folder: Path
    repeated: bool


def find_inputs(config: TrainConfig, folder: Path) -> Inputs:
    """What `config`, from a file in `folder`, names. Raises: ConfigError, DataError, ServiceError, ProvenanceError."""
    base = find_base(config.base, folder)
    files = find_files(config, folder)
    check_reachable(base)
    return Inputs(config, base, base.digest(), files, find_path(config.output, folder), folder)


def preview(inputs: Inputs) -> dict[str, Any]:
    """What `fit` would do, after reading every row but no weights."""
    train, held_out = read_datasets(inputs, load_chat_format(inputs.base))
    return {
        "up_to_date": finished(inputs.output, inputs.digest) is not None,
        "output": str(inputs.output),
        "base": inputs.base.id,
        "method": inputs.config.method,
        "train": _counts(train),
        "held_out": _counts(held_out) if held_out else None,
        "steps": steps_in_all(len(train.samples), inputs.config),
    }


def fit(
    inputs: Inputs,
    *,
    force: bool = False,
    watch: Watch | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> Fitted:
    """Train, unless the run is there already; go on from a checkpoint where one is left.

    `force` deletes checkpoints and trains from the beginning. `watch` sees every step after it is written.
    """
    with joined() as team, sole_use(inputs.output) if team.leads else nullcontext():
        record = None if force else finished(inputs.output, inputs.digest)
        team.agree(lambda: (inputs.digest, record is None))
        if record:
            return Fitted(record, inputs.output, repeated=False)
        if force and team.leads:
            for path in inputs.output.glob("checkpoint-*.safetensors"):
                path.unlink()
        team.wait()
        record = _train(inputs, watch, checkpoint_every_s, team)
        team.wait()
        return Fitted(record or read_record(inputs.output / RECORD), inputs.output, repeated=True)


def _train(inputs: Inputs, watch: Watch | None, checkpoint_every_s: float, team: Team) -> dict[str, Any] | None:
    """The finished run's record, where this process leads the team."""
    from trainer.adapter import new_adapter
    from trainer.checkpoint import checkpoint_path
    from trainer.loop import Job, train
    from trainer.model import load_model, set_threads

    config = inputs.config
    check_tracker(config.log_to)
    # Rows are read before the weights: a fault in them should not wait for half a minute of loading.
    rows, held_out = read_datasets(inputs, load_chat_format(inputs.base))
    threads = set_threads(config.threads)
    memory = _MemoryWatch(_predicted(inputs, rows, held_out))
    say(f"loading {inputs.base.id}")
    loaded = load_model(
        inputs.base, quantisation=config.quantisation, dequantise=config.expand_weights, dtype=config.compute
    )
    seed = stable_seed(config.seed, "adapter") % 2**63
    loaded = new_adapter(loaded, config.lora, seed, config.method, config.virtual_tokens)
    log = StepLog(inputs.output / STEPS)
    checkpoint = checkpoint_path(inputs.output, inputs.digest)

    with open_tracker(config if team.leads else _untracked(config), inputs.output, inputs.digest) as tracker:

        def on_step(record: StepRecord) -> None:
            if not team.leads:
                return
            log(record)
            tracker.step(record)
            if watch:
                watch(record)

        held_out_samples = held_out.samples if held_out else []
        files = (inputs.digest, checkpoint, checkpoint_every_s)
        hooks = (tracker.held_out, memory.probed)
        job = Job(config, loaded.model, rows.samples, held_out_samples, *files, *hooks, team)
        trained = train(job, on_step)
    if not team.leads:
        return None
    _put_weights(inputs.output / weights_name(config.method), loaded, trained)
    body = _record_body(inputs, loaded, rows, held_out, trained)
    held_out_losses = [(held.step, held.loss) for held in trained.position.held_out]
    write_text(inputs.output / PICTURE, picture(trained.position.losses, held_out_losses, trained.step))
    record = write_record(
        inputs.output / RECORD, body | {"environment": _measured(inputs, log, threads, loaded, memory)}
    )
    checkpoint.unlink(missing_ok=True)
    return record


def _untracked(config: TrainConfig) -> TrainConfig:
    return config.model_copy(update={"log_to": None})


def read_datasets(inputs: Inputs, chat: "ChatFormat") -> tuple[Samples, Samples | None]:
    """The training and held-out samples, checked against each other."""
    train = read_samples(inputs.files.train, chat, inputs.config)
    if inputs.files.held_out is None:
        return train, None
    held_out = read_held_out(inputs.files.held_out, chat, inputs.config)
    refuse_overlap(train.samples, held_out.samples)
    return train, held_out


def _put_weights(target: Path, loaded: "LoadedModel", trained: "Trained") -> None:
    """Write the adapter's folder whole: an earlier one stays until the new one is complete."""
    from trainer.adapter import save_adapter

    with atomic_folder(target) as temporary:
        save_adapter(temporary, loaded, trained.state)
        # Without its record, a folder half replaced is no run: the record goes first and comes last.
        (target.parent / RECORD).unlink(missing_ok=True)


def _record_body(
    inputs: Inputs, loaded: "LoadedModel", train: Samples, held_out: Samples | None, trained: "Trained"
) -> dict[str, Any]:
    from trainer.stopping import overfitting

    files = adapter_digests(inputs.output / weights_name(inputs.config.method))
    chat, position, counts = loaded.chat, trained.position, _counts(train)
    return {
        "kind": "run",
        "schema": SCHEMA,
        "base": {"id": loaded.id, "digest": loaded.digest},
        "template": {"digest": chat.digest, "text": digest_text(chat.template)},
        "dataset": {
            "manifest": inputs.files.manifest,
            "train": {"digest": inputs.files.train_digest, **counts},
            "val": {"digest": inputs.files.held_out_digest, **_counts(held_out)} if held_out else None,
        },
        # Where it was written is where the record lies; a copy elsewhere is the same run.
        "config": inputs.config.model_dump(mode="json", exclude={"output"}),
        "input_digest": inputs.digest,
        "stream": _stream_digest(train, counts["token_digest"], position.step, inputs.config),
        "adapter": {
            "digest": adapter_digest(files),
            "initial": trained.initial,
            "files": files,
            "parameters": sum(value.numel() for value in trained.state.values()),
            "step": trained.step,
        },
        "ending": {
            "step": position.step,
            "of": steps_in_all(len(train.samples), inputs.config),
            "stopped": trained.stopped,
            "overfitting": overfitting(position.losses, position.held_out),
        },
        "losses": {
            "train": list(position.losses),
            "held_out": [msgspec.to_builtins(held) for held in position.held_out],
        },
        "seed": inputs.config.seed,
        "versions": versions("torch", "transformers", "peft", "bitsandbytes", "tokenizers"),
    }


def _stream_digest(train: Samples, tokens: str, steps: int, config: TrainConfig) -> str:
    """The digest of the tokens (of digest `tokens`) in the order in which they were trained on, step by step."""
    from trainer.batches import step_batches

    lengths = [sample.size for sample in train.samples]
    return digest_json({"tokens": tokens, "steps": list(step_batches(lengths, config.batch_rows, config.seed, steps))})


def _counts(samples: Samples) -> dict[str, Any]:
    return {
        "rows": len(samples.samples),
        "dropped": samples.dropped,
        "truncated": samples.truncated,
        "unstopped": samples.unstopped,
        "tokens": samples.tokens,
        "supervised_tokens": samples.supervised,
        "longest": max(sample.longest for sample in samples.samples),
        "token_digest": samples.token_digest(),
    }


def _predicted(inputs: Inputs, rows: Samples, held_out: Samples | None) -> float | None:
    from trainer.plan.making import predict_here

    try:
        return predict_here(inputs.base, rows.samples, inputs.config, held_out=held_out is not None).total
    except Exception as error:  # noqa: BLE001 - a model whose memory can't be predicted can be trained all the same
        warn(f"how much memory this takes can't be predicted: {type(error).__name__}: {error}")
        return None


class _MemoryWatch:
    """The peak of memory: predicted before anything is loaded, measured after the largest part, and at the end."""

    def __init__(self, predicted: float | None) -> None:
        from trainer.model import free_bytes

        self.predicted = None if predicted is None else round(predicted)
        if predicted is not None and predicted > (free := free_bytes()):
            warn(
                f"this training will take about {predicted / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free;"
                " `trainer plan` says what to change"
            )

    def probed(self) -> None:
        """Say how the prediction compares."""
        from trainer.probe import peak_bytes

        said = "no prediction" if self.predicted is None else f"{self.predicted / 1e9:.2f} GB predicted"
        say(f"memory: {peak_bytes() / 1e9:.2f} GB for the longest batch, {said}")


def _measured(
    inputs: Inputs, log: StepLog, threads: int, loaded: "LoadedModel", memory: _MemoryWatch
) -> dict[str, Any]:
    import os

    from trainer.loss import unwrapped
    from trainer.probe import peak_bytes

    steps = log.steps()
    seconds = sum(step.environment["seconds"] for step in steps)
    return environment(
        seconds=round(seconds, 3),
        tokens_per_s=round(sum(step.tokens for step in steps) / max(seconds, 1e-9), 1),
        peak_memory_bytes=peak_bytes(),
        predicted_memory_bytes=memory.predicted,
        threads=threads,
        processes=team_size(),
        base_memory_bytes=unwrapped(loaded.model).get_memory_footprint(),
        # Where the paths in `config` start, from here: a project that is moved as a whole still finds its rows.
        paths_from=os.path.relpath(inputs.folder, inputs.output),
    )
