"""The results folder: what is in it, whether it is up to date, and reading it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.core.digests import digest_file
from curate.core.errors import DataError, ProvenanceError
from curate.core.files import decode_lines
from curate.core.rows.row import Row
from evalkit.records.lines import Generation, Score
from evalkit.records.typed import read_typed
from evalkit.results.result_record import ResultRecord

RESULT = "result.json"
_FIX = "make them again with `evalkit run`"
ITEMS, GENERATIONS, SCORES = "items.jsonl", "generations.jsonl", "scores.jsonl"


@dataclass(frozen=True, slots=True)
class Results:
    """What a results folder holds. The items are kept with it, so that a report can be made from the folder alone."""

    result: ResultRecord
    items: Sequence[Row]
    generations: Sequence[Generation]
    scores: Sequence[Score]


def current_result(folder: Path, input_digest: str) -> ResultRecord | None:
    """The result in `folder` if it was made from these inputs and all its files are as they were written.

    A result that lacks answers for trouble that may pass is not current: another run asks for them again.
    """
    record = peek_result(folder)
    if record is None or record.input_digest != input_digest or (record.environment or {}).get("unanswered"):
        return None
    return record if edited_files(folder, record) == [] else None


def refuse_edited(folder: Path, record: ResultRecord, fix: str) -> None:
    """Raises: ProvenanceError, with `fix`, where files of a results folder are not as they were written."""
    edited = edited_files(folder, record)
    if edited is None or edited:
        raise ProvenanceError(
            f"the results were changed after they were written: {', '.join(edited or ()) or 'no files are named'}",
            where=folder,
            fix=fix,
        )


def edited_files(folder: Path, record: ResultRecord) -> list[str] | None:
    """The files of a results folder that are gone, or not as its record says that they were written.

    None where the record names no files: then it vouches for nothing.
    """
    edited = [
        name
        for name, digest in record.files.items()
        if not (folder / name).is_file() or digest_file(folder / name) != digest
    ]
    return edited if record.files else None


def peek_result(folder: Path) -> ResultRecord | None:
    """The record of a results folder; None where there is none that can be trusted."""
    try:
        return read_result(folder)
    except (DataError, ProvenanceError):
        return None


def read_result(folder: Path) -> ResultRecord:
    """The record of a results folder. Raises: DataError where there is none, ProvenanceError where it is damaged."""
    path = folder / RESULT
    if not path.is_file():
        raise DataError("no results here: result.json is missing", where=folder, fix="make them with `evalkit run`")
    return read_typed(path, ResultRecord, "a result", _FIX)


def read_results(folder: Path) -> Results:
    """Everything in a results folder."""
    return Results(
        read_result(folder),
        list(decode_lines(folder / ITEMS, Row)),
        list(decode_lines(folder / GENERATIONS, Generation)),
        list(decode_lines(folder / SCORES, Score)),
    )
