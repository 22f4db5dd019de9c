"""Chat templates as text: what `apply_chat_template` of transformers renders, without loading transformers.

Importing it takes three seconds, ten times as long as rendering a small dataset. What a template may use and how it is
read is the same by test, not by sharing code.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from jinja2 import Template, meta, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

Span = tuple[int, int]
Messages = Sequence[Mapping[str, Any]]
Tools = list[dict[str, Any]] | None
CLOCK = "strftime_now"
"""The function that templates ask for today's date."""
_CONVERSATION = frozenset({"messages", "tools", "documents", "add_generation_prompt"})


class ChatTemplate:
    """A compiled chat template, with its settings; that called `strftime_now` is the day that it takes for today.

    Raises: jinja2.TemplateError where the source is no template, ValueError where a day is none.
    """

    def __init__(
        self, source: str, special_tokens: Mapping[str, str], settings: Mapping[str, Any] | None = None
    ) -> None:
        self._template = _environment().from_string(source)
        self._source = source
        self._named = dict(special_tokens) | dict(settings or {})
        if CLOCK in self._named:
            self._named[CLOCK] = datetime.fromisoformat(self._named[CLOCK]).strftime

    def settings(self) -> list[str]:
        """The names that the template reads and a conversation doesn't give: its settings, and its special tokens."""
        read = meta.find_undeclared_variables(_environment().parse(self._source))
        return sorted((read | {CLOCK} if CLOCK in self._source else read) - _CONVERSATION)

    def render(self, messages: Messages, tools: Tools, *, answer_follows: bool = False) -> str:
        """The conversation as text; with `answer_follows`, ending where the model has to go on.

        Raises: whatever the template raises for messages that it refuses.
        """
        return self._template.render(**self._names(messages, tools, answer_follows=answer_follows))

    def render_marked(self, messages: Messages, tools: Tools) -> tuple[str, list[Span]]:
        """The conversation as text, and the characters of each block that the template marks as generated."""
        pieces: list[str] = []
        with _marks(self._template).recorded(pieces) as spans:
            # One by one: a block that is being rendered reads what stands before it.
            for piece in self._template.generate(**self._names(messages, tools, answer_follows=False)):
                pieces.append(piece)
        return "".join(pieces), spans

    def _names(self, messages: Messages, tools: Tools, *, answer_follows: bool) -> dict[str, Any]:
        given = {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": answer_follows}
        return {**given, **self._named}


class _Marks(Extension):
    """`{% generation %}`: its content as it is, and while recording, where in the text it stands."""

    tags = {"generation"}  # noqa: RUF012 - a set is what Jinja reads here

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._record: tuple[list[str], list[Span]] | None = None

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        content = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], content).set_lineno(line)

    def _mark(self, caller: Macro) -> str:
        content: str = caller()
        if self._record is not None:
            before, spans = self._record
            start = sum(map(len, before))
            spans.append((start, start + len(content)))
        return content

    @contextmanager
    def recorded(self, pieces: list[str]) -> Iterator[list[Span]]:
        spans: list[Span] = []
        self._record = pieces, spans
        try:
            yield spans
        finally:
            self._record = None


class _Dict:
    """`dict(...)` for templates: no class whose attributes lead out of the sandbox."""

    def __call__(self, /, *values: Any, **named: Any) -> dict[Any, Any]:
        return dict(*values, **named)

    def fromkeys(self, *values: Any) -> dict[Any, Any]:
        return dict.fromkeys(*values)


class _Namespace(Namespace):
    """Jinja's namespace, but without names that start with an underscore: those lead out of the sandbox."""

    def __init__(self, /, *values: Any, **named: Any) -> None:
        held = dict(*values, **named)
        for name in held:
            _refuse_private(name)
        super().__init__(held)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a template can't keep a value under {name!r}: it starts with an underscore")


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Marks, loopcontrols])
    made.filters["tojson"] = _to_json
    made.globals |= {
        "dict": _Dict(),
        "namespace": _Namespace,
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
    }
    return made


def _marks(template: Template) -> _Marks:
    found = template.environment.extensions[_Marks.identifier]
    assert isinstance(found, _Marks)
    return found


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is; Jinja's own filter would escape it for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)
