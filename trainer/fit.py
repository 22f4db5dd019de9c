"""`trainer fit`: from a configuration to a run's folder. Heavy libraries are imported once they are needed."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from curate.core.chat.base_model import load_chat_format
from curate.core.console import say, warn
from curate.core.digests import digest_json, digest_text
from curate.core.files import atomic_folder, write_text
from curate.core.records import environment, versions
from curate.core.seeding import stable_seed
from trainer.config import CHECKPOINT_EVERY_S, TrainConfig
from trainer.data.dataset import TokenizedRows
from trainer.inputs import Inputs, read_datasets
from trainer.loop.processes import ProcessGroup, process_count, process_group
from trainer.loop.schedule import steps_in_all
from trainer.run.curve import picture
from trainer.run.record import (
    PICTURE,
    RECORD,
    STEPS,
    AdapterRecord,
    BaseRecord,
    DatasetRecord,
    Ending,
    Losses,
    Measurements,
    RowCounts,
    Run,
    RunRecord,
    StepLog,
    StepRecord,
    TemplateRecord,
    Watch,
    adapter_digests,
    finished,
    read_run,
    sole_use,
    weights_name,
    write_run,
)
from trainer.run.trackers import check_tracker, open_tracker

if TYPE_CHECKING:
    from trainer.loop.loop import TrainingResult
    from trainer.model.load import LoadedModel


@dataclass(frozen=True)
class FitResult:
    """A finished training; `repeated` is false where the run was there already."""

    run: Run
    repeated: bool

    @property
    def record(self) -> RunRecord:
        """What went in and what came out."""
        return self.run.record


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
        "steps": steps_in_all(len(train.rows), inputs.config),
    }


def fit(
    inputs: Inputs,
    *,
    force: bool = False,
    watch: Watch | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> FitResult:
    """Train, unless the run is there already; go on from a checkpoint where one is left.

    Args:
        inputs: what to train from, as `find_inputs` found it.
        force: delete checkpoints, and train from the beginning.
        watch: sees every step after it is written.
        checkpoint_every_s: how old a checkpoint gets before the next one is written, in seconds.

    Raises: AcidtestError; of a training that ends early, the checkpoint and the steps so far stay.
    """
    with process_group() as processes, sole_use(inputs.output) if processes.is_main else nullcontext():
        run = None if force else finished(inputs.output, inputs.digest)
        processes.agree(lambda: (inputs.digest, run is None))
        if run:
            return FitResult(run, repeated=False)
        if force and processes.is_main:
            for path in inputs.output.glob("checkpoint-*.safetensors"):
                path.unlink()
        processes.wait()
        run = _train(inputs, watch, checkpoint_every_s, processes)
        processes.wait()
        return FitResult(run or read_run(inputs.output), repeated=True)


def _train(inputs: Inputs, watch: Watch | None, checkpoint_every_s: float, processes: ProcessGroup) -> Run | None:
    """The finished run, where this is the main process."""
    from trainer.loop.checkpoint import checkpoint_path
    from trainer.loop.loop import TrainingJob
    from trainer.loop.loop import train as run_training
    from trainer.model.adapter import new_adapter
    from trainer.model.load import load_model, set_threads

    config = inputs.config
    check_tracker(config.log_to)
    # Rows are read before the weights: a fault in them should not wait for half a minute of loading.
    train, held_out = read_datasets(inputs, load_chat_format(inputs.base))
    threads = set_threads(config.threads)
    memory = _MemoryWatch(_predicted(inputs, train, held_out))
    say(f"loading {inputs.base.id}")
    loaded = load_model(
        inputs.base, quantisation=config.quantisation, dequantise=config.expand_weights, dtype=config.compute
    )
    seed = stable_seed(config.seed, "adapter") % 2**63
    loaded = new_adapter(loaded, config.lora, seed, config.method, config.virtual_tokens)
    log = StepLog(inputs.output / STEPS)
    checkpoint = checkpoint_path(inputs.output, inputs.digest)

    with open_tracker(config if processes.is_main else _untracked(config), inputs.output, inputs.digest) as tracker:

        def on_step(record: StepRecord) -> None:
            if not processes.is_main:
                return
            log(record)
            tracker.step(record)
            if watch:
                watch(record)

        held_out_rows = held_out.rows if held_out else []
        files = (inputs.digest, checkpoint, checkpoint_every_s)
        hooks = (tracker.held_out, memory.probed)
        job = TrainingJob(config, loaded.model, train.rows, held_out_rows, *files, *hooks, processes)
        trained = run_training(job, on_step)
    if not processes.is_main:
        return None
    _put_weights(inputs.output / weights_name(config.method), loaded, trained)
    measured = _measured(inputs, log, threads, loaded, memory)
    record = _record(inputs, loaded, train, held_out, trained, measured)
    held_out_losses = [(held.step, held.loss) for held in record.losses.held_out]
    write_text(inputs.output / PICTURE, picture(record.losses.train, held_out_losses, trained.step))
    run = write_run(inputs.output, record)
    checkpoint.unlink(missing_ok=True)
    return run


def _untracked(config: TrainConfig) -> TrainConfig:
    return config.model_copy(update={"log_to": None})


def _put_weights(target: Path, loaded: "LoadedModel", trained: "TrainingResult") -> None:
    """Write the adapter's folder whole: an earlier one stays until the new one is complete."""
    from trainer.model.adapter import save_adapter

    with atomic_folder(target) as temporary:
        save_adapter(temporary, loaded, trained.state)
        # Without its record, a folder half replaced is no run: the record goes first and comes last.
        (target.parent / RECORD).unlink(missing_ok=True)


def _record(
    inputs: Inputs,
    loaded: "LoadedModel",
    train: TokenizedRows,
    held_out: TokenizedRows | None,
    trained: "TrainingResult",
    measured: Measurements,
) -> RunRecord:
    from trainer.loop.early_stop import overfitting

    files = adapter_digests(inputs.output / weights_name(inputs.config.method))
    chat, position = loaded.chat, trained.position
    counts = _counts(train, inputs.files.train_digest)
    return RunRecord(
        base=BaseRecord(loaded.id, loaded.digest),
        template=TemplateRecord(chat.digest, digest_text(chat.template)),
        dataset=DatasetRecord(
            inputs.files.manifest,
            train=counts,
            val=_counts(held_out, inputs.files.held_out_digest) if held_out else None,
        ),
        licenses=msgspec.structs.replace(inputs.files.licenses, base=inputs.base.license()),
        # Where it was written is where the record lies; a copy elsewhere is the same run.
        config=inputs.config.model_dump(mode="json", exclude={"output"}),
        input_digest=inputs.digest,
        stream=_stream_digest(train, counts.token_digest, position.step, inputs.config),
        adapter=AdapterRecord(
            digest=digest_json(files),
            initial=trained.initial,
            files=files,
            parameters=sum(value.numel() for value in trained.state.values()),
            step=trained.step,
        ),
        ending=Ending(
            step=position.step,
            of=steps_in_all(len(train.rows), inputs.config),
            stopped=trained.stopped,
            overfitting=overfitting(position.losses, position.held_out),
        ),
        losses=Losses(list(position.losses), list(position.held_out)),
        seed=inputs.config.seed,
        versions=versions("torch", "transformers", "peft", "bitsandbytes", "tokenizers"),
        environment=measured,
    )


def _stream_digest(train: TokenizedRows, tokens: str, steps: int, config: TrainConfig) -> str:
    """The digest of the tokens (of digest `tokens`) in the order in which they were trained on, step by step."""
    from trainer.data.batches import step_batches

    lengths = [row.size for row in train.rows]
    return digest_json({"tokens": tokens, "steps": list(step_batches(lengths, config.batch_rows, config.seed, steps))})


def _counts(found: TokenizedRows, digest: str | None = None) -> RowCounts:
    return RowCounts(
        digest=digest or msgspec.UNSET,
        rows=len(found.rows),
        dropped=found.dropped,
        truncated=found.truncated,
        unstopped=found.unstopped,
        tokens=found.tokens,
        supervised_tokens=found.supervised,
        longest=max(row.longest for row in found.rows),
        token_digest=found.token_digest(),
    )


def _predicted(inputs: Inputs, train: TokenizedRows, held_out: TokenizedRows | None) -> float | None:
    from trainer.plan.plan import predict_here

    try:
        return predict_here(inputs.base, train.rows, inputs.config, held_out=held_out is not None).total
    except Exception as error:  # noqa: BLE001 - a model whose memory can't be predicted can be trained all the same
        warn(f"how much memory this takes can't be predicted: {type(error).__name__}: {error}")
        return None


class _MemoryWatch:
    """The peak of memory: predicted before anything is loaded, measured after the largest part, and at the end."""

    def __init__(self, predicted: float | None) -> None:
        from trainer.model.load import free_bytes

        self.predicted = None if predicted is None else round(predicted)
        if predicted is not None and predicted > (free := free_bytes()):
            warn(
                f"this training will take about {predicted / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free;"
                " `trainer plan` says what to change"
            )

    def probed(self) -> None:
        """Say how the prediction compares."""
        from trainer.loop.memory_probe import peak_bytes

        said = "no prediction" if self.predicted is None else f"{self.predicted / 1e9:.2f} GB predicted"
        say(f"memory: {peak_bytes() / 1e9:.2f} GB for the longest batch, {said}")


def _measured(inputs: Inputs, log: StepLog, threads: int, loaded: "LoadedModel", memory: _MemoryWatch) -> Measurements:
    import os

    from trainer.loop.memory_probe import peak_bytes
    from trainer.model.load import unwrapped

    steps = log.steps()
    seconds = sum(step.environment["seconds"] for step in steps)
    return Measurements(
        **environment(),
        seconds=round(seconds, 3),
        tokens_per_s=round(sum(step.tokens for step in steps) / max(seconds, 1e-9), 1),
        peak_memory_bytes=peak_bytes(),
        predicted_memory_bytes=memory.predicted,
        threads=threads,
        processes=process_count(),
        base_memory_bytes=unwrapped(loaded.model).get_memory_footprint(),
        # Where the paths in `config` start, from here: a project that is moved as a whole still finds its rows.
        paths_from=os.path.relpath(inputs.folder, inputs.output),
    )
