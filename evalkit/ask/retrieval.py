"""What goes before a question: solved rows near to it, or passages of documents; and how often the right ones do."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.rows.row import Row
from curate.core.text.embedding import Embedder
from evalkit.documents.config import DocumentsConfig
from evalkit.documents.passages import Passage
from evalkit.documents.reading import DocumentFiles, Unreadable
from evalkit.results.result_record import AnswerInPassages, RetrievalFigures, UnreadableFile, UnreadableFiles
from evalkit.scorers.references import normalised, references
from evalkit.suite.items import question_text

_NAMED = 20  # unreadable files in a record; all are counted
_LONGEST_NAME = 80  # letters: a longer `source_passage` is the passage's text, not a file's name


def nearest_rows(
    queries: Sequence[str], texts: Sequence[str], count: int, embedder: Embedder
) -> list[list[tuple[int, float]]]:
    """For each query, the `count` nearest texts as (index, cosine similarity), the nearest last.

    Equal similarities go by index, so that the order is the same everywhere. Raises: ConfigError where the embedder
    can't be loaded.
    """
    # Rounded, because the last bits depend on the batch a text was embedded in, and must not decide an order.
    similarity = np.round(embedder.encode(queries) @ embedder.encode(texts).T, 5)
    chosen: list[list[tuple[int, float]]] = []
    for row in similarity:
        order = np.argsort(-row, kind="stable")[:count]
        chosen.append([(int(index), float(row[index])) for index in order[::-1]])
    return chosen


@dataclass(frozen=True, slots=True)
class RetrievedPassages:
    """The passages for each item, the best first; an item whose retriever failed has the reason in `faults`.

    `all_passages` is None where a user's function finds them: nobody knows what else it could have found.
    """

    found: Mapping[str, list[Passage]]
    faults: Mapping[str, str]
    top: int
    all_passages: Sequence[Passage] | None = None
    unreadable: Sequence[Unreadable] = ()


def retrieve(
    items: Sequence[Row],
    config: DocumentsConfig,
    source: DocumentFiles | Callable[..., Any],
    embedder: Embedder | None,
    folder: Path | None,
) -> RetrievedPassages:
    """The passages for each item, from a store in `folder` (None: in memory) or from the user's function."""
    questions = [question_text(item) for item in items]
    if not isinstance(source, DocumentFiles):
        return _asked(items, questions, source, config.top)
    from evalkit.documents.store import open_store

    store = open_store(source, config, embedder, folder)
    numbers = store.search(questions, config.top, config.ranking)
    found = {item.id: [store.passages[n] for n in best] for item, best in zip(items, numbers, strict=True)}
    return RetrievedPassages(found, {}, config.top, store.passages, store.unreadable)


def _asked(items: Sequence[Row], questions: Sequence[str], function: Callable[..., Any], top: int) -> RetrievedPassages:
    found: dict[str, list[Passage]] = {}
    faults: dict[str, str] = {}
    for item, question in zip(items, questions, strict=True):
        try:
            found[item.id] = [_passage(value) for value in list(function(question, top))[:top]]
        except Exception as error:  # noqa: BLE001 - a user's function; its trouble is one item's
            faults[item.id] = f"the retriever raised {type(error).__name__}: {error}"
    return RetrievedPassages(found, faults, top)


def _passage(value: Any) -> Passage:
    if isinstance(value, str):
        return Passage(file="", text=value)
    if isinstance(value, Mapping) and isinstance(value.get("text"), str):
        return Passage(file=str(value.get("source") or ""), text=value["text"])
    raise TypeError(f"a passage is a text or an object with `text`, not {type(value).__name__}")


def measure(items: Sequence[Row], retrieved: RetrievedPassages, scores: Mapping[str, float]) -> RetrievalFigures:
    """How often the passages shown hold what an item needs, and how it is answered with and without that.

    `recall` by k: of the items that name where their answer stands (`meta.source_passage`), the share that has it
    among the best k passages. `answer`: the items whose answer's words stand in a passage shown, and whether they
    stand anywhere in the documents. `scores` are the primary scorer's, by item; unscored ones are absent.
    """
    named = [item for item in items if item.meta.get("source_passage")]
    ranks = [_rank(item, retrieved.found.get(item.id, [])) for item in named]
    wanted = {item.id: [words for text in references(item) if (words := normalised(text))] for item in items}
    answered = [item.id for item in items if wanted[item.id]]
    shown = {key for key in answered if _holds(retrieved.found.get(key, []), wanted[key])}
    recall = {
        str(k): sum(rank is not None and rank <= k for rank in ranks) / len(named)
        for k in range(1, retrieved.top + 1)
        if named
    }
    unreadable = [UnreadableFile(item.file, item.why) for item in retrieved.unreadable[:_NAMED]]
    return RetrievalFigures(
        passages=None if retrieved.all_passages is None else len(retrieved.all_passages),
        unreadable=UnreadableFiles(len(retrieved.unreadable), unreadable),
        nothing_found=sum(not passages for passages in retrieved.found.values()),
        failed=len(retrieved.faults),
        source_named=len(named),
        recall=recall or None,
        answer=AnswerInPassages(
            items=len(answered),
            in_context=len(shown),
            in_documents=_anywhere(retrieved.all_passages, [wanted[key] for key in answered]),
            score_with=_mean(scores, shown),
            score_without=_mean(scores, set(answered) - shown),
        ),
    )


def _rank(item: Row, passages: Sequence[Passage]) -> int | None:
    """The place, from 1, of the first passage that the item names as its source: file, `file#heading`, or text."""
    value = item.meta["source_passage"]
    names = [str(name) for name in value] if isinstance(value, list) else [str(value)]
    for rank, passage in enumerate(passages, start=1):
        places = {passage.file, f"{passage.file}#{passage.heading}"}
        places.add(f"{passage.file}#{passage.heading.rpartition(' > ')[2]}")
        for name in names:
            if name in places or (len(name) > _LONGEST_NAME and (passage.text in name or name in passage.text)):
                return rank
    return None


def _holds(passages: Sequence[Passage], answers: Sequence[str]) -> bool:
    text = _joined(passages)
    return any(f" {answer} " in text for answer in answers)


def _anywhere(passages: Sequence[Passage] | None, wanted: Sequence[Sequence[str]]) -> int | None:
    if passages is None:
        return None
    text = _joined(passages)
    return sum(any(f" {answer} " in text for answer in answers) for answers in wanted)


def _joined(passages: Sequence[Passage]) -> str:
    """All passages as one searchable text; an answer can't begin in one and end in the next."""
    return "\n".join(f" {normalised(passage.searchable)} " for passage in passages)


def _mean(scores: Mapping[str, float], keys: Collection[str]) -> float | None:
    known = [scores[key] for key in keys if key in scores]
    return sum(known) / len(known) if known else None
