"""Duplicates in meaning: rows whose compared text says in other words what a better row's says, by its embedding."""

import re
from collections import defaultdict
from collections.abc import Sequence

from curate.compose.sides import merge_ties
from curate.core.console import progress
from curate.core.rows.row_keys import chosen_key
from curate.core.rows.row_text import chosen_text
from curate.core.text.cosine_pairs import Pairs, choose_kept, similar_pairs
from curate.core.text.embedding import find_embedder
from curate.dedup.cluster_table import similarity_histogram
from curate.dedup.which_stays import in_order
from curate.recipe.recipe import Dedup
from curate.table.row_ref import Because, Context, Entry, Outcome, Rejection, reject
from curate.table.selection import names, take

STAGE = "semantic"
_NUMBER = re.compile(r"\d+")


def drop_same_meaning(entries: Sequence[Entry], context: Context) -> Outcome:
    """The rows that say what no better row says in other words; the others go because of the most similar better one.

    Embeddings hardly see a changed number, so texts with different numbers are never duplicates. Rows with one text and
    different answers, conflicts of an earlier stage, all stay.
    Raises: ConfigError where the embedder can't be loaded, ServiceError where sentence-transformers isn't installed.
    """
    settings = context.recipe.dedup
    assert settings is not None
    assert settings.semantic is not None
    nodes = _nodes(entries, settings)
    texts = [chosen_text(node[0].row, settings.on) for node in nodes]
    embedder = find_embedder(settings.semantic.embedder, context.folder)
    with progress("embedding for duplicates in meaning", len(texts)) as advance:
        vectors = embedder.encode(texts, advance)
    pairs = _usable(similar_pairs(vectors, settings.semantic.threshold), texts, nodes)
    instead, similarity = choose_kept(pairs, len(nodes))
    rejections: list[Rejection] = []
    for number, node in enumerate(nodes):
        best = nodes[int(instead[number])][0]
        if best is not node[0]:
            rejections.append(_repeats(node[0], best, float(similarity[number])))
    dropped = {(item.path, item.offset) for item in rejections}
    kept = [entry for entry in entries if (entry.place.path, entry.place.offset) not in dropped]
    similarities = [item.because_of.similarity for item in rejections if item.because_of is not None]
    counts = {"similarities": similarity_histogram(similarities, settings.semantic.threshold)}
    return Outcome(kept, rejections, _ties(pairs, nodes, set(names(kept))), counts=counts)


def _nodes(entries: Sequence[Entry], settings: Dedup) -> list[list[Entry]]:
    """The rows of each text that says something, the preferred first inside and out."""
    nodes: defaultdict[bytes, list[Entry]] = defaultdict(list)
    for entry in take(entries, in_order(entries, settings)):
        if chosen_text(entry.row, settings.on).strip():
            nodes[chosen_key(entry, settings.on)].append(entry)
    return list(nodes.values())


def _usable(pairs: Pairs, texts: Sequence[str], nodes: Sequence[Sequence[Entry]]) -> Pairs:
    """The pairs in which the later text may go: it is no conflict, and has the numbers of the earlier one."""
    numbers = [sorted(_NUMBER.findall(text)) for text in texts]
    both = zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    chosen = [len(nodes[later]) == 1 and numbers[earlier] == numbers[later] for earlier, later in both]
    return Pairs(pairs.left[chosen], pairs.right[chosen], pairs.similarity[chosen])


def _ties(pairs: Pairs, nodes: Sequence[Sequence[Entry]], kept: set[str]) -> dict[str, str]:
    """What holds the kept rows together that a dropped one resembles: they belong on one side of a split."""
    ids = [node[0].id for node in nodes]
    around: defaultdict[str, list[str]] = defaultdict(list)
    for earlier, later in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True):
        around[ids[later]].append(ids[earlier])
    tied = merge_ties(*(dict.fromkeys([name, *others], name) for name, others in around.items()))
    return {name: tie for name, tie in tied.items() if name in kept}


def _repeats(entry: Entry, best: Entry, similarity: float) -> Rejection:
    rounded = round(similarity, 4)
    detail = f"cosine similarity {rounded:.4f} in meaning with {best.id}"
    return reject(entry, STAGE, "same-meaning", detail, Because(best.id, rounded))
