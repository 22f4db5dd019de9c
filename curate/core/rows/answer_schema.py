"""Checks answers against JSON schemas (Draft 2020-12): compiled once each, nothing fetched, patterns time-limited."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import regex  # type: ignore[import-untyped]  # ships no types
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from curate.core.digests import canonical_json, digest_bytes
from curate.core.errors import ConfigError, os_errors

# A pattern that needs longer on one answer is one that would hang: ordinary ones take microseconds.
_PATTERN_LIMIT_S = 0.5
# Keywords that run a pattern without our time limit.
_REFUSED = ("patternProperties",)


class BadSchemaError(Exception):
    """A schema that can't be used; the text says why."""


class Schemas:
    """Validators by the digest of their schema. Holds no network access: references inside a schema only."""

    def __init__(self) -> None:
        self._compiled: dict[str, Any] = {}

    def fault(self, schema: Any, answer: object) -> str | None:
        """What is wrong with `answer`, None where nothing is. Raises: BadSchemaError."""
        digest = digest_bytes(canonical_json(schema))
        if digest not in self._compiled:
            self._compiled[digest] = _compile(schema)
        validator = self._compiled[digest]
        try:
            # The shallowest fault says most; ties go to the first in the answer, so that the message is stable.
            faults = sorted(validator.iter_errors(answer), key=lambda fault: (len(fault.path), fault.json_path))
        except Unresolvable as error:
            raise BadSchemaError(f"a reference leads outside the schema: {error.ref}") from error
        except (RecursionError, regex.error) as error:
            raise BadSchemaError(f"{type(error).__name__}: {error}") from error
        return f"{faults[0].json_path}: {_short(faults[0].message)}" if faults else None


def read_schema(path: Path) -> Any:
    """The schema in a file. Raises: ConfigError where it is none."""
    with os_errors(path):
        data = path.read_bytes()
    try:
        schema = msgspec.json.decode(data)
        _compile(schema)
    except (msgspec.MsgspecError, UnicodeError, BadSchemaError) as error:
        raise ConfigError(f"not a JSON schema: {error}", where=path, fix="correct the file") from error
    return schema


def _compile(schema: Any) -> Any:
    if not isinstance(schema, Mapping | bool):
        raise BadSchemaError(f"a schema is an object, not a {type(schema).__name__}")
    try:
        _Validator.check_schema(schema)
    except SchemaError as error:
        raise BadSchemaError(f"{error.json_path}: {_short(error.message)}") from error
    text = canonical_json(schema).decode()
    for keyword in _REFUSED:
        if f'"{keyword}":' in text:
            raise BadSchemaError(f"{keyword} is not supported")
    return _Validator(schema, registry=Registry())


def _pattern(_: Any, pattern: str, instance: object, __: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    try:
        found = regex.search(pattern, instance, timeout=_PATTERN_LIMIT_S)
    except TimeoutError:
        yield ValidationError(f"the pattern {pattern!r} takes longer than {_PATTERN_LIMIT_S} s")
        return
    if found is None:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # typed without its arguments
    jsonschema.Draft202012Validator, {"pattern": _pattern}
)


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
