"""Checkpoints: one file that holds everything a training needs to go on as if nothing had happened."""

from pathlib import Path
from typing import Any

import msgspec
import torch

from curate.core.console import say, warn
from curate.core.files import atomic_write
from trainer.run.record import HeldOut

Tensors = dict[str, torch.Tensor]


class Position(msgspec.Struct, frozen=True):
    """How far a training is: a pure function of its inputs and the step, no times and no names."""

    input_digest: str
    step: int = 0
    losses: tuple[float, ...] = ()
    held_out: tuple[HeldOut, ...] = ()
    best_step: int = 0


def checkpoint_path(run: Path, input_digest: str) -> Path:
    """Where a training with these inputs keeps its checkpoint: trainings with other inputs have their own."""
    return run / f"checkpoint-{input_digest.removeprefix('sha256:')[:12]}.safetensors"


def write_checkpoint(path: Path, position: Position, tensors: dict[str, Tensors]) -> None:
    """Write position and tensors (by section: `adapter`, `exp_avg`, ...) to `path`, all or nothing."""
    from safetensors.torch import save

    flat = {f"{section}/{name}": value.detach() for section, named in tensors.items() for name, value in named.items()}
    with atomic_write(path) as file:
        file.write(save(flat, metadata={"position": msgspec.json.encode(position).decode()}))


def read_checkpoint(path: Path, input_digest: str) -> tuple[Position, dict[str, Tensors]] | None:
    """What `write_checkpoint` wrote, or None where there is nothing to go on from; a damaged file is said and ignored.

    Checkpoints of trainings with other inputs stay where they are, and it is said that they do.
    """
    from safetensors import SafetensorError, safe_open

    for other in path.parent.glob("checkpoint-*.safetensors"):
        if other != path:
            say(f"{other.name} belongs to a training with other settings or rows: kept, not used; --force deletes it")
    if not path.is_file():
        return None
    sections: dict[str, Tensors] = {}
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            position = msgspec.json.decode(metadata["position"], type=Position)
            for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                section, _, name = key.partition("/")
                sections.setdefault(section, {})[name] = file.get_tensor(key)
    except (SafetensorError, KeyError, msgspec.MsgspecError) as error:
        warn(f"{path} is damaged ({type(error).__name__}): training starts from the beginning")
        return None
    if position.input_digest != input_digest:
        warn(f"{path} belongs to other inputs: training starts from the beginning")
        return None
    return position, sections
