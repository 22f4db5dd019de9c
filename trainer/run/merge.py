"""`trainer merge`: an adapter added into its base's weights, as a plain Hugging Face folder.

An adapter corrects the weights it was trained on. Merged into the NF4 weights, expanded, it computes what was trained;
merged into the original weights it meets the rounding that it had learned to correct. What either costs is measured.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from curate.core.chat.base_model import BaseModel, find_base, load_chat_format
from curate.core.console import say, warn
from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError, ServiceError
from curate.core.files import atomic_folder
from curate.core.paths import find_path
from curate.core.records import environment, peek_record, versions, write_record
from trainer.config import TrainConfig
from trainer.data.dataset import read_held_out
from trainer.data.tokenized_row import TokenizedRow
from trainer.model.hub import check_reachable
from trainer.run.record import Run, read_run

if TYPE_CHECKING:
    from trainer.model.load import LoadedModel

RECORD = "merge.json"
Into = Literal["original", "dequantised"]
AS_TRAINED = "as trained"
_NAME = "merged"
_SPARE_BYTES = 64 << 20  # for the tokenizer, the records, and what the file system keeps for itself


@dataclass(frozen=True)
class Merge:
    """What is merged into which weights, found and checked; nothing is loaded yet."""

    run: Run
    config: TrainConfig
    base: BaseModel
    held_out: Path | None
    into: Into
    output: Path

    @property
    def variants(self) -> list[Into]:
        """Which weights to measure with the adapter merged: the exact ones first."""
        return ["dequantised", "original"] if self.config.quantisation else ["original"]

    @property
    def input_digest(self) -> str:
        """The digest of everything that the written weights depend on."""
        inputs = {"kind": "merge", "run": self.run.record.digest, "into": self.into}
        return digest_json(inputs | {"versions": versions("torch", "transformers", "peft", "bitsandbytes")})


def find_merge(
    run_folder: Path, output: Path, into: Into | None, *, base: str | None = None, held_out: Path | None = None
) -> Merge:
    """The merge of a run into `output`; without `into`, into the weights that training computed with.

    Raises: DataError, ConfigError, ProvenanceError where the run, its base or its held-out rows are not what they were.
    """
    run = read_run(run_folder)
    config = TrainConfig.model_validate(run.record.config | {"output": str(run_folder)})
    if into == "dequantised" and not config.quantisation:
        raise ConfigError(
            "this run trained on the original weights: there is nothing to dequantise",
            where=run_folder,
            fix="merge with --into original",
        )
    place, kwargs = (Path.cwd() if base else run.paths_from), config.chat_template_kwargs
    found = find_base(base or config.base, place, kwargs)
    check_reachable(found)
    if found.digest() != run.record.base.digest:
        raise ProvenanceError(
            f"this adapter was trained on another base than what {base or config.base} is now",
            where=found.folder or found.gguf or found.id,
            fix="name the base that it was trained on with --base, or train again",
        )
    if output.exists() and peek_record(output / RECORD) is None and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError("something that is no merged model is there already", where=output, fix="name another folder")
    return Merge(
        run,
        config,
        found,
        _held_out_file(run, config, held_out),
        into or ("dequantised" if config.quantisation else "original"),
        output,
    )


def finished(job: Merge) -> dict[str, Any] | None:
    """The record of exactly this merge in its output folder, all files intact, or None."""
    record = peek_record(job.output / RECORD)
    if record is None or record.get("input_digest") != job.input_digest:
        return None
    return record if _file_digests(job.output) == record["output"]["files"] else None


def preview(job: Merge) -> dict[str, Any]:
    """What `merge` would do: reads no weights."""
    needed, free = _space(job)
    return {
        "up_to_date": finished(job) is not None,
        "run": str(job.run.folder),
        "base": job.run.record.base.id,
        "into": job.into,
        "measures": [AS_TRAINED, *job.variants] if job.held_out else [],
        "output": str(job.output),
        "size_bytes": needed,
        "free_bytes": free,
        "enough_space": needed + _SPARE_BYTES <= free,
    }


def merge(job: Merge) -> dict[str, Any]:
    """Measure, write the merged model to the output folder, whole or not at all, and return its record."""
    from trainer.model.load import compute_dtype, set_threads

    if record := finished(job):
        return record
    needed, free = _space(job)
    if needed + _SPARE_BYTES > free:
        raise ServiceError(
            f"the merged model takes {needed / 1e9:.2f} GB and there are {free / 1e9:.2f} GB",
            where=job.output,
            fix="free some disk space, or name a folder on another disk",
        )
    set_threads(job.config.threads)
    held_out = _held_out_rows(job)
    with atomic_folder(job.output) as folder:
        losses: dict[str, float] = {}
        for variant in job.variants:
            # The exact weights come first, and serve the measurement as trained as well.
            losses |= _merged(job, variant, held_out, folder if variant == job.into else None, exact=not losses)
        files = _file_digests(folder)
        body = {
            "kind": "merge",
            "schema": 1,
            "run": job.run.record.digest,
            "adapter": job.run.record.adapter.digest,
            "base": msgspec.to_builtins(job.run.record.base),
            "template": msgspec.to_builtins(job.run.record.template),
            **({"licenses": msgspec.to_builtins(licenses)} if (licenses := job.run.record.licenses) else {}),
            "into": job.into,
            "dtype": str(compute_dtype(job.config.dtype)).removeprefix("torch."),
            "held_out": {"rows": len(held_out), "losses": losses} if held_out else None,
            "input_digest": job.input_digest,
            "output": {"digest": digest_json(files), "files": files},
            "versions": versions("torch", "transformers", "peft", "bitsandbytes", "tokenizers"),
        }
        return write_record(folder / RECORD, body | {"environment": environment()})


def preview_lines(plan: dict[str, Any]) -> list[str]:
    """What `preview` says, for people."""
    size, free = (f"{plan[key] / 1e9:.2f} GB" for key in ("size_bytes", "free_bytes"))
    shown = [f"would merge {plan['run']} into the {plan['into']} weights of {plan['base']}"]
    shown.append(f"  would write {plan['output']}: {size}, and there are {free} free")
    if not plan["enough_space"]:
        shown.append("  that is not enough space")
    if plan["up_to_date"]:
        shown.append("  it is there already: nothing would be done")
    return shown


def lines(record: dict[str, Any], output: Path) -> list[str]:
    """A merge record for people."""
    size = f"{len(record['output']['files'])} files, {record['dtype']}, never quantised again"
    shown = [f"merged     {output}: {size}", f"base       {record['base']['id']}, {record['into']} weights"]
    if not record["held_out"]:
        return [*shown, "the run has no held-out rows, so what merging costs was not measured"]
    losses = record["held_out"]["losses"]
    shown.append(f"\nheld-out loss in nats per answer token, {record['held_out']['rows']} rows")
    for name, loss in losses.items():
        change = "" if name == AS_TRAINED else f"  {loss - losses[AS_TRAINED]:+.4f}"
        label = "base and adapter as trained" if name == AS_TRAINED else f"merged into the {name} weights"
        shown.append(f"  {label:36}{loss:.4f}{change}{'  <- written' if name == record['into'] else ''}")
    return shown


def _held_out_file(run: Run, config: TrainConfig, given: Path | None) -> Path | None:
    expected = run.record.dataset.val
    if expected is None:
        return None
    place = find_path(config.dataset, run.paths_from)
    found = given or (find_path(config.held_out, run.paths_from) if config.held_out else place / "val.jsonl")
    if not found.is_file():
        raise DataError("the run's held-out rows are not here", where=found, fix="name the file with --held-out")
    if digest_file(found) != expected.digest:
        raise ProvenanceError(
            "these are not the held-out rows that the run measured on", where=found, fix="name those with --held-out"
        )
    return found


def _held_out_rows(job: Merge) -> Sequence[TokenizedRow]:
    """The held-out rows as the run saw them."""
    if job.held_out is None:
        warn("the run has no held-out rows, so what merging costs can't be measured")
        return []
    return read_held_out(job.held_out, load_chat_format(job.base), job.config).rows


def _merged(
    job: Merge, variant: Into, rows: Sequence[TokenizedRow], folder: Path | None, *, exact: bool
) -> dict[str, float]:
    """The held-out losses around merging into these weights; the merged model goes to `folder`, where one is given."""
    from trainer.model.adapter import attach_adapter
    from trainer.model.load import load_model, quiet_libraries

    if not rows and folder is None:
        return {}
    say(f"loading {job.base.id}, {variant} weights")
    quantisation = job.config.quantisation if variant == "dequantised" else None
    loaded = load_model(job.base, quantisation=quantisation, dequantise=True, dtype=job.config.dtype)
    attached = attach_adapter(loaded, job.run.adapter, _NAME)
    losses = {}
    if rows and exact:
        losses[AS_TRAINED] = _loss(job.config, attached.model, rows)
    if not hasattr(attached.model, "merge_and_unload"):
        raise ConfigError("an adapter of this kind changes no weights, so it can't be merged", where=job.run.adapter)
    with quiet_libraries():
        model = attached.model.merge_and_unload(safe_merge=True)
    if rows:
        losses[variant] = _loss(job.config, model, rows)
    if folder is not None:
        _write(model, loaded, folder)
    return losses


def _loss(config: TrainConfig, model: Any, rows: Sequence[TokenizedRow]) -> float:
    from trainer.loop.micro_batches import micro_batches

    with micro_batches(model, config, rows) as parts:
        return parts.mean_loss(rows)


def _write(model: Any, loaded: "LoadedModel", folder: Path) -> None:
    from safetensors import SafetensorError

    from trainer.model.load import quiet_libraries

    try:
        with quiet_libraries():
            model.save_pretrained(str(folder))
            loaded.chat.tokenizer.save_pretrained(str(folder))
    except SafetensorError as error:  # how safetensors' Rust code words what the file system said
        raise ServiceError(f"the weights can't be written: {error}", where=folder.parent) from error


def _space(job: Merge) -> tuple[int, int]:
    """The bytes that the merged weights take, and those that are free where they go."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from trainer.model.load import compute_dtype, quiet_libraries, weights_place

    with quiet_libraries(), torch.device("meta"):
        shapes = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(weights_place(job.base)))
    size = sum(value.numel() for value in shapes.parameters()) * compute_dtype(job.config.dtype).itemsize
    place = next(path for path in (job.output.absolute(), *job.output.absolute().parents) if path.is_dir())
    return size, shutil.disk_usage(place).free


def _file_digests(folder: Path) -> dict[str, str]:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {name: digest_file(folder / name) for name in names if name != RECORD}
