"""Meaning: how near the answer is to a reference, by the cosine of their embeddings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from curate.core.rows.row import Row
from curate.core.text.embedding import find_embedder
from evalkit.scorers.references import NO_REFERENCE, references
from evalkit.scorers.types import BatchScorer, Mark, ScorerConfig, Unscored


class SemanticConfig(ScorerConfig):
    """The cosine to the nearest reference (0 where it is negative), or with `at_least` whether it reaches that.

    Nearness of meaning is not truth: `It costs 5 euros` and `It costs 50 euros` are near.
    """

    kind: Literal["semantic"]
    at_least: float | None = Field(default=None, gt=0, le=1)
    embedder: str = "embedded:minilm"


def semantic(config: SemanticConfig, folder: Path) -> BatchScorer:
    """The scorer. Unscored where the item has no reference. Raises: ConfigError where there is no such embedder."""
    embedder = find_embedder(config.embedder, folder)

    def score(pairs: Sequence[tuple[Row, str]]) -> list[Mark | Unscored]:
        wanted = [references(item) for item, _ in pairs]
        texts = list(dict.fromkeys([answer for _, answer in pairs] + [text for right in wanted for text in right]))
        place = {text: index for index, text in enumerate(texts)}
        vectors = embedder.encode(texts)
        found: list[Mark | Unscored] = []
        for (_, answer), right in zip(pairs, wanted, strict=True):
            if not right:
                found.append(NO_REFERENCE)
                continue
            near = max(float(np.dot(vectors[place[answer]], vectors[place[text]])) for text in right)
            # Rounded: the last bits depend on the batch that a text was embedded in.
            cosine = round(min(max(near, 0.0), 1.0), 4) if answer.strip() else 0.0
            value = cosine if config.at_least is None else float(cosine >= config.at_least)
            found.append(Mark(value, None if value == 1 else f"cosine {cosine:.2f}"))
        return found

    return BatchScorer(score)
