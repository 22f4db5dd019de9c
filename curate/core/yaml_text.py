"""YAML that anybody may have written: what it says, or one error with its line; never a hang, whatever stands in it."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from curate.core.errors import ConfigError

KeyPath = tuple[str | int, ...]

MAX_CHARACTERS = 1_000_000
_MAX_NODES = 10_000  # fifty times what a long file has; as many take a quarter of a second to read
_MAX_DEPTH = 64
_MAX_INTEGER = 2**63  # what JSON, in which settings are kept, and machine code take
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")  # no path and no file in UTF-8 can hold these
_KINDS = {"timestamp": "date", "int": "whole number", "float": "number", "bool": "boolean"}
_TAGS = "tag:yaml.org,2002:"
_WRONG_VALUES = (ValueError, AttributeError, TypeError, ArithmeticError, LookupError)


@dataclass(frozen=True, slots=True)
class YamlText:
    """What a text says: its value, the line of each key and list element, and the keys that are given twice."""

    value: Any
    lines: dict[KeyPath, int]
    repeated: list[tuple[int, KeyPath]]


class _Loader(yaml.SafeLoader):
    """YAML with 1.2's booleans, true and false alone: in 1.1 the key `on` and the label `no` are booleans too, and
    the text `=` is none.

    A value counts as often as aliases repeat it, so that a short text can't stand for an endless one.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = self._deepest = 0
        # Of each anchor's value: how many values it is, and how many levels. None while it is being read.
        self._anchored: dict[str, tuple[int, int] | None] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next value. Raises: MarkedYAMLError where it is too deep, too much, or holds itself."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs'
        anchor, is_alias = event.anchor or "", isinstance(event, yaml.AliasEvent)
        known = self._anchored.get(anchor, (1, 1)) if is_alias else (1, 1)
        if known is None:
            raise _fault(f"the value *{anchor} holds itself", event.start_mark)
        before, deepest = self._nodes, self._deepest
        self._nodes += known[0]
        self._deepest = self._depth + known[1]
        if self._nodes > _MAX_NODES:
            raise _fault(f"more than {_MAX_NODES} values, those that an alias repeats included", event.start_mark)
        if self._deepest > _MAX_DEPTH:
            raise _fault(f"more than {_MAX_DEPTH} levels, one inside the other", event.start_mark)
        if anchor and not is_alias:
            self._anchored[anchor] = None
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if anchor and not is_alias:
            self._anchored[anchor] = self._nodes - before, self._deepest - self._depth
        self._deepest = max(deepest, self._deepest)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node. Raises: MarkedYAMLError where it isn't what its tag or look says, or can't be used."""
        try:
            value = super().construct_object(node, deep)
        except _WRONG_VALUES as error:
            kind = _KINDS.get(node.tag.removeprefix(_TAGS), "value")
            raise _fault(f"{_shown(node)} is no {kind}; text stands in quotes", node.start_mark) from error
        except yaml.constructor.ConstructorError as error:
            if node.tag in self.yaml_constructors:
                raise
            raise _fault(f"the tag {node.tag.replace(_TAGS, '!!')} means nothing here", node.start_mark) from error
        if isinstance(value, str) and _UNUSABLE.search(value):
            raise _fault("a NUL character or half of a character in a text", node.start_mark)
        if isinstance(value, float) and not math.isfinite(value):
            raise _fault(f"{_shown(node)} is no finite number", node.start_mark)
        if isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
            raise _fault(f"{_shown(node)} is a number beyond 64 bits", node.start_mark)
        if isinstance(value, bytes | set):
            raise _fault(f"{node.tag.removeprefix(_TAGS)} is no kind of value that is used here", node.start_mark)
        return value


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in {f"{_TAGS}bool", f"{_TAGS}value"}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAGS}bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def parse_yaml(text: str, path: Path) -> YamlText:
    """What the text says; `path` is what errors name.

    Raises: ConfigError for what isn't YAML, and for what is too much, too deep or no value.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"more than {MAX_CHARACTERS:,} characters: no settings are that long", where=path, fix=_FIX)
    loader = None
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        # Looked at before values are made, which puts what is merged (`<<`) among a mapping's own keys.
        lines, repeated = dict(_key_lines(tree)), list(_repeated_keys(tree))
        return YamlText(None if tree is None else loader.construct_document(tree), lines, repeated)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"the character U+{error.character:04X} can't stand in YAML"
        raise ConfigError(what, where=f"{path}:{line}", fix=_FIX) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else path
        raise ConfigError(f"not valid YAML: {error.problem or error.context}", where=where, fix=_FIX) from error
    except _WRONG_VALUES as error:
        # The library's scanner takes any number for a character's: "\UFFFFFFFF".
        line = loader.line + 1 if loader is not None else 1
        raise ConfigError("not valid YAML: there is no such character", where=f"{path}:{line}", fix=_FIX) from error


def _key_lines(node: yaml.Node | None, keys: KeyPath = ()) -> Iterator[tuple[KeyPath, int]]:
    if node is None:
        return
    if not keys:
        yield (), node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in _text_keys(node):
            yield (*keys, key.value), key.start_mark.line + 1
            yield from _key_lines(value, (*keys, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*keys, index), value.start_mark.line + 1
            yield from _key_lines(value, (*keys, index))


def _repeated_keys(node: yaml.Node | None, keys: KeyPath = ()) -> Iterator[tuple[int, KeyPath]]:
    """YAML lets a later key overwrite an earlier one in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in _text_keys(node):
            if key.value in seen:
                yield key.start_mark.line + 1, (*keys, key.value)
            seen.add(key.value)
            yield from _repeated_keys(value, (*keys, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated_keys(value, (*keys, index))


def _text_keys(node: yaml.MappingNode) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The pairs whose key isn't a list or a mapping; making values of the nodes refuses those."""
    return ((key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode))


_FIX = "correct the file"


def _fault(what: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=mark)


def _shown(node: yaml.Node) -> str:
    text = str(node.value)
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
