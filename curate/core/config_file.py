"""YAML configuration: unknown keys refused, every fault of a file in one message, each with its line."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from curate.core.errors import ConfigError, os_errors
from curate.core.unknown_keys import unknown_key
from curate.core.yaml_text import MAX_CHARACTERS, KeyPath, parse_yaml

M = TypeVar("M", bound="Config")
_SHOWN_FAULTS = 20  # a file that is something else has a fault in every line


class Config(BaseModel):
    """What every configuration model inherits: frozen, and a key it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_strip_whitespace=False)


def load_config(path: Path, model: type[M]) -> M:
    """The file at `path` as a `model`. Raises: ConfigError that lists every fault with its line."""
    with os_errors(path):
        try:
            with path.open(encoding="utf-8-sig") as file:
                text = file.read(MAX_CHARACTERS + 1)  # no more: it may be a device that never ends
        except UnicodeDecodeError as error:
            what = f"not UTF-8 text: {error.reason} at byte {error.start}"
            raise ConfigError(what, where=path, fix="save the file as UTF-8") from error
    return parse_config(text, model, path)


def parse_config(text: str, model: type[M], path: Path) -> M:
    """`text` as a `model`; `path` is what errors name. Raises: ConfigError that lists every fault with its line."""
    given = parse_yaml(text, path)
    if not isinstance(given.value, dict):
        raise ConfigError("expected `key: value` lines at the top", where=f"{path}:1", fix="correct the file")
    faults = [f"{path}:{line}: {'.'.join(map(str, keys))}: given twice" for line, keys in given.repeated]
    try:
        config = model.model_validate(given.value)
    except ValidationError as error:
        faults += [_describe(fault, model, given.lines, path) for fault in error.errors(include_url=False)]
    else:
        if not faults:
            return config
    count = f"{len(faults)} mistakes" if len(faults) > 1 else "a mistake"
    shown = [f"  {fault}" for fault in faults[:_SHOWN_FAULTS]]
    if len(faults) > _SHOWN_FAULTS:
        shown.append(f"  and {len(faults) - _SHOWN_FAULTS} more")
    raise ConfigError("\n".join([f"{count} in {path}", *shown]), fix="correct the file")


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
