"""Near duplicates: rows whose prompt (or answer, or conversation) shares most of its word runs with a better row's.

rows        in order of preference, one node for each compared text
nodes       text 0: row 7 (head), row 2, row 9     text 1: row 4     ...
clusters    text 1 -> text 0: row 4 goes because of row 7
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import Row
from curate.core.rows.row_text import KEY_BYTES, answer_text, chosen_text, first_of_each, text_key
from curate.dedup.cluster_table import similarity_histogram
from curate.dedup.earlier_index import duplicates_key
from curate.dedup.greedy_clusters import Clusters, Rules, find_clusters
from curate.dedup.minhash import Sketches, SketchPacks, banding_of, joined_sketches, packed_shingles, sketch
from curate.dedup.which_stays import UNNAMED, Ranks, in_order
from curate.recipe.recipe import Dedup, Recipe
from curate.table.array_allocator import ArrayAllocator
from curate.table.chunk import ChunkRows, Makers
from curate.table.rejections import Block, Instead, OtherRows, Rejections, Rule
from curate.table.selection import RowRef, RowSelection
from curate.table.stage import CacheKey, Context, Measured, Stage, StageResult

_SIMILAR, _SAME = "Jaccard similarity {similarity:.4f} with {name}", "the compared text is the same as that of {name}"
_RULES = tuple(
    Rule(reason, detail) for reason in ("near-duplicate", "in-earlier-dataset") for detail in (_SIMILAR, _SAME)
)
# A row that goes: the number of its text, its position, that of the row kept instead, and how similar they are.
_GONE = np.dtype([("text", np.int64), ("row", np.int64), ("instead", np.int64), ("similarity", np.float64)])


@dataclass(frozen=True)
class ComparedKeys:
    """Keys under which equal compared texts meet, as a column: `text_key` of each row's answer or conversation."""

    on: str
    name: ClassVar[str] = "compared_key"

    def make(self, rows: ChunkRows) -> NDArray[np.uint8]:
        """The keys of these rows, shape (n, KEY_BYTES)."""
        keys = b"".join([text_key(chosen_text(row, self.on)) for row in rows.rows])
        return np.frombuffer(keys, np.uint8).reshape(-1, KEY_BYTES)


def compared_keys(rows: RowSelection, on: str) -> NDArray[np.uint8]:
    """The keys of the rows' compared texts, shape (n, KEY_BYTES)."""
    return rows.column("prompt_key") if on == "prompt" else rows.values(ComparedKeys(on))


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The rows of earlier datasets by the key of their compared text, one for each, and how many there are of which."""

    by_key: dict[bytes, RowRef]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Compared texts in order of preference.

    `heads` has the position of each text's best row, shape (texts,). `answers` says of texts that several rows have,
    by number, for each of these rows' positions, the preferred first, which of them stays for its answer.
    """

    heads: NDArray[np.int64]
    answers: dict[int, dict[int, int]]


class NearDuplicates(Stage):
    """The rows stay that repeat no better row. Rows with one prompt and different answers stay, as conflicts.

    Rows that repeat one of a dataset in `against` go, whatever their answers. Kept rows that a dropped one is similar
    to, and conflicts, are tied: they belong on one side of a split.
    """

    name = "near"
    finds_duplicates = True

    def cache_key(self, context: Context) -> CacheKey:
        """The settings, and the files of earlier datasets."""
        return duplicates_key(context, "against", "adapter", "join")

    def makers(self, recipe: Recipe, folder: Path) -> Makers:  # noqa: ARG002 - a stage's
        """What rows are preferred by, keys of what is compared, and sketches of it."""
        settings = recipe.dedup
        if settings is None:
            return Makers((Ranks(UNNAMED),))
        keys = () if settings.on == "prompt" else (ComparedKeys(settings.on),)
        # Frequent n-grams are known when all texts are: then sketches have to wait.
        early = settings.ignored_share is None
        return Makers((Ranks(settings), *keys), (_packs(settings, recipe.seed),) if early else ())

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are left, with ties and conflicts."""
        settings = context.recipe.dedup
        if settings is None:
            return StageResult(rows)
        earlier = _read_earlier(settings, context)
        known = list(earlier.by_key.values())
        allocator = ArrayAllocator(context.memory)
        with ThreadPoolExecutor(1) as beside:  # they are only copied, without the interpreter's lock
            made = beside.submit(_sketches_from_reading, known, rows, settings, context, allocator)
            nodes, repeated = _nodes(rows, settings, earlier)
        sketches, order = _sketches(made.result(), known, rows.take(nodes.heads), settings, context)
        del made
        pinned = np.zeros(len(known) + nodes.heads.size, np.bool_)
        pinned[[len(known) + at for at, stays in nodes.answers.items() if len(set(stays.values())) > 1]] = True
        rules = Rules(pinned, len(known), settings.min_shingles)
        clusters = find_clusters(
            sketches, settings.threshold, rules, order=order, threads=context.threads, allocator=allocator
        )
        del sketches
        gone = _repeats(nodes, clusters, repeated, len(known))
        others = OtherRows([one.id for one in known], [one.place.source for one in known])
        kept, conflicts, ties = _kept(rows, nodes, clusters, len(known))
        similarity = np.array([round(one, 4) for one in gone["similarity"].tolist()], np.float64)
        counts = {"similarities": similarity_histogram(similarity, settings.threshold)}
        if settings.against:
            counts["against"] = earlier.counts
        is_here = gone["instead"] >= 0
        numbers = gone["instead"].copy()
        numbers[is_here] = rows.numbers[numbers[is_here]]
        rule = ((similarity == 1) + 2 * ~is_here).astype(np.uint8)
        instead = Instead(rows.table, numbers, similarity, others)
        block = Block(self.name, rows.take(gone["row"]), _RULES, rule, None, instead)
        return StageResult(kept, Rejections([block]), ties, sorted(conflicts), counts)


def compare_texts(
    texts: Sequence[str],
    settings: Dedup,
    *,
    seed: int = 0,
    pinned: Sequence[bool] | None = None,
    earlier: int = 0,
    threads: int = 1,
) -> Clusters:
    """Which texts repeat which, the preferred ones first; `pinned` and `earlier` as in `greedy_clusters.Rules`."""
    banding = banding_of(settings, seed)
    sketches = sketch(texts, banding, ignored_share=settings.ignored_share, threads=threads)
    held = np.array(pinned, np.bool_) if pinned is not None else None
    return find_clusters(sketches, settings.threshold, Rules(held, earlier, settings.min_shingles), threads=threads)


def _packs(settings: Dedup, seed: int) -> SketchPacks:
    return SketchPacks(settings.on, banding_of(settings, seed))


def _sketches_from_reading(
    known: Sequence[RowRef], rows: RowSelection, settings: Dedup, context: Context, allocator: ArrayAllocator
) -> Sketches | None:
    """The sketches of all rows of the table, and of the known ones behind them; None where none were made."""
    packs, spool = rows.table.packs(_packs(settings, context.recipe.seed)), rows.table.spool
    if packs is None or settings.ignored_share is not None:
        return None
    banding = banding_of(settings, context.recipe.seed)
    last = sketch([chosen_text(one.row, settings.on) for one in known], banding, threads=context.threads)
    shingles = sum(packed_shingles(size, texts, settings.bands) for texts, _, size in packs)
    sizes = (len(rows.table) + len(known), shingles + last.shingles.size, settings.bands)
    parts = (Sketches.unpacked(spool.read(start, size)) for _, start, size in packs)
    return joined_sketches(chain(parts, (last,)), *sizes, allocator)


def _sketches(
    made: Sketches | None, known: Sequence[RowRef], heads: RowSelection, settings: Dedup, context: Context
) -> tuple[Sketches, NDArray[np.int32]]:
    """Sketches of the compared texts, and which of them is each row's, the known ones first."""
    if made is not None:
        total = made.starts.size - 1
        last = np.arange(total - len(known), total, dtype=np.int32)
        return made, np.concatenate([last, heads.numbers], dtype=np.int32, casting="same_kind")
    texts = [chosen_text(row, settings.on) for row in chain((one.row for one in known), heads.rows)]
    banding = banding_of(settings, context.recipe.seed)
    sketches = sketch(texts, banding, ignored_share=settings.ignored_share, threads=context.threads)
    return sketches, np.arange(len(texts), dtype=np.int32)


def _repeats(nodes: _Nodes, clusters: Clusters, repeated: list[tuple[int, int]], known: int) -> NDArray[np.void]:
    """The rows that go, as `_GONE`: those that were `repeated`, then the others in the order of their texts.

    The first `known` texts of the clusters are those of earlier datasets; `instead` is ~k for the k-th of them.
    """
    instead, similarity = clusters.kept_instead[known:], clusters.similarity[known:]
    given = [(-1, row, number, 1.0) for row, number in repeated]
    for text, answers in nodes.answers.items():
        best = int(instead[text])
        if best != text + known:
            stays = ~best if best < known else nodes.heads[best - known]
            given += [(text, row, stays, similarity[text]) for row in answers]
        else:
            given += [(text, row, stays, 1.0) for row, stays in answers.items() if row != stays]
    goes = ~_stays(clusters, known)
    goes[list(nodes.answers)] = False
    found = np.empty(goes.sum(), _GONE)
    found["text"], found["row"], found["similarity"] = np.flatnonzero(goes), nodes.heads[goes], similarity[goes]
    bests = instead[goes].astype(np.int64)
    found["instead"] = np.where(bests < known, ~bests, nodes.heads[np.maximum(bests - known, 0)])
    found = np.concatenate([np.array(given, _GONE), found])
    return found[np.argsort(found["text"], kind="stable")]


def _kept(
    rows: RowSelection, nodes: _Nodes, clusters: Clusters, known: int
) -> tuple[RowSelection, list[list[str]], dict[str, str]]:
    """The rows kept, the conflicts, and the ties; `known` as above."""
    stays = _stays(clusters, known)
    component = clusters.component[known:]
    shared = (np.bincount(component[stays], minlength=clusters.component.size) > 1)[component]
    alone = stays.copy()
    alone[list(nodes.answers)] = False
    kept, conflicts = [nodes.heads[alone]], []
    tied: defaultdict[int, list[str]] = defaultdict(list)
    ids = rows.take(nodes.heads[alone & shared]).ids()
    for name, number in zip(ids, component[alone & shared].tolist(), strict=True):
        tied[number].append(name)
    for number, answers in nodes.answers.items():
        if not stays[number]:
            continue
        stay = list(dict.fromkeys(answers.values()))
        kept.append(np.array(stay))
        if len(stay) > 1 or shared[number]:
            found = rows.take(kept[-1]).ids()
            tied[int(component[number])] += found
            if len(stay) > 1:
                conflicts.append(sorted(found))
    ties = {name: min(ids) for ids in tied.values() if len(ids) > 1 for name in ids}
    return rows.take(np.sort(np.concatenate(kept))), conflicts, ties


def _stays(clusters: Clusters, known: int) -> NDArray[np.bool_]:
    """Which of the texts behind the `known` ones are kept."""
    instead = clusters.kept_instead
    stays: NDArray[np.bool_] = instead[known:] == np.arange(known, instead.size, dtype=instead.dtype)
    return stays


def _nodes(rows: RowSelection, settings: Dedup, earlier: _Earlier) -> tuple[_Nodes, list[tuple[int, int]]]:
    """The rows by their compared text, in order of preference inside and out.

    Those whose text an earlier dataset has stand apart, with ~ the number of that dataset's row.
    """
    order = in_order(rows, settings)
    keys = compared_keys(rows, settings.on)
    firsts = first_of_each(keys, order)
    is_head = firsts == np.arange(firsts.size)
    several: dict[int, list[int]] = {}
    for at in np.flatnonzero(~is_head).tolist():
        first = int(firsts[at])
        several.setdefault(first, [int(order[first])]).append(int(order[at]))
    known = {key: number for number, key in enumerate(earlier.by_key)}
    repeated: list[tuple[int, int]] = []
    for first in np.flatnonzero(is_head).tolist() if known else ():
        number = known.get(keys[order[first]].tobytes())
        if number is not None:
            repeated += [(row, ~number) for row in several.pop(first, [int(order[first])])]
            is_head[first] = False
    texts = np.cumsum(is_head) - 1
    answers = {int(texts[first]): _stay(rows, node, settings.on) for first, node in several.items()}
    return _Nodes(order[is_head], answers), repeated


def _stay(rows: RowSelection, node: list[int], on: str) -> dict[int, int]:
    """For each of the rows with one text the one that stays for its answer."""
    stay: dict[bytes, int] = {}
    return {at: stay.setdefault(_answer_key(rows[at].row, on), at) for at in node}


def _answer_key(row: Row, on: str) -> bytes:
    """What tells answers apart where prompts are compared; else all rows of one text have the same."""
    return text_key(answer_text(row)) if on == "prompt" else b""


def _read_earlier(settings: Dedup, context: Context) -> _Earlier:
    """The rows of the datasets in `against`. Records that are no rows can't be repeated; they are counted."""
    by_key: dict[bytes, RowRef] = {}
    counts: dict[str, int] = {}
    for source in settings.against:
        assert context.read is not None
        found = context.read(context, source)
        if found is None:
            continue  # an index: the stage `index` asks it
        rows, unread = found
        keys = compared_keys(rows, settings.on).tobytes()
        for at, row in enumerate(rows):
            by_key.setdefault(keys[at * KEY_BYTES : (at + 1) * KEY_BYTES], row)
        counts[source.name] = len(rows)
        if unread:
            counts[f"{source.name} (unreadable)"] = unread
    return _Earlier(by_key, counts)
