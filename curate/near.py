"""Near duplicates: rows whose prompt (or answer, or conversation) shares most of its word runs with a better row's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.clusters import Clusters, Rules, find_clusters
from curate.config import Dedup
from curate.duplicates import similarity_histogram
from curate.entries import Because, Context, Entry, Outcome, Rejection, reject
from curate.folders import index_folder
from curate.keys import answer_key, chosen_key
from curate.minhash import Banding, sketch
from curate.normalize import chosen_text
from curate.preference import preference
from curate.readers import find_inputs
from curate.sources import read_source

STAGE = "near"
_SAME_TEXT = "the compared text is the same"


@dataclass(frozen=True, slots=True)
class _Node:
    """The rows with one compared text, the preferred first, and of them the one to keep for each answer."""

    text: str
    members: list[Entry]
    stay: dict[bytes, Entry]


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The rows of earlier datasets by the key of their compared text, one for each, and how many there are of which."""

    by_key: dict[bytes, Entry]
    counts: dict[str, int]


def drop_near(entries: Sequence[Entry], context: Context) -> Outcome:
    """The rows that repeat no better row. Rows with one prompt and different answers stay, as conflicts.

    Rows that repeat one of a dataset in `against` go, whatever their answers. Kept rows that a dropped one is similar
    to, and conflicts, are tied: they belong on one side of a split.
    """
    settings = context.recipe.dedup
    if settings is None:
        return Outcome(list(entries), [])
    earlier = _read_earlier(settings, context)
    rejections: list[Rejection] = []
    nodes = []
    for key, node in _nodes(entries, settings):
        same = earlier.by_key.get(key)
        if same is None:
            nodes.append(node)
        else:
            rejections += [_repeats(entry, same, 1.0, earlier=True) for entry in node.members]
    known = list(earlier.by_key.values())
    clusters = compare_texts(
        [*(chosen_text(entry.row, settings.on) for entry in known), *(node.text for node in nodes)],
        settings,
        seed=context.recipe.seed,
        pinned=[*(False for _ in known), *(len(node.stay) > 1 for node in nodes)],
        earlier=len(known),
        threads=context.threads,
    )
    kept, more, conflicts, ties = _decide(known, nodes, clusters, settings.on)
    rejections += more
    position = {id(entry): index for index, entry in enumerate(entries)}
    kept.sort(key=lambda entry: position[id(entry)])
    counts = {"similarities": similarity_histogram(rejections, settings.threshold)}
    if settings.against:
        counts["against"] = earlier.counts
    return Outcome(kept, rejections, ties, sorted(conflicts), counts)


def compare_texts(
    texts: Sequence[str],
    settings: Dedup,
    *,
    seed: int = 0,
    pinned: Sequence[bool] | None = None,
    earlier: int = 0,
    threads: int = 1,
) -> Clusters:
    """Which texts repeat which, the preferred ones first; `pinned` and `earlier` as in `clusters.Rules`."""
    chosen = seed if settings.seed is None else settings.seed
    banding = Banding(settings.ngram, settings.bands, settings.rows, chosen % 2**32, settings.unit)
    sketches = sketch(texts, banding, ignored_share=settings.ignored_share, threads=threads)
    held = np.array(pinned, np.bool_) if pinned is not None else None
    return find_clusters(sketches, settings.threshold, Rules(held, earlier, settings.min_shingles), threads=threads)


def _decide(
    known: list[Entry], nodes: list[_Node], clusters: Clusters, on: str
) -> tuple[list[Entry], list[Rejection], list[list[str]], dict[str, str]]:
    """The rows kept, those dropped, the conflicts, and the ties."""
    kept: list[Entry] = []
    rejections: list[Rejection] = []
    conflicts: list[list[str]] = []
    tied: dict[int, list[str]] = {}
    for number, node in enumerate(nodes, start=len(known)):
        instead = int(clusters.kept_instead[number])
        if instead != number:
            best = known[instead] if instead < len(known) else nodes[instead - len(known)].members[0]
            similarity = float(clusters.similarity[number])
            rejections += [_repeats(entry, best, similarity, earlier=instead < len(known)) for entry in node.members]
            continue
        kept += node.stay.values()
        tied.setdefault(int(clusters.component[number]), []).extend(entry.row.id for entry in node.stay.values())
        if len(node.stay) > 1:
            conflicts.append(sorted(entry.row.id for entry in node.stay.values()))
        for entry in node.members:
            best = node.stay[_answer_key(entry, on)]
            if best is not entry:
                rejections.append(_repeats(entry, best, 1.0))
    ties = {name: min(ids) for ids in tied.values() if len(ids) > 1 for name in ids}
    return kept, rejections, conflicts, ties


def _nodes(entries: Sequence[Entry], settings: Dedup) -> list[tuple[bytes, _Node]]:
    """Rows by the key of their compared text, in order of preference inside and out."""
    prefer = preference(settings)
    # The place in the list comes second, so that two rows that say the same are never compared themselves.
    keyed = sorted((prefer(entry), index) for index, entry in enumerate(entries))
    nodes: dict[bytes, _Node] = {}
    for _, index in keyed:
        entry = entries[index]
        text = chosen_text(entry.row, settings.on)
        node = nodes.setdefault(chosen_key(entry, settings.on), _Node(text, [], {}))
        node.members.append(entry)
        node.stay.setdefault(_answer_key(entry, settings.on), entry)
    return list(nodes.items())


def _answer_key(entry: Entry, on: str) -> bytes:
    """What tells answers apart where prompts are compared; else all rows of one text have the same."""
    return answer_key(entry) if on == "prompt" else b""


def _read_earlier(settings: Dedup, context: Context) -> _Earlier:
    """The rows of the datasets in `against`. Records that are no rows can't be repeated; they are counted."""
    by_key: dict[bytes, Entry] = {}
    counts: dict[str, int] = {}
    for source in settings.against:
        paths = [path for path in source.paths if index_folder(path, context.folder) is None]
        inputs = [found for path in paths for found in find_inputs(path, context.folder)]
        if not inputs:
            continue  # an index: `curate.known` asks it
        rows = unreadable = 0
        for _, item in read_source(source, inputs, context.folder):
            if isinstance(item, Rejection):
                unreadable += 1
                continue
            rows += 1
            by_key.setdefault(chosen_key(item, settings.on), item)
        counts[source.name] = rows
        if unreadable:
            counts[f"{source.name} (unreadable)"] = unreadable
    return _Earlier(by_key, counts)


def _repeats(entry: Entry, best: Entry, similarity: float, *, earlier: bool = False) -> Rejection:
    rounded = round(similarity, 4)
    dataset = best.place.source if earlier else None
    name = f"{best.row.id} of {dataset}" if dataset is not None else best.row.id
    detail = f"Jaccard similarity {rounded:.4f} with {name}" if rounded < 1 else f"{_SAME_TEXT} as that of {name}"
    reason = "in-earlier-dataset" if earlier else "near-duplicate"
    return reject(entry, STAGE, reason, detail, Because(best.row.id, rounded, dataset))
