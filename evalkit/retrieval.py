"""Nearest rows by meaning: the retrieval behind `base+rag`."""

from collections.abc import Sequence

import numpy as np

from curate.core.embedding import Embedder


def nearest_rows(
    queries: Sequence[str], texts: Sequence[str], count: int, embedder: Embedder
) -> list[list[tuple[int, float]]]:
    """For each query, the `count` nearest texts as (index, cosine similarity), the nearest last.

    Equal similarities go by index, so that the order is the same everywhere. Raises: ConfigError where the embedder
    can't be loaded.
    """
    # Rounded, because the last bits depend on the batch a text was embedded in, and must not decide an order.
    similarity = np.round(embedder.encode(queries) @ embedder.encode(texts).T, 5)
    chosen: list[list[tuple[int, float]]] = []
    for row in similarity:
        order = np.argsort(-row, kind="stable")[:count]
        chosen.append([(int(index), float(row[index])) for index in order[::-1]])
    return chosen
