"""What production is compared with: the dataset's questions, and the answers that were trained on or measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.files import decode_lines
from curate.core.manifest import MANIFEST, read_manifest
from curate.core.rows.row import Row
from evalkit.drift.logs import Entry
from evalkit.results.folder import read_results
from evalkit.results.result_record import ResultRecord
from evalkit.suite.items import question_text


@dataclass(frozen=True, slots=True)
class Reference:
    """`train` was trained on; `held_out` was not, and says what new rows of the same kind look like.

    `answers` are the contender's to held-out items where there are results, else those of the dataset. `manifest` is
    its digest.
    """

    manifest: str
    train: list[Entry]
    held_out: list[Entry]
    answers: list[Entry]
    answers_from: str

    @property
    def questions(self) -> list[Entry]:
        """All of the dataset's."""
        return [*self.train, *self.held_out]


def read_reference(dataset: Path, results: Path | None = None, contender: str | None = None) -> Reference:
    """The reference in a dataset's folder and, where given, a results folder.

    Raises: DataError, ProvenanceError; ConfigError where several contenders could be meant.
    """
    if not (dataset / MANIFEST).is_file():
        raise DataError("no dataset here: it has no manifest.json", where=dataset, fix="build it with `curate build`")
    manifest = read_manifest(dataset / MANIFEST)
    train = _rows(dataset / "train.jsonl")
    held_out = [*_rows(dataset / "test.jsonl"), *_rows(dataset / "val.jsonl")]
    if not train:
        raise DataError("the dataset has no training rows", where=dataset / "train.jsonl")
    digest = manifest.digest
    if results is None:
        answers = [*train, *held_out]
        return Reference(digest, _entries(train), _entries(held_out), _entries(answers), "the dataset's answers")
    found = read_results(results)
    described = manifest.outputs.get("train.jsonl")
    if found.result.chain.dataset.train != (described.digest if described is not None else None):
        raise ProvenanceError(
            "the results are of another dataset", where=results, fix="name the dataset that their suite names"
        )
    name = contender or _only_adapter(found.result, results)
    if name not in found.result.names:
        raise ConfigError(f"no contender is called {name}", where=results, fix="see `evalkit show`")
    items = {item.id: item for item in found.items}
    answers_given = [
        _entry(items[made.item], made.text)
        for made in found.generations
        if made.contender == name and made.error is None and made.item in items
    ]
    return Reference(digest, _entries(train), _entries(held_out), answers_given, f"the answers of {name}")


def _rows(path: Path) -> list[Row]:
    return list(decode_lines(path, Row)) if path.is_file() else []


def _entries(rows: Sequence[Row]) -> list[Entry]:
    return [_entry(row, row.answer) for row in rows]


def _entry(row: Row, answer: str) -> Entry:
    schema = row.meta.get("answer_schema")
    return Entry(question_text(row), answer, row.label, schema=schema if isinstance(schema, dict) else None)


def _only_adapter(result: ResultRecord, where: Path) -> str:
    tuned = [contender.name for contender in result.contenders if contender.adapter]
    if len(tuned) != 1:
        raise ConfigError(
            f"{len(tuned)} contenders of the results are adapters", where=where, fix="name one with --contender"
        )
    return tuned[0]
