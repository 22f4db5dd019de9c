"""Questions as vectors: how near production is to the training rows, and whether it can be told from held-out rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.core.seeding import stable_fraction
from curate.core.text.embedding import Embedder
from evalkit.drift.logs import Entry
from evalkit.drift.reference import Reference
from evalkit.stats.arrays import Floats

Vectors = NDArray[np.float32]


class Meaning(NamedTuple):
    """Similarity of each question to the training question nearest to it, and its place along one direction.

    The direction leads from the middle of one half of the held-out questions to that of one half of production's; the
    places are those of the other halves. So where nothing changed, both lie alike along it.
    """

    nearest_new: Floats
    nearest_old: Floats
    along_new: Floats
    along_old: Floats
    far: list[str]
    """The questions of production that are farthest from training, the farthest first."""


def measure(logs: Sequence[Entry], reference: Reference, embedder: Embedder, *, limit: int, seed: int) -> Meaning:
    """Both, on at most `limit` questions a side; of training twice as many. The same for the same input and seed."""
    new = _some([entry.question for entry in logs], limit, seed)
    train = _some([entry.question for entry in reference.train], 2 * limit, seed)
    held_out = _some([entry.question for entry in reference.held_out], limit, seed)
    vectors = embedder.encode([*new, *train, *held_out])
    new_v, train_v, held_v = np.split(vectors, [len(new), len(new) + len(train)])
    nearest_new = _nearest(new_v, train_v)
    if len(held_out):
        nearest_old, old_v = _nearest(held_v, train_v), held_v
    else:
        nearest_old, old_v = _nearest_other(train_v), train_v
    first, second = _halves(new, new_v)
    old_first, old_second = _halves(held_out or train, old_v)
    direction = (
        first.mean(axis=0) - old_first.mean(axis=0) if len(first) and len(old_first) else np.zeros(vectors.shape[1])
    )
    order = np.argsort(nearest_new, kind="stable")
    return Meaning(
        nearest_new,
        nearest_old,
        (second @ direction).astype(np.float64),
        (old_second @ direction).astype(np.float64),
        [new[index] for index in order],
    )


def _some(texts: Sequence[str], limit: int, seed: int) -> list[str]:
    """At most `limit` of the texts that say anything, chosen by the seed, in their order."""
    said = [text for text in texts if text.strip()]
    if len(said) <= limit:
        return said
    chosen = sorted(range(len(said)), key=lambda place: stable_fraction(seed, f"{place} {said[place]}"))[:limit]
    return [said[place] for place in sorted(chosen)]


def _halves(texts: Sequence[str], vectors: Vectors) -> tuple[Vectors, Vectors]:
    """Two halves by what a text is, not by where it stands; equal texts fall into the same half."""
    first = np.array([stable_fraction(0, text) < 0.5 for text in texts], dtype=bool)
    return vectors[first], vectors[~first]


def _nearest(vectors: Vectors, train: Vectors) -> Floats:
    return np.asarray((vectors @ train.T).max(axis=1), dtype=np.float64) if len(vectors) else np.empty(0)


def _nearest_other(train: Vectors) -> Floats:
    """Each training question's nearest among the others."""
    if len(train) < 2:
        return np.empty(0)
    similar = train @ train.T
    np.fill_diagonal(similar, -np.inf)
    return np.asarray(similar.max(axis=1), dtype=np.float64)
