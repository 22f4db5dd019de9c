"""Near duplicates: rows whose prompt (or answer, or conversation) shares most of its word runs with a better row's."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from curate.clusters import find_clusters
from curate.config import Dedup
from curate.entries import Because, Context, Entry, Outcome, Rejection, reject
from curate.minhash import sketch
from curate.normalize import answer_text, chosen_text, text_key
from curate.preference import preference

STAGE = "near"
_SAME_TEXT = "the compared text is the same"


def drop_near(entries: Sequence[Entry], context: Context) -> Outcome:
    """The rows that repeat no better row. Rows with one prompt and different answers stay, as conflicts.

    Kept rows that a dropped one is similar to, and conflicts, are tied: they belong on one side of a split.
    """
    settings = context.recipe.dedup
    if settings is None:
        return Outcome(list(entries), [])
    prefer = preference(settings.prefer)
    texts: list[str] = []
    nodes = _nodes(entries, settings, prefer, texts)
    seed = context.recipe.seed if settings.seed is None else settings.seed
    sketches = sketch(
        texts,
        ngram=settings.ngram,
        bands=settings.bands,
        rows=settings.rows,
        seed=seed % 2**32,
        threads=context.threads,
    )
    answers = [_different_answers(members, settings.on) for members in nodes]
    pinned = np.array([len(stay) > 1 for stay in answers], np.bool_)
    clusters = find_clusters(sketches, settings.threshold, pinned=pinned, threads=context.threads)
    kept: list[Entry] = []
    rejections: list[Rejection] = []
    conflicts: list[list[str]] = []
    tied: dict[int, list[str]] = {}
    for number, members in enumerate(nodes):
        instead = int(clusters.kept_instead[number])
        if instead != number:
            best, similarity = nodes[instead][0], round(float(clusters.similarity[number]), 4)
            detail = f"Jaccard similarity {similarity:.4f} with {best.row.id}"
            rejections += [_repeats(entry, best, similarity, detail) for entry in members]
            continue
        stay = answers[number]
        kept += stay.values()
        tied.setdefault(int(clusters.component[number]), []).extend(entry.row.id for entry in stay.values())
        if len(stay) > 1:
            conflicts.append(sorted(entry.row.id for entry in stay.values()))
        for entry in members:
            best = stay[_answer_key(entry, settings.on)]
            if best is not entry:
                rejections.append(_repeats(entry, best, 1.0, f"{_SAME_TEXT} as that of {best.row.id}"))
    ties = {name: min(ids) for ids in tied.values() if len(ids) > 1 for name in ids}
    position = {id(entry): index for index, entry in enumerate(entries)}
    kept.sort(key=lambda entry: position[id(entry)])
    return Outcome(kept, rejections, ties, sorted(conflicts))


def _nodes(
    entries: Sequence[Entry], settings: Dedup, prefer: Callable[[Entry], tuple[Any, ...]], texts: list[str]
) -> list[list[Entry]]:
    """Rows by compared text, in order of preference inside and out; `texts` gets the text of each."""
    by_text: dict[bytes, list[tuple[tuple[Any, ...], int, Entry, str]]] = {}
    for index, entry in enumerate(entries):
        text = chosen_text(entry.row, settings.on)
        by_text.setdefault(text_key(text), []).append((prefer(entry), index, entry, text))
    nodes = sorted(sorted(members) for members in by_text.values())
    texts.extend(members[0][3] for members in nodes)
    return [[entry for _, _, entry, _ in members] for members in nodes]


def _different_answers(members: list[Entry], on: str) -> dict[bytes, Entry]:
    """The best row of each answer, where prompts are compared; else the best of all."""
    best: dict[bytes, Entry] = {}
    for entry in members:
        best.setdefault(_answer_key(entry, on), entry)
    return best


def _answer_key(entry: Entry, on: str) -> bytes:
    return text_key(answer_text(entry.row)) if on == "prompt" else b""


def _repeats(entry: Entry, best: Entry, similarity: float, detail: str) -> Rejection:
    return reject(entry, STAGE, "near-duplicate", detail, Because(best.row.id, similarity))


def expected_recall(settings: Dedup) -> float:
    """The chance that a pair exactly at the threshold is compared: pairs above it have a better one."""
    return float(np.round(settings.chance(settings.threshold), 6))
