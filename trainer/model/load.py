"""Base models in memory: the one loader, for training and for evaluation."""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from curate.core.chat.base_model import BaseModel, load_chat_format, made_once
from curate.core.chat.chat_format import ChatFormat
from curate.core.console import say
from curate.core.errors import AcidtestError, ConfigError, ServiceError, first_line, from_os_error
from trainer.model.hub import HUB_FIX, check_reachable

Quantisation = Literal["nf4"] | None
DtypeName = Literal["auto", "float32", "bfloat16"]
# oneDNN compiles a product anew for each number of rows, 0.3 MB of machine code, and keeps the last 1,024; torch's own
# store keeps as many more, on each thread. Few batches are of one length, so all that would be kept for nothing.
_KEPT_PRODUCTS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
for _name, _count in _KEPT_PRODUCTS.items():
    os.environ.setdefault(_name, _count)  # it is read at the first product


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model (or one with adapters attached), its chat format, and which base it is."""

    model: Any
    chat: ChatFormat
    id: str
    digest: str

    @property
    def device(self) -> torch.device:
        """Where its inputs have to be."""
        device: torch.device = next(self.model.parameters()).device
        return device


def load_model(
    base: BaseModel,
    *,
    quantisation: Quantisation = None,
    dequantise: bool | Literal["auto"] = False,
    dtype: DtypeName = "auto",
) -> LoadedModel:
    """The base model, frozen and ready to compute.

    `quantisation="nf4"` stores linear layers (not embeddings, not the output head) as NF4 with double quantisation.
    With `dequantise`, those weights are expanded once into plain layers: the same function as the NF4 model, faster,
    in more memory; with `auto`, where they are a small part of the free memory. Evaluation uses that, so that what is
    measured is the base that was trained on.

    Raises: ConfigError for a model that can't be used, ServiceError where it can't be reached.
    """
    check_reachable(base)
    chat = load_chat_format(base)
    compute = compute_dtype(dtype)
    place = weights_place(base)
    options: dict[str, Any] = {"dtype": compute, "use_safetensors": True}
    if torch.cuda.is_available():
        options["device_map"] = {"": torch.cuda.current_device()}
    with quiet_libraries(), _load_errors(base):
        from transformers import AutoModelForCausalLM

        if quantisation == "nf4":
            from trainer.model.nf4 import dequantise as expand
            from trainer.model.nf4 import fits_expanded, use_exact_layers
            from trainer.model.nf4_cache import nf4_model

            model = nf4_model(base, place, options)
        else:
            model = AutoModelForCausalLM.from_pretrained(place, **options)
    if quantisation == "nf4":
        use_exact_layers(model)
        if fits_expanded(model, compute) if dequantise == "auto" else dequantise:
            expand(model, compute)
    model.requires_grad_(requires_grad=False)
    model.eval()
    return LoadedModel(model, chat, base.id, base.digest())


def unwrapped(model: Any) -> Any:
    """The causal language model inside, adapters still in its layers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def weights_place(base: BaseModel) -> str:
    """The folder or hub id that transformers reads the model from; a GGUF file is converted first."""
    return str(_converted(base) if base.gguf else base.folder or base.hub_id)


def compute_dtype(name: DtypeName) -> torch.dtype:
    """The type to compute in. Raises: ConfigError for bfloat16 where the hardware would emulate it."""
    on_gpu = torch.cuda.is_available()
    if name == "auto":
        # On processors, even those with bfloat16 units, the conversions around small adapters eat the gain.
        return torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float32
    if name == "bfloat16" and not (torch.cuda.is_bf16_supported() if on_gpu else _processor_has_bfloat16()):
        raise ConfigError("this hardware has no bfloat16 units: it would be 4 to 9 times slower", where="dtype")
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def processor_threads(threads: Literal["auto"] | int) -> int:
    """How many processor threads to use.

    `auto`: one for each physical core that we may run on, shared with the other processes of a training here.
    """
    if threads != "auto":
        return threads
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(allowed, psutil.cpu_count(logical=False) or allowed)
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def set_threads(threads: Literal["auto"] | int) -> int:
    """Set how many processor threads torch uses, and return it."""
    count = processor_threads(threads)
    torch.set_num_threads(count)
    return count


@contextmanager
def threads_of_one(count: int) -> Iterator[ThreadPoolExecutor]:
    """`count` threads that each have torch to themselves. Within the block, torch uses one thread everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # A new thread would start with as many torch threads as there are processors.
        with ThreadPoolExecutor(count, initializer=lambda: torch.set_num_threads(1)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def free_bytes(device: torch.device | None = None) -> int:
    """The memory that is free on `device`, left out: on the GPU, or without one for this process."""
    on_gpu = torch.cuda.is_available() if device is None else device.type == "cuda"
    if on_gpu:
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return int(psutil.virtual_memory().available)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the libraries' progress bars, notices and deprecation warnings off the terminal."""
    from transformers.utils import logging as library_logging

    verbosity, bars = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.set_verbosity_error()
    library_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        library_logging.set_verbosity(verbosity)
        if bars:
            library_logging.enable_progress_bar()


def _converted(base: BaseModel) -> Path:
    """The folder with the GGUF file's weights in float32, converted once."""
    gguf = base.gguf
    if gguf is None:
        raise ValueError(f"{base.id} is not a GGUF file")

    def convert(folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        say(f"converting {base.id} into the cache: once, about half a minute")
        with quiet_libraries(), _load_errors(base):
            packed = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
            config = packed.config
            # A model that was read from GGUF refuses to be saved; the same weights in a plain model don't.
            del config.quantization_config
            plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            plain.load_state_dict(packed.state_dict())
            plain.save_pretrained(str(folder))

    return made_once(base.cache() / "model", convert)


@contextmanager
def _load_errors(base: BaseModel) -> Iterator[None]:
    """Translate what transformers, safetensors and the file system raise while a model is read."""
    try:
        yield
    except (AcidtestError, KeyboardInterrupt):
        raise
    except OSError as error:
        if error.errno is not None:
            raise from_os_error(error, base.folder or base.gguf or base.id) from error
        raise ConfigError(f"the model can't be loaded: {first_line(error)}", where=base.id, fix=HUB_FIX) from error
    except MemoryError as error:
        raise ServiceError("not enough memory for this model", where=base.id, fix="take a smaller base") from error
    except Exception as error:  # the loaders raise whatever their parsers raise for a damaged file
        raise ConfigError(
            f"the model can't be loaded: {type(error).__name__}: {first_line(error)}",
            where=base.folder or base.gguf or base.id,
            fix="its files may be damaged or of a kind that transformers does not know; get them again",
        ) from error


def _processor_has_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
