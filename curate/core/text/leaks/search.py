"""The search for items in rows: every tier over every text, and the evidence from what they find."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import Row
from curate.core.text.leaks import char_jaccard as characters
from curate.core.text.leaks.code_shapes import similar_code
from curate.core.text.leaks.evidence import TIERS, Evidence, Findings, Touched
from curate.core.text.leaks.hashed_words import Template, Words, cells_for, count_own, count_runs, split_words
from curate.core.text.leaks.items import Suite, own_answer
from curate.core.text.leaks.rephrased import find_paraphrases
from curate.core.text.leaks.row_texts import Field, Holder, Texts, collect_texts
from curate.core.text.leaks.settings import Decontaminate, Part
from curate.core.text.leaks.word_runs import Patterns, make_patterns

_CHUNK_TEXTS = 2048
_SHOWN_CHARACTERS = 300  # enough to see what was found; the row itself is beside it
_QUESTIONS: frozenset[Field] = frozenset({"question", "turn"})
_ANSWERS: frozenset[Field] = frozenset({"answer"})


class Doc(NamedTuple):
    """A part of an item: the text that is looked for."""

    suite: str
    item: str
    part: Part
    text: str


class Match(NamedTuple):
    """A text (by number) that holds or resembles a doc (by number): tier, score, and where in the text."""

    text: int
    doc: int
    tier: str
    score: float
    start: int
    end: int
    fields: frozenset[Field] | None = None
    """The fields of rows that count; None for all."""


def find_contamination(
    rows: Sequence[Row], suites: Sequence[Suite], settings: Decontaminate, *, folder: Path, threads: int = 1
) -> Findings:
    """The evidence that rows give away items of the suites. `folder` is where a local embedder's path starts.

    Raises: ConfigError or ServiceError where the embedder of the paraphrase tier can't be loaded.
    """
    docs = _docs(suites, settings)
    held = collect_texts(rows)
    words = split_words([doc.text for doc in docs])
    templates = _templates(held, docs, words, settings)
    searcher = _Searcher.prepare(docs, words, templates, settings)
    matches: list[Match] = []
    short_hits: list[tuple[int, Match]] = []
    masked_words = all_words = 0
    for piece in _each_chunk(held, searcher.search, threads):
        matches += piece.matches
        short_hits += piece.short_hits
        masked_words += piece.masked_words
        all_words += piece.all_words
    kept, common = _without_common(short_hits, settings.template.limit(len(held)))
    matches += kept
    if settings.paraphrases is not None:
        matches += _paraphrases(held, docs, templates.everywhere, settings, folder)
    by_row = _evidence(rows, held, docs, matches)
    return Findings(
        by_row=by_row,
        touched=_touched(by_row, suites),
        suites=list(suites),
        common=sorted({f"{docs[doc].suite}/{docs[doc].item}" for doc in common}),
        blind=[
            f"{doc.suite}/{doc.item}"
            for number, doc in enumerate(docs)
            if doc.part == "question" and words.firsts[number] == words.firsts[number + 1]
        ],
        template_share=masked_words / all_words if all_words else 0.0,
    )


def _docs(suites: Sequence[Suite], settings: Decontaminate) -> list[Doc]:
    docs = [
        Doc(suite.name, item.id, part, item.question if part == "question" else own_answer(item.answer))
        for suite in suites
        for item in suite.items
        for part in settings.parts
    ]
    return [doc for doc in docs if doc.part == "question" or doc.text.strip()]


@dataclass(frozen=True, slots=True)
class _Templates:
    """What counts for nothing: everywhere, and in answers, where what many rows answer counts for nothing too."""

    everywhere: Template
    answers: Template

    def mask(self, words: Words, docs: Sequence[Doc]) -> NDArray[np.bool_]:
        """Whether each word of the docs, which `words` holds, belongs to a template."""
        is_answer = np.repeat([doc.part == "answer" for doc in docs], np.diff(words.firsts))
        return np.where(is_answer, self.answers.mask(words), self.everywhere.mask(words))


def _templates(texts: Texts, docs: Sequence[Doc], words: Words, settings: Decontaminate) -> _Templates:
    """The templates of these texts and docs, whose words `words` holds."""
    everywhere = _template(texts, docs, settings)
    longest = max((int(words.firsts[n + 1] - words.firsts[n]) for n, doc in enumerate(docs) if doc.part == "answer"),
                  default=0)  # fmt: skip
    if longest < settings.ngram:
        return _Templates(everywhere, everywhere)  # no answer is looked for
    answers = texts.answers()
    limit = settings.template.answer_limit(sum(answers.values()))
    # A text that many rows answer is as many texts; more than the limit's need not be told apart.
    in_rows = (texts[number] for number, rows in answers.items() for _ in range(min(rows, limit + 1)))
    in_items = [doc.text for doc in docs if doc.part == "answer"]
    limits = limit, settings.template.answer_limit(len(in_items))
    common = everywhere.common
    for given, most in zip((in_rows, iter(in_items)), limits, strict=True):
        common = common | (count_runs(map(split_words, _batches(given)), everywhere.ngram, common.size) > most)
    return _Templates(everywhere, Template(everywhere.ngram, common))


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(texts, _CHUNK_TEXTS)):
        yield batch


def _template(texts: Sequence[str], docs: Sequence[Doc], settings: Decontaminate) -> Template:
    items = list(dict.fromkeys(doc.text for doc in docs))
    ngram = settings.template.ngram
    cells = cells_for(sum(len(text) for chunk in _chunks(texts) for text in chunk) + sum(map(len, items)))
    in_rows = count_runs(map(split_words, _chunks(texts)), ngram, cells)
    in_items = count_runs(map(split_words, _chunks(items)), ngram, cells)
    # Together they tell a template that few rows and few items share, where either alone is too few to tell.
    common = in_rows + in_items > settings.template.limit(len(texts))
    common |= in_items > settings.template.limit(len(items))
    return Template(ngram, common)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one chunk of texts gave. `short_hits` (pattern, match) may turn out to be common phrases."""

    matches: list[Match]
    short_hits: list[tuple[int, Match]]
    masked_words: int
    all_words: int


@dataclass(frozen=True)
class _Searcher:
    """The items, ready to be looked for in a chunk of texts."""

    settings: Decontaminate
    templates: _Templates
    patterns: Patterns
    own_words: NDArray[np.int64]
    least: NDArray[np.float64]
    similar: list[tuple[characters.Index, Template, NDArray[np.int64], frozenset[Field]]]

    @classmethod
    def prepare(cls, docs: Sequence[Doc], words: Words, templates: _Templates, settings: Decontaminate) -> "_Searcher":
        """Index the docs, whose words `words` holds."""
        masked = templates.mask(words, docs)
        patterns = make_patterns(words, masked, settings.ngram, [doc.part == "question" for doc in docs])
        own_words = count_own(words, masked)
        wanted = settings.characters
        if wanted is None:
            return cls(settings, templates, patterns, own_words, np.empty(0), [])
        least = np.where(own_words < settings.ngram, wanted.short_threshold, wanted.threshold)
        similar = []
        for part, fields in (("question", _QUESTIONS), ("answer", _ANSWERS)):
            # Short answers are everyday words: many rows share them with an item without knowing its question.
            shortest = 1 if part == "question" else settings.ngram
            chosen = [n for n, doc in enumerate(docs) if doc.part == part and own_words[n] >= shortest]
            if chosen:
                part_words = split_words([docs[n].text for n in chosen])
                lowest = float(least[chosen].min())
                template = templates.everywhere if part == "question" else templates.answers
                index = characters.index_items(part_words, template.mask(part_words), wanted.ngram, lowest)
                similar.append((index, template, np.array(chosen, np.int64), fields))
        return cls(settings, templates, patterns, own_words, least, similar)

    def search(self, first: int, texts: Sequence[str]) -> _Piece:
        """All that is found in these texts, the first of which has the number `first`."""
        words = split_words(texts)
        masked = self.templates.everywhere.mask(words)
        matches, short_hits = self._overlaps(first, words, masked)
        for index, template, chosen, fields in self.similar:
            mask = masked if template is self.templates.everywhere else template.mask(words)
            for text, number, score in zip(*index.find(words, mask), strict=True):
                doc = int(chosen[number])
                if score >= self.least[doc]:
                    end = len(texts[int(text)])
                    matches.append(Match(first + int(text), doc, "characters", float(score), 0, end, fields))
        return _Piece(matches, short_hits, int(masked.sum()), masked.size)

    def _overlaps(
        self, first: int, words: Words, masked: NDArray[np.bool_]
    ) -> tuple[list[Match], list[tuple[int, Match]]]:
        hits = self.patterns.find(words, masked)
        lengths = self.patterns.lengths[hits.patterns]
        at = words.firsts[hits.texts] + hits.places
        begins, ends = words.begins[at], words.ends[at + lengths - 1]
        whole = self.patterns.whole[hits.patterns]
        docs = self.patterns.items[hits.patterns]
        matches: list[Match] = []
        short_hits: list[tuple[int, Match]] = []
        for hit in np.flatnonzero(whole & (hits.alone | (lengths >= self.settings.short_words))):
            match = Match(first + int(hits.texts[hit]), int(docs[hit]), "whole", 1.0, int(begins[hit]), int(ends[hit]))
            if lengths[hit] >= self.settings.ngram:
                matches.append(match)
                continue
            # Short words are answers of other questions, and stand in every scene: only questions count.
            match = match._replace(fields=_QUESTIONS)
            if hits.alone[hit]:
                matches.append(match)
            else:
                short_hits.append((int(hits.patterns[hit]), match))
        runs = np.flatnonzero(~whole)
        order = runs[np.lexsort((hits.places[runs], docs[runs], hits.texts[runs]))]
        for (text, doc), group in groupby(order.tolist(), lambda hit: (int(hits.texts[hit]), int(docs[hit]))):
            mine = list(group)
            covered = {
                int(self.patterns.places[hits.patterns[hit]]) + step for hit in mine for step in range(lengths[hit])
            }
            start, end = _longest([(int(hits.places[hit]), int(begins[hit]), int(ends[hit])) for hit in mine])
            score = min(1.0, len(covered) / int(self.own_words[doc]))
            matches.append(Match(first + text, doc, "ngram", score, start, end))
        return matches, short_hits


def _longest(hits: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """The first and last character of the longest stretch of hits (first word, begin, end) that follow each other."""
    best = (0, 0, 0)
    stretch, previous = 0, -2
    begin = 0
    for word, hit_begin, hit_end in hits:
        if word > previous + 1:
            stretch, begin = 0, hit_begin
        stretch += word != previous
        previous = word
        best = max(best, (stretch, -begin, hit_end))
    return -best[1], best[2]


def _without_common(short_hits: Sequence[tuple[int, Match]], limit: int) -> tuple[list[Match], set[int]]:
    """The short items found inside longer texts, but for those that stand in more than `limit` texts; and these."""
    texts: dict[int, set[int]] = defaultdict(set)
    for pattern, match in short_hits:
        texts[pattern].add(match.text)
    kept = [match for pattern, match in short_hits if len(texts[pattern]) <= limit]
    return kept, {match.doc for pattern, match in short_hits if len(texts[pattern]) > limit}


def _paraphrases(
    held: Texts, docs: Sequence[Doc], template: Template, settings: Decontaminate, folder: Path
) -> list[Match]:
    if settings.paraphrases is None:
        return []
    numbers = held.having(_QUESTIONS)
    chosen = [n for n, doc in enumerate(docs) if doc.part == "question"]
    own_texts = list(_own_texts([held[n] for n in numbers], template))
    own_docs = list(_own_texts([docs[n].text for n in chosen], template))
    pairs = find_paraphrases(own_texts, own_docs, settings.paraphrases, folder)
    answers = held.having(_ANSWERS)
    coded = [n for n, doc in enumerate(docs) if doc.part == "answer"]
    same_code = similar_code([held[n] for n in answers], [docs[n].text for n in coded], settings.paraphrases.threshold)
    return [
        Match(texts[text], parts[doc], "paraphrase", score, 0, len(held[texts[text]]), fields)
        for found, texts, parts, fields in ((pairs, numbers, chosen, _QUESTIONS), (same_code, answers, coded, _ANSWERS))
        for text, doc, score in found
    ]


def _own_texts(texts: Sequence[str], template: Template) -> Iterator[str]:
    """The texts without their template, as they are written; those of nothing but template are empty."""
    for chunk in _chunks(texts):
        words = split_words(chunk)
        masked = template.mask(words)
        for number, text in enumerate(chunk):
            here = words.of(number)
            if not masked[here].any():
                yield text
                continue
            kept, parts = np.flatnonzero(~masked[here]), []
            for run in np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1):
                if run.size:
                    parts.append(text[words.begins[here][run[0]] : words.ends[here][run[-1]]])
            yield " ".join(parts)


def _evidence(
    rows: Sequence[Row], held: Texts, docs: Sequence[Doc], matches: Sequence[Match]
) -> dict[int, list[Evidence]]:
    """The best match of each row, doc and tier as evidence; a whole item needs no other tier's word."""
    best: dict[tuple[int, int, str], tuple[float, int, Match, Holder]] = {}
    for match in matches:
        for holder in held.holders(match.text):
            if match.fields is None and holder.field == "turn":
                continue  # the same words are found in the whole question
            if match.fields is None or holder.field in match.fields:
                key = (holder.row, match.doc, match.tier)
                if key not in best or (match.score, -match.start) > (best[key][0], best[key][1]):
                    best[key] = (match.score, -match.start, match, holder)
    by_row: dict[int, list[Evidence]] = defaultdict(list)
    for row, doc, tier in sorted(best, key=lambda key: (key[0], key[1], TIERS.index(key[2]))):
        if tier == "whole" or (row, doc, "whole") not in best:
            _, _, match, holder = best[row, doc, tier]
            by_row[row].append(_describe(rows[row].id, held[match.text], docs[doc], match, holder))
    return dict(by_row)


def _describe(row: str, text: str, doc: Doc, match: Match, holder: Holder) -> Evidence:
    message, offset = holder.place(match.start)
    return Evidence(
        row=row,
        suite=doc.suite,
        item=doc.item,
        part=doc.part,
        tier=match.tier,
        score=round(match.score, 4),
        message=message,
        start=match.start - offset,
        end=match.end - offset,
        found=_shown(text[match.start : match.end]),
        item_text=_shown(doc.text),
        within=holder.field if holder.field in ("reasoning", "rejected") else "text",
    )


def _shown(text: str) -> str:
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return cut.encode("utf-8", "replace").decode()


def _touched(by_row: dict[int, list[Evidence]], suites: Sequence[Suite]) -> list[Touched]:
    found: dict[tuple[str, str], list[tuple[int, Evidence]]] = defaultdict(list)
    for row, evidence in by_row.items():
        for one in evidence:
            found[one.suite, one.item].append((row, one))
    touched = []
    for suite in suites:
        for item in dict.fromkeys(item.id for item in suite.items):
            mine = found.pop((suite.name, item), [])
            if mine:
                tiers = {one.tier for _, one in mine}
                touched.append(
                    Touched(
                        suite=suite.name,
                        item=item,
                        parts=sorted({one.part for _, one in mine}, reverse=True),
                        tiers=[tier for tier in TIERS if tier in tiers],
                        rows=len({row for row, _ in mine}),
                    )
                )
    return touched


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(texts), _CHUNK_TEXTS):
        yield texts[first : first + _CHUNK_TEXTS]


def _each_chunk(texts: Sequence[str], work: Callable[[int, Sequence[str]], _Piece], threads: int) -> Iterator[_Piece]:
    firsts = range(0, len(texts), _CHUNK_TEXTS)
    if threads <= 1:
        for first in firsts:
            yield work(first, texts[first : first + _CHUNK_TEXTS])
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda first: work(first, texts[first : first + _CHUNK_TEXTS]), firsts)
