"""What is measured on each entry: lengths, refusals, answers that don't fit what was asked for."""

from collections.abc import Sequence

import msgspec
import numpy as np

from curate.core.rows.answer_schema import BadSchemaError, Schemas
from evalkit.drift.logs import Entry
from evalkit.scorers.json_object import read_object
from evalkit.scorers.refusal import tell_refusals
from evalkit.stats.arrays import Floats

_MOSTLY = 0.9  # where so many answers of the dataset are JSON objects, one that isn't is a fault


def words(texts: Sequence[str]) -> Floats:
    """The number of words of each text."""
    return np.array([len(text.split()) for text in texts], dtype=np.float64)


def refusals(entries: Sequence[Entry]) -> tuple[int, int]:
    """How many answers decline, of how many of which that can be told."""
    found = tell_refusals([entry.answer for entry in entries if entry.answer.strip()])
    return found.count(True), found.count(True) + found.count(False)


def answers_in_json(answers: Sequence[Entry]) -> bool:
    """Whether these answers are, nearly all, JSON objects."""
    found = [isinstance(read_object(entry.answer, "whole"), dict) for entry in answers]
    return bool(found) and sum(found) / len(found) >= _MOSTLY


def schema_faults(entries: Sequence[Entry], *, json_expected: bool) -> tuple[int, int]:
    """How many answers break what they had to fit, of how many that had to fit something.

    That is the entry's own schema, the parameters of the tool that it calls, or, with `json_expected`, being a JSON
    object. A schema that can't be used says nothing.
    """
    schemas = Schemas()
    found = [_fits(entry, schemas, json_expected=json_expected) for entry in entries]
    return sum(fits is False for fits in found), sum(fits is not None for fits in found)


def _fits(entry: Entry, schemas: Schemas, *, json_expected: bool) -> bool | None:
    if entry.calls:
        return _calls_fit(entry, schemas) if entry.tools else None
    if entry.schema is None and not json_expected:
        return None
    found = read_object(entry.answer, "whole")
    if entry.schema is None or isinstance(found, str):
        return not isinstance(found, str)
    return _valid(schemas, entry.schema, found)


def _calls_fit(entry: Entry, schemas: Schemas) -> bool | None:
    offered = {
        tool["function"].get("name"): tool["function"].get("parameters")
        for tool in entry.tools
        if isinstance(tool.get("function"), dict)
    }
    verdicts: list[bool | None] = []
    for call in entry.calls:
        function = call.get("function")
        if not isinstance(function, dict) or function.get("name") not in offered:
            return False
        try:
            given = function.get("arguments")
            arguments = msgspec.json.decode(given) if isinstance(given, str) else given
        except (msgspec.MsgspecError, UnicodeError):
            return False
        schema = offered[function["name"]]
        verdicts.append(_valid(schemas, schema, arguments) if isinstance(schema, dict) else True)
    return False if False in verdicts else None if None in verdicts else True


def _valid(schemas: Schemas, schema: object, value: object) -> bool | None:
    try:
        return schemas.fault(schema, value) is None
    except BadSchemaError:
        return None
