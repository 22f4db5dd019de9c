"""Near duplicates: rows whose prompt (or answer, or conversation) shares most of its word runs with a better row's.

A near pair is a duplicate where the numbers in it agree, the answers are equal or near, and all else is equal that
stands beside them. Else both rows stay, tied: as a conflict where the numbers agree, for their numbers where not.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from curate.core.errors import DataError
from curate.core.markdown import cell, table
from curate.core.rows.row import REJECTED, Row
from curate.core.rows.row_keys import BESIDE, beside
from curate.core.rows.row_text import KEY_BYTES, answer_text, chosen_text, text_key
from curate.core.union_find import UnionFind
from curate.dedup.cluster_table import similarity_histogram
from curate.dedup.earlier_index import duplicates_key
from curate.dedup.greedy_clusters import Clusters, Rules, find_clusters
from curate.dedup.minhash import (
    Sketches,
    SketchPacks,
    banding_of,
    frequent_shingles,
    joined_sketches,
    packed_shingles,
    sketch,
    without_shingles,
)
from curate.dedup.shared_text import SharedText, shared_text
from curate.dedup.which_stays import UNNAMED, Ranks, in_order
from curate.recipe.recipe import Dedup, Recipe
from curate.table.array_allocator import ArrayAllocator
from curate.table.chunk import ChunkRows, Makers
from curate.table.rejections import Block, Instead, OtherRows, Rejections, Rule
from curate.table.selection import RowRef, RowSelection
from curate.table.stage import CacheKey, Context, Measured, Stage, StageResult, Table

_SIMILAR, _SAME = "Jaccard similarity {similarity:.4f} with {name}", "the compared text is the same as that of {name}"
U64 = np.uint64
_RULES = tuple(
    Rule(reason, detail) for reason in ("near-duplicate", "in-earlier-dataset") for detail in (_SIMILAR, _SAME)
)
_LISTED = 50  # conflicts by name; the counts are of all
_SHOWN = 10  # in an error
_HEAD = ("row", "is like", "similarity", "differs in")


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


@dataclass(frozen=True)
class Beside:
    """What stands beside the compared texts, as a column: `row_keys.beside` of each row."""

    name: ClassVar[str] = "beside"

    def make(self, rows: ChunkRows) -> NDArray[np.uint64]:
        """The numbers of these rows, shape (n, BESIDE)."""
        return rows.beside


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The rows of earlier datasets, one for each compared text, and how many there are of which."""

    rows: list[RowRef]
    counts: dict[str, int]


class NearDuplicates(Stage):
    """The rows stay that repeat no better row; of those that are like one and don't repeat it, it tells.

    Rows that repeat one of a dataset in `against` go, whatever their answers. Kept rows that are like each other, or
    like a dropped one, are tied: they belong on one side of a split.
    """

    name = "near"
    finds_duplicates = True

    def cache_key(self, context: Context) -> CacheKey:
        """The settings, and the files of earlier datasets."""
        return duplicates_key(context, "against", "adapter", "join")

    def makers(self, recipe: Recipe, folder: Path) -> Makers:  # noqa: ARG002 - a stage's
        """What rows are preferred by, what stands beside their texts, and sketches of these."""
        settings = recipe.dedup
        if settings is None:
            return Makers((Ranks(UNNAMED),))
        keys = () if settings.on == "prompt" else (ComparedKeys(settings.on),)
        return Makers((Ranks(settings), Beside(), *keys), (_packs(settings, recipe.seed),))

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are left, with ties and conflicts. Raises: DataError for conflicts that the recipe forbids."""
        settings = context.recipe.dedup
        if settings is None:
            return StageResult(rows)
        earlier = _read_earlier(settings, context)
        known = earlier.rows
        allocator = ArrayAllocator(context.memory)
        with ThreadPoolExecutor(1) as beside_it:  # they are only copied, without the interpreter's lock
            made = beside_it.submit(_sketches_from_reading, known, rows, settings, context, allocator)
            order = in_order(rows, settings)
        said = np.array([beside(one.row) for one in known], U64).reshape(-1, BESIDE)
        said = np.concatenate([said, rows.values(Beside())[order]])
        ranked = rows.take(order)
        sketches, numbers = _sketches(made.result(), known, ranked, settings, context, said[:, 0])
        del made
        sketches, shared = _without_shared(sketches, numbers[len(known) :], ranked, said, settings, context)
        rules = _rules(known, ranked, said, settings, context)
        told = sketches.numbers[numbers]
        clusters = find_clusters(
            sketches, settings.threshold, rules, order=numbers, threads=context.threads, allocator=allocator
        )
        del sketches
        result = _result(rows, order, known, clusters, told, settings)
        if settings.against:
            result.counts["against"] = earlier.counts
        if not shared:
            return result
        set_aside = [{"source": one.source, "text": one.text} for one in shared]
        return replace(result, report={**(result.report or {}), "set_aside": set_aside})

    def card(self, report: Any) -> str:
        """What was set aside, and the conflicts."""
        parts = []
        if shared := report.get("set_aside"):
            listed = "\n".join(f"- {cell(one['source'])}: {cell(one['text'])}" for one in shared)
            parts.append(
                f"Most rows of a source share this text, so it counts for nothing in comparing them:\n\n{listed}"
            )
        if report.get("conflicts"):
            lines = [[*map(cell, line[:2]), *line[2:]] for line in _lines(report)]
            parts.append("Rows that are alike and stay, the most similar first:\n\n" + table(_HEAD, lines))
        return "## Alike, and not the same\n\n" + "\n\n".join(parts)

    def tables(self, report: Any) -> Iterator[Table]:
        """The same."""
        if shared := report.get("set_aside"):
            yield ("source", "text that most rows share, set aside"), [[one["source"], one["text"]] for one in shared]
        if report.get("conflicts"):
            yield _HEAD, _lines(report)


def _lines(report: Any) -> list[list[object]]:
    return [[*one["rows"], one["similarity"], one["differs"]] for one in report["conflicts"]]


def compare_texts(
    texts: Sequence[str], settings: Dedup, *, seed: int = 0, rules: Rules | None = None, threads: int = 1
) -> Clusters:
    """Which texts repeat which, the preferred ones first."""
    scenes = rules.scenes if rules is not None else None
    sketches = sketch(
        texts, banding_of(settings, seed), scenes=scenes, ignored_share=settings.ignored_share, threads=threads
    )
    return find_clusters(sketches, settings.threshold, rules, threads=threads)


def _packs(settings: Dedup, seed: int) -> SketchPacks:
    return SketchPacks(settings.on, banding_of(settings, seed))


def _sketches_from_reading(
    known: Sequence[RowRef], rows: RowSelection, settings: Dedup, context: Context, allocator: ArrayAllocator
) -> Sketches | None:
    """The sketches of all rows of the table, and of the known ones behind them; None where none were made."""
    packs, spool = rows.table.packs(_packs(settings, context.recipe.seed)), rows.table.spool
    if packs is None:
        return None
    banding = banding_of(settings, context.recipe.seed)
    scenes = np.array([beside(one.row)[0] for one in known], U64)
    texts = [chosen_text(one.row, settings.on) for one in known]
    last = sketch(texts, banding, scenes=scenes, threads=context.threads)
    shingles = sum(packed_shingles(size, texts, settings.bands) for texts, _, size in packs)
    sizes = (len(rows.table) + len(known), shingles + last.shingles.size, settings.bands)
    parts = (Sketches.unpacked(spool.read(start, size)) for _, start, size in packs)
    return joined_sketches(chain(parts, (last,)), *sizes, allocator)


def _sketches(
    made: Sketches | None, known: Sequence[RowRef], ranked: RowSelection, settings: Dedup, context: Context,
    scenes: NDArray[np.uint64],
) -> tuple[Sketches, NDArray[np.int32]]:  # fmt: skip
    """Sketches of the compared texts, and which of them is each row's, the known ones first."""
    if made is not None:
        total = made.starts.size - 1
        last = np.arange(total - len(known), total, dtype=np.int32)
        return made, np.concatenate([last, ranked.numbers], dtype=np.int32, casting="same_kind")
    texts = [chosen_text(row, settings.on) for row in chain((one.row for one in known), ranked.rows)]
    sketches = sketch(texts, banding_of(settings, context.recipe.seed), scenes=scenes, threads=context.threads)
    return sketches, np.arange(len(texts), dtype=np.int32)


def _without_shared(
    sketches: Sketches, numbers: NDArray[np.int32], ranked: RowSelection, said: NDArray[np.uint64], settings: Dedup,
    context: Context,
) -> tuple[Sketches, list[SharedText]]:  # fmt: skip
    """The sketches without the word runs that are set aside, and the text that they are of.

    `numbers` are the sketches of the ranked rows, and `said` is what stands beside the texts, the known ones first.
    """
    known = len(said) - len(ranked)
    total = sketches.starts.size - 1
    scenes = np.zeros(total, U64)
    scenes[numbers] = said[known:, 0]
    if known:
        scenes[total - known if total > len(said) else 0 :][:known] = said[:known, 0]
    banding = banding_of(settings, context.recipe.seed)
    if settings.ignored_share is not None:
        most = max(1, int(settings.ignored_share * len(said)))
        aside, shared = frequent_shingles(sketches, scenes, most), []
    else:
        shared = shared_text(sketches, scenes, numbers, ranked, banding, settings.on)
        aside = np.unique(np.concatenate([np.empty(0, np.uint32), *(one.shingles for one in shared)]))
    return (without_shingles(sketches, scenes, aside, banding) if aside.size else sketches), shared


def _rules(
    known: Sequence[RowRef], ranked: RowSelection, said: NDArray[np.uint64], settings: Dedup, context: Context
) -> Rules:
    """What has to be equal, beside what is compared, for a row to repeat another."""
    rules = Rules(np.ascontiguousarray(said[:, 0]), earlier=len(known))
    # Rows that are compared by their answers may be of any prompt; and conflicts may be wanted to go.
    if settings.on == "answer" or settings.conflicts == "drop":
        return rules
    banding = replace(banding_of(settings, context.recipe.seed), bands=0)

    def shingles(texts: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        answers = [answer_text(row) for row in ranked.take(texts - len(known)).rows]
        made = sketch(answers, banding, threads=context.threads)
        return made.shingles, made.starts

    return replace(
        rules, fixed=np.ascontiguousarray(said[:, 1]), answers=np.ascontiguousarray(said[:, 2]), shingles=shingles
    )


def _result(
    rows: RowSelection, order: NDArray[np.int64], known: Sequence[RowRef], clusters: Clusters,
    told: NDArray[np.uint64], settings: Dedup,
) -> StageResult:  # fmt: skip
    """What the clusters make of the rows; `order` are the positions of these, the known ones' texts come before."""
    first = len(known)
    instead = clusters.kept_instead[first:].astype(np.int64)
    stays = instead == np.arange(first, first + instead.size)
    goes = np.flatnonzero(~stays)
    others = OtherRows([one.id for one in known], [one.place.source for one in known])
    similarity = np.array([round(one, 4) for one in clusters.similarity[first:][goes].tolist()], np.float64)
    is_here = instead[goes] >= first
    kept_instead = np.where(is_here, rows.numbers[order[np.maximum(instead[goes] - first, 0)]], ~instead[goes])
    rule = ((similarity == 1) + 2 * ~is_here).astype(np.uint8)
    block = Block(
        NearDuplicates.name, rows.take(order[goes]), _RULES, rule, None,
        Instead(rows.table, kept_instead, similarity, others),
    )  # fmt: skip
    counts = {"similarities": similarity_histogram(similarity, settings.threshold)}
    alike = np.flatnonzero(stays & (clusters.partner[first:] >= 0))
    partner = clusters.partner[first:][alike].astype(np.int64) - first
    same = told[first:][alike] == told[first:][partner]
    if alike.size:
        counts["alike"] = {"other answers": int(same.sum()), "other numbers": int((~same).sum())}
    pairs = _Pairs(rows, order[alike], order[partner], same, clusters.closeness[first:][alike])
    if settings.conflicts == "error" and same.any():
        raise _conflicts_error(pairs)
    report: dict[str, Any] = {}
    if alike.size:
        report["conflicts"] = pairs.listed()
    ties = _ties(rows, order, stays, clusters.component[first:])
    kept = rows.take(np.sort(order[stays]))
    return StageResult(kept, Rejections([block]), ties, pairs.groups(), counts, report or None)


def _ties(
    rows: RowSelection, order: NDArray[np.int64], stays: NDArray[np.bool_], component: NDArray[np.int32]
) -> dict[str, str]:
    """What holds the kept rows together of which a component has several."""
    shared = stays & (np.bincount(component[stays], minlength=int(component.max(initial=0)) + 1) > 1)[component]
    tied: defaultdict[int, list[str]] = defaultdict(list)
    ids = rows.take(order[shared]).ids()
    for name, number in zip(ids, component[shared].tolist(), strict=True):
        tied[number].append(name)
    return {name: min(ids) for ids in tied.values() if len(set(ids)) > 1 for name in ids}


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Kept rows that are like another: the positions of both in `rows`, whether their numbers agree, how similar."""

    rows: RowSelection
    later: NDArray[np.int64]
    earlier: NDArray[np.int64]
    same_numbers: NDArray[np.bool_]
    similarity: NDArray[np.float64]

    def groups(self) -> list[list[str]]:
        """The ids of conflicting rows, those together that lead from one to the next."""
        joined = UnionFind[str]()
        later, earlier = (self.rows.take(side[self.same_numbers]).ids() for side in (self.later, self.earlier))
        for one, other in zip(later, earlier, strict=True):
            joined.join(one, other)
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for name, first in joined.all().items():
            groups[first].append(name)
        return sorted(sorted(group) for group in groups.values())

    def listed(self, most: int = _LISTED) -> list[dict[str, Any]]:
        """Some of them by name, conflicts first, then by how similar they are."""
        chosen = np.lexsort((-self.similarity, ~self.same_numbers))[:most]
        found = []
        for at in chosen.tolist():
            one, other = self.rows[int(self.later[at])], self.rows[int(self.earlier[at])]
            differs = _difference(one.row, other.row) if self.same_numbers[at] else "numbers"
            similarity = round(float(self.similarity[at]), 4)
            found.append({"rows": [one.id, other.id], "similarity": similarity, "differs": differs})
        return found


def _difference(one: Row, other: Row) -> str:
    """What keeps two rows apart whose compared texts are alike."""
    if one.label != other.label:
        return "label"
    if one.meta.get(REJECTED) != other.meta.get(REJECTED) and answer_text(one) == answer_text(other):
        return "rejected answer"
    if [one.messages[-1].reasoning_content] != [other.messages[-1].reasoning_content]:
        return "reasoning"
    return "answer"


def _conflicts_error(pairs: _Pairs) -> DataError:
    count = int(pairs.same_numbers.sum())
    lines = [f"{count} rows are like another and differ from it, and `dedup.conflicts` is error"]
    for one in pairs.listed(min(count, _SHOWN)):
        first, second = one["rows"]
        lines.append(f"  {first} and {second} are alike ({one['similarity']:g}) and differ in the {one['differs']}")
    fix = "correct the rows, or set `dedup: {conflicts: report}` to keep them, or `drop` to keep the preferred"
    return DataError("\n".join(lines), where="dedup", fix=fix)


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
        keys, scenes = compared_keys(rows, settings.on), rows.values(Beside())[:, 0]
        for at, row in enumerate(rows):
            by_key.setdefault(keys[at].tobytes() + scenes[at].tobytes(), row)
        counts[source.name] = len(rows)
        if unread:
            counts[f"{source.name} (unreadable)"] = unread
    return _Earlier(list(by_key.values()), counts)
