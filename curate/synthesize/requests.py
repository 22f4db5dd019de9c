"""What the teacher is asked: the prompt templates filled in with each seed row, and a digest for each request."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from curate.compose.apportion import draw_order
from curate.core.digests import canonical_json, digest_json, digest_text
from curate.core.errors import ConfigError, os_errors
from curate.core.paths import find_path
from curate.core.rows.answer_schema import read_schema
from curate.core.rows.row import Row
from curate.core.rows.row_text import answer_text, chosen_text
from curate.synthesize.config import Synthesize, Teacher
from curate.table.selection import RowRef, RowSelection


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the teacher. `key` is the digest of everything that the answer depends on."""

    key: str
    seed: RowRef
    number: int
    body: dict[str, Any]
    prompt_digest: str

    @property
    def most_prompt_tokens(self) -> int:
        """A bound on the prompt's tokens: no byte-level tokenizer makes more tokens than there are bytes."""
        return len(canonical_json([self.body["messages"], self.body.get("response_format")]))

    @property
    def most_completion_tokens(self) -> int:
        """The limit that is sent with the request."""
        limit: int = self.body.get("max_tokens") or self.body["max_completion_tokens"]
        return limit


@dataclass(frozen=True, slots=True)
class Wording:
    """The files that word a request, read and compiled."""

    prompt: jinja2.Template
    system: jinja2.Template | None
    schema: Any
    digests: dict[str, str]


def read_wording(settings: Synthesize, folder: Path) -> Wording:
    """The templates and the reply schema. Raises: ConfigError where one is missing or can't be used."""
    prompt, prompt_digest = _template(find_path(settings.prompt, folder))
    digests = {"prompt": prompt_digest}
    system = None
    if settings.system is not None:
        system, digests["system"] = _template(find_path(settings.system, folder))
    schema = read_schema(find_path(settings.reply_schema, folder))
    return Wording(prompt, system, schema, {**digests, "reply_schema": digest_json(schema)})


def make_requests(seeds: RowSelection, settings: Synthesize, wording: Wording) -> list[Request]:
    """`per_seed` requests for each seed, in the seeds' order. Raises: ConfigError where a template fails."""
    chosen = range(len(seeds))
    drawn = sorted(draw_order(seeds, settings.seed)[: settings.max_seeds]) if settings.max_seeds else chosen
    requests = [
        _request(seeds[position], number, settings, wording)
        for position in drawn
        for number in range(1, settings.per_seed + 1)
    ]
    # Seeds that word the same question would be asked, and paid for, once each.
    return list({request.key: request for request in reversed(requests)}.values())[::-1]


def _request(seed: RowRef, number: int, settings: Synthesize, wording: Wording) -> Request:
    values = _values(seed.row, number, settings, wording.schema)
    messages = [{"role": "user", "content": _render(wording.prompt, values)}]
    if wording.system is not None:
        messages.insert(0, {"role": "system", "content": _render(wording.system, values)})
    body = _body(settings.teacher, messages, wording.schema)
    return Request(
        key=digest_json({"request": body, "number": number}),
        seed=seed,
        number=number,
        body=body,
        prompt_digest=digest_json(messages),
    )


def _body(teacher: Teacher, messages: list[dict[str, str]], schema: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": teacher.model, "messages": messages, teacher.limit_as: teacher.max_tokens}
    if teacher.temperature is not None:
        body["temperature"] = teacher.temperature
    if teacher.reply_format == "json":
        body["response_format"] = {"type": "json_object"}
    elif teacher.reply_format == "schema":
        named = {"name": "reply", "schema": schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return {**body, **teacher.extra_body}


def _values(row: Row, number: int, settings: Synthesize, schema: Any) -> dict[str, Any]:
    return {
        "seed": msgspec.to_builtins(row),
        "prompt": chosen_text(row, "prompt"),
        "answer": answer_text(row),
        "number": number,
        "count": settings.per_seed,
        "schema": msgspec.json.format(canonical_json(schema), indent=2).decode(),
    }


def _template(path: Path) -> tuple[jinja2.Template, str]:
    with os_errors(path):
        data = path.read_bytes()
    # Sandboxed: a template comes with the project, but needs nothing of Python beyond its values.
    # Undefined names are errors, so that no prompt goes out with a hole in it.
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=False)
    try:
        text = data.decode("utf-8-sig")
        return environment.from_string(text), digest_text(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 text: {error.reason} at byte {error.start}", where=path) from error
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"not a template: {error.message}", where=f"{path}:{error.lineno}") from error


def _render(template: jinja2.Template, values: dict[str, Any]) -> str:
    try:
        return template.render(values)
    except Exception as error:  # an expression in a template can raise anything
        where = f"row {values['seed'].get('id')}"
        fix = f"a template sees: {', '.join(values)}"
        raise ConfigError(
            f"the prompt template failed: {type(error).__name__}: {error}", where=where, fix=fix
        ) from error
