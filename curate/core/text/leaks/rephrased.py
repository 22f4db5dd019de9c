"""Rephrased items: texts whose meaning is nearly an item's, by the cosine of their embeddings."""

from collections.abc import Sequence
from pathlib import Path

from curate.core.console import progress
from curate.core.text.cosine_pairs import similar_across
from curate.core.text.embedding import find_embedder
from curate.core.text.leaks.settings import Paraphrases


def find_paraphrases(
    texts: Sequence[str], items: Sequence[str], settings: Paraphrases, folder: Path
) -> list[tuple[int, int, float]]:
    """The pairs of a text and an item that mean nearly the same: their numbers and the cosine similarity.

    Raises: ConfigError where the embedder can't be loaded, ServiceError where sentence-transformers isn't installed.
    """
    embedder = find_embedder(settings.embedder, folder)
    mine = [n for n, text in enumerate(texts) if text.strip()]
    theirs = [n for n, text in enumerate(items) if text.strip()]
    if not mine or not theirs:
        return []
    with progress("embedding for paraphrases", len(mine) + len(theirs)) as advance:
        item_vectors = embedder.encode([items[n] for n in theirs], advance)
        text_vectors = embedder.encode([texts[n] for n in mine], advance)
    pairs = similar_across(text_vectors, item_vectors, settings.threshold)
    return [
        (mine[text], theirs[item], float(similarity))
        for text, item, similarity in zip(pairs.left, pairs.right, pairs.similarity, strict=True)
    ]
