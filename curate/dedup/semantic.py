"""Duplicates in meaning: rows whose compared text says in other words what a better row's says, by its embedding."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from curate.core.console import progress
from curate.core.rows.row_text import chosen_text
from curate.core.text.cosine_pairs import Pairs, choose_kept, similar_pairs
from curate.core.text.embedding import find_embedder
from curate.dedup.cluster_table import similarity_histogram
from curate.dedup.near import Beside, compared_keys
from curate.dedup.which_stays import in_order
from curate.recipe.recipe import Dedup, Recipe
from curate.table.rejections import Block, Instead, Rejections, Rule
from curate.table.selection import RowSelection
from curate.table.stage import CacheKey, Context, Measured, Stage, StageResult
from curate.table.ties import merge_ties

_RULES = (Rule("same-meaning", "cosine similarity {similarity:.4f} in meaning with {name}"),)
_NUMBER = re.compile(r"\d+")


class SemanticDuplicates(Stage):
    """The rows stay that say what no better row says in other words; the others go because of the most similar one.

    Embeddings hardly see a changed number, so texts with different numbers are never duplicates, nor are rows of
    different scenes, labels, tool calls or short answers. Rows with one text and different answers, conflicts of an
    earlier stage, all stay.
    """

    name = "semantic"
    finds_duplicates = True

    def is_wanted(self, recipe: Recipe, folder: Path) -> bool:  # noqa: ARG002 - a stage's
        """Does the recipe set a threshold for meaning?"""
        return recipe.dedup is not None and recipe.dedup.semantic is not None

    def cache_key(self, context: Context) -> CacheKey:
        """What is compared and preferred, the threshold, and the embedder."""
        dedup = context.recipe.dedup
        assert dedup is not None
        assert dedup.semantic is not None
        settings = [dedup.on, dedup.prefer, dedup.newest_by, dedup.score_by, dedup.semantic.threshold]
        return CacheKey([*settings, find_embedder(dedup.semantic.embedder, context.folder).digest])

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are left, with ties.

        Raises: ConfigError where the embedder can't be loaded, ServiceError where sentence-transformers is missing.
        """
        settings = context.recipe.dedup
        assert settings is not None
        assert settings.semantic is not None
        nodes = _nodes(rows, settings)
        heads = rows.take([node[0] for node in nodes])
        texts = [chosen_text(row, settings.on) for row in heads.rows]
        embedder = find_embedder(settings.semantic.embedder, context.folder)
        with progress("embedding for duplicates in meaning", len(texts)) as advance:
            vectors = embedder.encode(texts, advance)
        # Rows that are compared by their answers may be of any prompt and label; only their scenes are the same.
        beside = [tuple(said) for said in heads.values(Beside())[:, : 1 if settings.on == "answer" else 2].tolist()]
        pairs = _usable(similar_pairs(vectors, settings.semantic.threshold), texts, nodes, beside)
        best, similarity = choose_kept(pairs, len(nodes))
        goes = np.flatnonzero(best != np.arange(len(nodes)))
        rounded = np.array([round(float(similarity[at]), 4) for at in goes.tolist()], np.float64)
        instead = Instead(rows.table, heads.numbers[best[goes]], rounded)
        block = Block(self.name, heads.take(goes), _RULES, np.zeros(goes.size, np.uint8), None, instead)
        kept = rows.without([nodes[at][0] for at in goes.tolist()])
        counts = {"similarities": similarity_histogram(rounded, settings.semantic.threshold)}
        return StageResult(kept, Rejections([block]), _ties(pairs, heads.ids(), set(kept.ids())), counts=counts)


def _nodes(rows: RowSelection, settings: Dedup) -> list[list[int]]:
    """The positions of the rows of each text that says something, the preferred first inside and out."""
    nodes: defaultdict[bytes, list[int]] = defaultdict(list)
    keys, scenes = compared_keys(rows, settings.on), rows.values(Beside())[:, 0]
    for at in in_order(rows, settings).tolist():
        if chosen_text(rows.table.row(int(rows.numbers[at])), settings.on).strip():
            nodes[keys[at].tobytes() + scenes[at].tobytes()].append(at)
    return list(nodes.values())


def _usable(
    pairs: Pairs, texts: Sequence[str], nodes: Sequence[Sequence[int]], beside: Sequence[tuple[object, ...]]
) -> Pairs:
    """The pairs in which the later text may go: it is no conflict, and has the numbers of the earlier one.

    What stands `beside` the texts must be equal too.
    """
    told = [(sorted(_NUMBER.findall(text)), others) for text, others in zip(texts, beside, strict=True)]
    both = zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    chosen = [len(nodes[later]) == 1 and told[earlier] == told[later] for earlier, later in both]
    return Pairs(pairs.left[chosen], pairs.right[chosen], pairs.similarity[chosen])


def _ties(pairs: Pairs, ids: Sequence[str], kept: set[str]) -> dict[str, str]:
    """What holds the kept rows together that a dropped one resembles: they belong on one side of a split."""
    around: defaultdict[str, list[str]] = defaultdict(list)
    for earlier, later in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True):
        around[ids[later]].append(ids[earlier])
    tied = merge_ties(*(dict.fromkeys([name, *others], name) for name, others in around.items()))
    return {name: tie for name, tie in tied.items() if name in kept}
