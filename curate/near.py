"""Near duplicates: rows whose prompt (or answer, or conversation) shares most of its word runs with a better row's."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from curate.batches import Sketched, SpooledSketches
from curate.chosen import Chosen, keys, names, take
from curate.clusters import Clusters, Rules, find_clusters
from curate.config import Dedup
from curate.core.normalize import KEY_BYTES, chosen_text, first_of_each
from curate.duplicates import similarity_histogram
from curate.entries import Because, Context, Entry, Outcome, Rejection, reject
from curate.folders import index_folder
from curate.keys import CHOSEN, PROMPT, answer_key, chosen_key
from curate.minhash import Sketches, banding_of, joined_sketches, sketch
from curate.pieces import read_source
from curate.preference import in_order
from curate.readers import find_inputs
from curate.room import Room

STAGE = "near"
_SAME_TEXT = "the compared text is the same"


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The rows of earlier datasets by the key of their compared text, one for each, and how many there are of which."""

    by_key: dict[bytes, Entry]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Compared texts: the position of each one's best row, and by its number those of all its rows where several."""

    heads: NDArray[np.int64]
    several: dict[int, list[int]]

    def members(self, number: int) -> list[int]:
        """The positions of a text's rows."""
        return self.several.get(number) or [int(self.heads[number])]


def drop_near(entries: Sequence[Entry], context: Context) -> Outcome:
    """The rows that repeat no better row. Rows with one prompt and different answers stay, as conflicts.

    Rows that repeat one of a dataset in `against` go, whatever their answers. Kept rows that a dropped one is similar
    to, and conflicts, are tied: they belong on one side of a split.
    """
    settings = context.recipe.dedup
    if settings is None:
        return Outcome(list(entries), [])
    earlier = _read_earlier(settings, context)
    known = list(earlier.by_key.values())
    nodes, repeated = _nodes(entries, settings, earlier)
    rejections = [_repeats(entries[at], same, 1.0, earlier=True) for same, node in repeated for at in node]
    room = Room(context.memory)
    sketches, order = _sketches(known, take(entries, nodes.heads), settings, context, room)
    pinned = np.zeros(len(known) + nodes.heads.size, np.bool_)
    pinned[[len(known) + at for at in nodes.several if len(_stay(entries, nodes.several[at], settings.on)) > 1]] = True
    rules = Rules(pinned, len(known), settings.min_shingles)
    clusters = find_clusters(sketches, settings.threshold, rules, order=order, threads=context.threads, room=room)
    del sketches
    kept, more, conflicts, ties = _decide(known, entries, nodes, clusters, settings.on)
    rejections += more
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
    banding = banding_of(settings, seed)
    sketches = sketch(texts, banding, ignored_share=settings.ignored_share, threads=threads)
    held = np.array(pinned, np.bool_) if pinned is not None else None
    return find_clusters(sketches, settings.threshold, Rules(held, earlier, settings.min_shingles), threads=threads)


def _sketches(
    known: Sequence[Entry], heads: Sequence[Entry], settings: Dedup, context: Context, room: Room
) -> tuple[Sketches, NDArray[np.int64]]:
    """Sketches of the compared texts, and which of them is each entry's: those made while reading, and the others."""
    wanted = Sketched(settings.on, banding_of(settings, context.recipe.seed))
    parts: list[SpooledSketches] | None = None
    # Which n-grams are frequent depends on the texts that are left: then all are sketched now.
    if isinstance(heads, Chosen) and settings.ignored_share is None:
        parts = heads.whole.sketches(wanted)
    fresh = [*known, *(heads if parts is None else ())]
    texts = [chosen_text(entry.row, settings.on) for entry in fresh]
    last = sketch(texts, wanted.banding, ignored_share=settings.ignored_share, threads=context.threads)
    if parts is None or not isinstance(heads, Chosen):
        return last, np.arange(len(texts))
    total = sum(part.texts for part in parts)
    sizes = (total + len(fresh), sum(part.shingles for part in parts) + last.shingles.size, settings.bands)
    order = np.concatenate([np.arange(total, total + len(fresh)), heads.numbers])
    return joined_sketches(chain((part.load() for part in parts), (last,)), *sizes, room), order


def _decide(
    known: list[Entry], entries: Sequence[Entry], nodes: _Nodes, clusters: Clusters, on: str
) -> tuple[Sequence[Entry], list[Rejection], list[list[str]], dict[str, str]]:
    """The rows kept, those dropped, the conflicts, and the ties."""
    repeats: list[tuple[int, Entry, float, bool]] = []
    conflicts: list[list[str]] = []
    tied: dict[int, list[str]] = {}
    numbers = np.arange(clusters.kept_instead.size)
    stays = clusters.kept_instead == numbers
    decided = numbers[len(known) :][stays[len(known) :]]
    shared = np.bincount(clusters.component[decided], minlength=numbers.size) > 1
    alone = stays & ~shared[clusters.component]
    alone[[len(known) + at for at in nodes.several]] = False
    ids = names(entries)
    kept = nodes.heads[alone[len(known) :]].tolist()
    for number in np.flatnonzero(~alone[len(known) :]).tolist():
        node = nodes.members(number)
        instead = int(clusters.kept_instead[len(known) + number])
        if instead != len(known) + number:
            similarity = float(clusters.similarity[len(known) + number])
            earlier = instead < len(known)
            best = known[instead] if earlier else entries[int(nodes.heads[instead - len(known)])]
            repeats += [(at, best, similarity, earlier) for at in node]
            continue
        stay = _stay(entries, node, on)
        kept += stay.values()
        component = int(clusters.component[len(known) + number])
        if len(stay) > 1 or shared[component]:
            found = [ids[at] for at in stay.values()]
            tied.setdefault(component, []).extend(found)
            if len(stay) > 1:
                conflicts.append(sorted(found))
        if len(node) > len(stay):
            answers = {at: stay[_answer_key(entries[at], on)] for at in node}
            repeats += [(at, entries[best], 1.0, False) for at, best in answers.items() if best != at]
    dropped = take(entries, np.array([at for at, *_ in repeats], np.int64))
    rejections = [
        _repeats(entry, best, similarity, earlier=earlier)
        for entry, (_, best, similarity, earlier) in zip(dropped, repeats, strict=True)
    ]
    ties = {name: min(ids) for ids in tied.values() if len(ids) > 1 for name in ids}
    return take(entries, np.array(sorted(kept), np.int64)), rejections, conflicts, ties


def _nodes(
    entries: Sequence[Entry], settings: Dedup, earlier: _Earlier
) -> tuple[_Nodes, list[tuple[Entry, list[int]]]]:
    """The rows by their compared text, in order of preference inside and out.

    Those whose text an earlier dataset has stand apart, beside that dataset's row.
    """
    order = in_order(entries, settings)
    found = keys(entries, PROMPT if settings.on == "prompt" else CHOSEN)
    if found is None:
        made = [chosen_key(entry, settings.on) for entry in entries]
        found = np.frombuffer(b"".join(made), np.uint8).reshape(len(entries), KEY_BYTES)
    firsts = first_of_each(found[order])
    is_head = firsts == np.arange(firsts.size)
    several: dict[int, list[int]] = {}
    for at in np.flatnonzero(~is_head).tolist():
        first = int(firsts[at])
        several.setdefault(first, [int(order[first])]).append(int(order[at]))
    repeated: list[tuple[Entry, list[int]]] = []
    for first in np.flatnonzero(is_head).tolist() if earlier.by_key else ():
        same = earlier.by_key.get(found[order[first]].tobytes())
        if same is not None:
            repeated.append((same, several.pop(first, [int(order[first])])))
            is_head[first] = False
    number = np.cumsum(is_head) - 1
    return _Nodes(order[is_head], {int(number[first]): node for first, node in several.items()}), repeated


def _stay(entries: Sequence[Entry], node: list[int], on: str) -> dict[bytes, int]:
    """Of the rows with one text, the one to keep for each answer."""
    if len(node) == 1:
        return {b"": node[0]}
    stay: dict[bytes, int] = {}
    for at in node:
        stay.setdefault(_answer_key(entries[at], on), at)
    return stay


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
        rows, unread = read_source(context, source, inputs)
        for entry in rows:
            by_key.setdefault(chosen_key(entry, settings.on), entry)
        counts[source.name] = len(rows)
        if unread:
            counts[f"{source.name} (unreadable)"] = len(unread)
    return _Earlier(by_key, counts)


def _repeats(entry: Entry, best: Entry, similarity: float, *, earlier: bool = False) -> Rejection:
    rounded = round(similarity, 4)
    dataset = best.source if earlier else None
    name = f"{best.id} of {dataset}" if dataset is not None else best.id
    detail = f"Jaccard similarity {rounded:.4f} with {name}" if rounded < 1 else f"{_SAME_TEXT} as that of {name}"
    reason = "in-earlier-dataset" if earlier else "near-duplicate"
    return reject(entry, STAGE, reason, detail, Because(best.id, rounded, dataset))
