"""YAML configuration: unknown keys refused, every fault of a file in one message, each with its line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from curate.core.errors import ConfigError, os_errors
from curate.core.unknown_keys import unknown_key

M = TypeVar("M", bound="Config")
KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML with 1.2's booleans, true and false alone: in 1.1 the key `on` and the label `no` are booleans too."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class Config(BaseModel):
    """What every configuration model inherits: frozen, and a key it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


def load_config(path: Path, model: type[M]) -> M:
    """The file at `path` as a `model`. Raises: ConfigError that lists every fault with its line."""
    with os_errors(path):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"not UTF-8 text: {error.reason} at byte {error.start}", where=path) from error
    return parse_config(text, model, path)


def parse_config(text: str, model: type[M], path: Path) -> M:
    """`text` as a `model`; `path` is what errors name. Raises: ConfigError that lists every fault with its line."""
    try:
        tree = yaml.compose(text, Loader=_Loader)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"not valid YAML: {getattr(error, 'problem', None) or error}", where=where) from error
    if not isinstance(values, dict):
        raise ConfigError("expected `key: value` lines at the top", where=path)
    faults = [f"{path}:{line}: {'.'.join(map(str, keys))}: given twice" for line, keys in _repeated_keys(tree)]
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        lines = dict(_key_lines(tree))
        faults += [_describe(fault, model, lines, path) for fault in error.errors(include_url=False)]
    else:
        if not faults:
            return config
    count = f"{len(faults)} mistakes" if len(faults) > 1 else "a mistake"
    raise ConfigError("\n".join([f"{count} in {path}", *(f"  {fault}" for fault in faults)]), fix="correct the file")


def _describe(fault: Any, model: type[BaseModel], lines: dict[KeyPath, int], path: Path) -> str:
    keys: KeyPath = fault["loc"]
    # pydantic adds the names of union members to the path; the longest part that is in the file is the place.
    place = next((keys[:n] for n in range(len(keys), -1, -1) if keys[:n] in lines), ())
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = unknown_key(model, keys)
    elif fault["type"] == "missing":
        message = "missing"
    elif fault["type"] == "union_tag_not_found":
        message = f"the key {fault['ctx']['discriminator']}, which says what it is, is missing"
    elif fault["type"] == "union_tag_invalid":
        known = fault["ctx"]["expected_tags"].replace("'", "")
        message = f"unknown {fault['ctx']['discriminator']} '{fault['ctx']['tag']}': known are {known}"
    return f"{path}:{lines.get(place, 1)}: {'.'.join(map(str, keys)) or '(file)'}: {message}"


def _key_lines(node: yaml.Node | None, keys: KeyPath = ()) -> Iterator[tuple[KeyPath, int]]:
    if node is None:
        return
    if not keys:
        yield (), node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*keys, key.value), key.start_mark.line + 1
            yield from _key_lines(value, (*keys, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*keys, index), value.start_mark.line + 1
            yield from _key_lines(value, (*keys, index))


def _repeated_keys(node: yaml.Node | None, keys: KeyPath = ()) -> Iterator[tuple[int, KeyPath]]:
    """YAML lets a later key overwrite an earlier one in silence; here it is a fault."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key.start_mark.line + 1, (*keys, key.value)
                seen.add(key.value)
            yield from _repeated_keys(value, (*keys, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated_keys(value, (*keys, index))
