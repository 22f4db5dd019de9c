"""Models with NF4 weights, kept in the cache folder: quantising takes longer than all the rest of loading.

A kept model gives the same bits as quantising anew. One that is damaged, or was made under other settings or versions,
is made again.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM

from curate.core.chat.base_model import BaseModel
from curate.core.console import warn
from curate.core.digests import digest_folder, digest_json
from curate.core.errors import AcidtestError, os_errors
from curate.core.files import atomic_folder, write_text
from curate.core.records import versions
from trainer.model.nf4 import nf4_config

_MODEL, _DIGEST = "model", "digest"


def nf4_model(base: BaseModel, place: str, options: dict[str, Any]) -> Any:
    """The model in `place` with its linear layers as NF4: as kept, or quantised and kept for the next time.

    `options` are those of `from_pretrained`. On a GPU, where quantising takes no time, nothing is kept.
    """
    config = nf4_config(options["dtype"])
    kept = None if "device_map" in options else _place(base, config)
    if kept and _is_whole(kept):
        return _without_unpacking(AutoModelForCausalLM.from_pretrained(kept / _MODEL, **options))
    model = AutoModelForCausalLM.from_pretrained(place, quantization_config=config, **options)
    if kept:
        _keep(model, kept)
    return model


def _without_unpacking(model: Any) -> Any:
    """The model as if its weights had not been read packed: transformers would try to pack merged ones on writing."""
    from transformers.integrations.bitsandbytes import (
        Bnb4bitDeserialize,  # after `trainer.model.nf4`, which spares a second
    )

    used = getattr(model, "_weight_conversions", None) or []
    model._weight_conversions = [
        one for one in used if not any(isinstance(step, Bnb4bitDeserialize) for step in getattr(one, "operations", ()))
    ]
    return model


def is_kept(base: BaseModel, dtype: torch.dtype) -> bool:
    """Whether the quantised base is there, at a glance: loading looks whether it is whole."""
    kept = _place(base, nf4_config(dtype))
    return kept is not None and kept.is_dir()


def _place(base: BaseModel, config: Any) -> Path | None:
    """Where the quantised base is kept; None where there is no cache folder."""
    used = versions("bitsandbytes", "transformers", "torch")
    # bitsandbytes takes a mean over each layer, which threads that share it round differently.
    key = digest_json([config.to_dict(), used, torch.get_num_threads()]).removeprefix("sha256:")
    try:
        return base.cache() / f"nf4-{key[:16]}"
    except AcidtestError:
        return None


def _is_whole(kept: Path) -> bool:
    try:
        with os_errors(kept):
            return (kept / _DIGEST).read_bytes() == digest_folder(kept / _MODEL).encode()
    except AcidtestError:
        return False


def _keep(model: Any, kept: Path) -> None:
    from filelock import FileLock

    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        # What is whole is never replaced: another process may be reading it.
        with FileLock(f"{kept}.lock"):
            if not _is_whole(kept):
                with atomic_folder(kept) as folder:
                    model.save_pretrained(folder / _MODEL)
                    write_text(folder / _DIGEST, digest_folder(folder / _MODEL))
    except (AcidtestError, OSError, SafetensorError) as error:  # such as a full disk: nothing else is lost
        warn(f"the quantised weights can't be kept, so the next start takes longer: {error}")
