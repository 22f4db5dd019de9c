"""Near duplicates: rows whose prompt (or answer, or conversation) shares most of its word runs with a better row's."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row_keys import CHOSEN, PROMPT, answer_key, chosen_key
from curate.core.rows.row_text import KEY_BYTES, chosen_text, first_of_each
from curate.dedup.cluster_table import similarity_histogram
from curate.dedup.greedy_clusters import Clusters, Rules, find_clusters
from curate.dedup.minhash import Sketches, banding_of, joined_sketches, sketch
from curate.dedup.which_stays import in_order
from curate.files.curated_folders import index_folder
from curate.files.records import find_inputs
from curate.read.chunks import read_source
from curate.recipe.recipe import Dedup
from curate.table.large_arrays import Room
from curate.table.rejections import Found, Others, Repeats, Rule
from curate.table.row_ref import Context, Entry, Outcome
from curate.table.row_table import Sketched
from curate.table.selection import Chosen, keys, names, take

STAGE = "near"
_SIMILAR, _SAME = "Jaccard similarity {similarity:.4f} with {name}", "the compared text is the same as that of {name}"
_RULES = tuple(
    Rule(reason, detail) for reason in ("near-duplicate", "in-earlier-dataset") for detail in (_SIMILAR, _SAME)
)
# A row that goes: the number of its text, its position, that of the row kept instead, and how similar they are.
_GONE = np.dtype([("text", np.int64), ("row", np.int64), ("instead", np.int64), ("similarity", np.float64)])


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The rows of earlier datasets by the key of their compared text, one for each, and how many there are of which."""

    by_key: dict[bytes, Entry]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Compared texts: the position of each one's best row, and by its number all its rows where they are several.

    `several` has for each row's position, the preferred first, that of the row that stays for its answer.
    """

    heads: NDArray[np.int64]
    several: dict[int, dict[int, int]]


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
    room = Room(context.memory)
    with ThreadPoolExecutor(1) as beside:  # they are only copied, without the interpreter's lock
        made = beside.submit(_made_while_reading, known, entries, settings, context, room)
        nodes, repeated = _nodes(entries, settings, earlier)
    sketches, order = _sketches(made.result(), known, take(entries, nodes.heads), settings, context)
    del made
    pinned = np.zeros(len(known) + nodes.heads.size, np.bool_)
    pinned[[len(known) + at for at, rows in nodes.several.items() if len(set(rows.values())) > 1]] = True
    rules = Rules(pinned, len(known), settings.min_shingles)
    clusters = find_clusters(sketches, settings.threshold, rules, order=order, threads=context.threads, room=room)
    del sketches
    found = _repeats(nodes, clusters, repeated, len(known))
    others = Others([entry.id for entry in known], [entry.source for entry in known])
    kept, conflicts, ties = _kept(entries, nodes, clusters, len(known))
    counts = {"similarities": similarity_histogram(found.similarity, settings.threshold)}
    if settings.against:
        counts["against"] = earlier.counts
    return Outcome(kept, Repeats(STAGE, entries, found, _RULES, others), ties, sorted(conflicts), counts)


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


def _made_while_reading(
    known: Sequence[Entry], entries: Sequence[Entry], settings: Dedup, context: Context, room: Room
) -> Sketches | None:
    """The sketches of all rows that were read, and of the known ones behind them; None where none were made."""
    # Which n-grams are frequent depends on the texts that are left: then all are sketched when they are known.
    if not isinstance(entries, Chosen) or settings.ignored_share is not None:
        return None
    wanted = Sketched(settings.on, banding_of(settings, context.recipe.seed))
    parts = entries.whole.sketches(wanted)
    if parts is None:
        return None
    last = sketch([chosen_text(entry.row, settings.on) for entry in known], wanted.banding, threads=context.threads)
    total = sum(part.texts for part in parts)
    sizes = (total + len(known), sum(part.shingles for part in parts) + last.shingles.size, settings.bands)
    return joined_sketches(chain((part.load() for part in parts), (last,)), *sizes, room)


def _sketches(
    made: Sketches | None, known: Sequence[Entry], heads: Sequence[Entry], settings: Dedup, context: Context
) -> tuple[Sketches, NDArray[np.int32]]:
    """Sketches of the compared texts, and which of them is each entry's, the known ones first."""
    if made is not None and isinstance(heads, Chosen):
        total = made.starts.size - 1
        last = np.arange(total - len(known), total, dtype=np.int32)
        return made, np.concatenate([last, heads.numbers], dtype=np.int32, casting="same_kind")
    banding = banding_of(settings, context.recipe.seed)
    texts = [chosen_text(entry.row, settings.on) for entry in (*known, *heads)]
    return sketch(texts, banding, ignored_share=settings.ignored_share, threads=context.threads), np.arange(
        len(texts), dtype=np.int32
    )


def _repeats(nodes: _Nodes, clusters: Clusters, repeated: list[tuple[int, int]], known: int) -> Found:
    """The rows that go: those that were `repeated`, then the others in the order of their texts.

    The first `known` texts of the clusters are those of earlier datasets.
    """
    instead, similarity = clusters.kept_instead[known:], clusters.similarity[known:]
    given = [(-1, row, number, 1.0) for row, number in repeated]
    for text, rows in nodes.several.items():
        best = int(instead[text])
        if best != text + known:
            stays = ~best if best < known else nodes.heads[best - known]
            given += [(text, row, stays, similarity[text]) for row in rows]
        else:
            given += [(text, row, stays, 1.0) for row, stays in rows.items() if row != stays]
    goes = ~_stays(clusters, known)
    goes[list(nodes.several)] = False
    found = np.empty(goes.sum(), _GONE)
    found["text"], found["row"], found["similarity"] = np.flatnonzero(goes), nodes.heads[goes], similarity[goes]
    bests = instead[goes].astype(np.int64)
    found["instead"] = np.where(bests < known, ~bests, nodes.heads[np.maximum(bests - known, 0)])
    found = np.concatenate([np.array(given, _GONE), found])
    found = found[np.argsort(found["text"], kind="stable")]
    rounded = np.array([round(one, 4) for one in found["similarity"].tolist()], np.float64)
    rule = (rounded == 1) + 2 * (found["instead"] < 0)
    return Found(found["row"].copy(), found["instead"].copy(), rounded, rule.astype(np.uint8))


def _kept(
    entries: Sequence[Entry], nodes: _Nodes, clusters: Clusters, known: int
) -> tuple[Sequence[Entry], list[list[str]], dict[str, str]]:
    """The rows kept, the conflicts, and the ties; `known` as above."""
    stays = _stays(clusters, known)
    component = clusters.component[known:]
    shared = (np.bincount(component[stays], minlength=clusters.component.size) > 1)[component]
    alone = stays.copy()
    alone[list(nodes.several)] = False
    kept, conflicts = [nodes.heads[alone]], []
    tied: defaultdict[int, list[str]] = defaultdict(list)
    for name, number in zip(
        names(take(entries, nodes.heads[alone & shared])), component[alone & shared].tolist(), strict=True
    ):
        tied[number].append(name)
    for number, rows in nodes.several.items():
        if not stays[number]:
            continue
        stay = list(dict.fromkeys(rows.values()))
        kept.append(np.array(stay))
        if len(stay) > 1 or shared[number]:
            found = names(take(entries, kept[-1]))
            tied[int(component[number])] += found
            if len(stay) > 1:
                conflicts.append(sorted(found))
    ties = {name: min(ids) for ids in tied.values() if len(ids) > 1 for name in ids}
    return take(entries, np.sort(np.concatenate(kept))), conflicts, ties


def _stays(clusters: Clusters, known: int) -> NDArray[np.bool_]:
    """Which of the texts behind the `known` ones are kept."""
    instead = clusters.kept_instead
    stays: NDArray[np.bool_] = instead[known:] == np.arange(known, instead.size, dtype=instead.dtype)
    return stays


def _nodes(entries: Sequence[Entry], settings: Dedup, earlier: _Earlier) -> tuple[_Nodes, list[tuple[int, int]]]:
    """The rows by their compared text, in order of preference inside and out.

    Those whose text an earlier dataset has stand apart, with ~ the number of that dataset's row.
    """
    order = in_order(entries, settings)
    known_keys = keys(entries, PROMPT if settings.on == "prompt" else CHOSEN)
    if known_keys is None:
        made = [chosen_key(entry, settings.on) for entry in entries]
        known_keys = np.frombuffer(b"".join(made), np.uint8).reshape(-1, KEY_BYTES), np.arange(len(made))
    found, numbers = known_keys
    firsts = first_of_each(found, numbers[order])
    is_head = firsts == np.arange(firsts.size)
    several: dict[int, list[int]] = {}
    for at in np.flatnonzero(~is_head).tolist():
        first = int(firsts[at])
        several.setdefault(first, [int(order[first])]).append(int(order[at]))
    known = {key: number for number, key in enumerate(earlier.by_key)}
    repeated: list[tuple[int, int]] = []
    for first in np.flatnonzero(is_head).tolist() if known else ():
        number = known.get(found[numbers[order[first]]].tobytes())
        if number is not None:
            repeated += [(row, ~number) for row in several.pop(first, [int(order[first])])]
            is_head[first] = False
    texts = np.cumsum(is_head) - 1
    by_number = {int(texts[first]): _stay(entries, node, settings.on) for first, node in several.items()}
    return _Nodes(order[is_head], by_number), repeated


def _stay(entries: Sequence[Entry], node: list[int], on: str) -> dict[int, int]:
    """For each of the rows with one text the one that stays for its answer."""
    stay: dict[bytes, int] = {}
    return {at: stay.setdefault(_answer_key(entries[at], on), at) for at in node}


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
            continue  # an index: `curate.dedup.earlier_index` asks it
        rows, unread = read_source(context, source, inputs)
        for entry in rows:
            by_key.setdefault(chosen_key(entry, settings.on), entry)
        counts[source.name] = len(rows)
        if unread:
            counts[f"{source.name} (unreadable)"] = len(unread)
    return _Earlier(by_key, counts)
