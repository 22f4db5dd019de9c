"""`evalkit doctor`: what an OpenAI-compatible endpoint can do of what a suite may need, found by asking it.

What a model says is judged by no answer key: a stop sequence is taken from the model's own words, and whether the
system message arrives shows in the number of prompt tokens. So the findings are about the server, not the model.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import msgspec
from pydantic import ValidationError

from curate.core.endpoint.client import Client
from curate.core.endpoint.wire import Failure, Reply
from curate.core.errors import ConfigError
from curate.core.rows.row import Message
from curate.core.visible import visible
from evalkit.backends.endpoint import Endpoint, Running, request_body

Status = Literal["yes", "no", "unknown"]

_QUESTION = "List five fruits, one on each line."
_SCHEMA = {
    "type": "object",
    "properties": {"fruit": {"type": "string"}, "ripe": {"type": "boolean"}},
    "required": ["fruit", "ripe"],
    "additionalProperties": False,
}
# Where servers say how long a context may be: vLLM, OpenRouter and Together, LM Studio, llama.cpp.
_CONTEXT_KEYS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx", "n_ctx_train")
_FEW = 4  # tokens: fewer than any answer to the question has
_SAMPLES = 3  # how often a warm model is asked the same, to see whether it answers the same
_FITS = 0.8  # of the tokens asked for: words aren't tokens
_SHOWN_MODELS = 8
_SHOWN_NAME = 40  # characters of a model's name, from its end: some servers give a whole path


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing an endpoint can do, or can't, or that this can't tell. `needed`: every suite needs it."""

    name: str
    status: Status
    detail: str
    needed: bool = False


def examine(
    url: str, *, model: str | None, key_env: str | None, context: int | None, timeout_s: float
) -> dict[str, Any]:
    """The findings at `url`; `fit` where nothing is missing that every suite needs. Raises: ConfigError."""
    try:
        endpoint = Endpoint(model=model or "-", base_url=url, key_env=key_env)
    except ValidationError as error:
        words = "; ".join(str(fault["msg"]).removeprefix("Value error, ") for fault in error.errors())
        raise ConfigError(words, where="URL" if not url.isprintable() else f"{url}"[:100]) from None
    found = asyncio.run(_examine(endpoint, model, context, timeout_s))
    return {
        "url": endpoint.base_url,
        "model": model,
        "fit": not any(finding.needed and finding.status == "no" for finding in found),
        "findings": [asdict(finding) for finding in found],
    }


def print_findings(findings: dict[str, Any]) -> None:
    """Print the findings as a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    marks = {"yes": Text("yes", "green"), "no": Text("no", "red"), "unknown": Text("?", "yellow")}
    for finding in findings["findings"]:
        needed = Text("\nevery suite needs this", "red") if finding["needed"] and finding["status"] == "no" else ""
        detail = Text(visible(finding["detail"], 400)) + needed
        table.add_row(Text(finding["name"]), marks[finding["status"]], detail)
    Console(highlight=False).print(table)


async def _examine(endpoint: Endpoint, model: str | None, context: int | None, timeout_s: float) -> list[Finding]:
    connect_timeout_s = Running().connect_timeout_s
    async with Client(
        endpoint.base_url, endpoint.key_env, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s
    ) as client:
        listed = await client.models()
        models = [] if isinstance(listed, Failure) else _models(listed)
        found = [_list_models(listed, models, model)]
        if model is None:
            return found
        patient = _Patient(client, endpoint)
        plain, latency_ms = await patient.ask()
        if isinstance(plain, Failure):
            return [*found, Finding("answers", "no", plain.detail, needed=True)]
        said = f"in {latency_ms:,.0f} ms, as {plain.model[-_SHOWN_NAME:] or 'nobody'}: {plain.text[:60]!r}"
        found.append(Finding("answers", "yes" if plain.text.strip() else "no", said, needed=True))
        found.append(_usage(plain))
        found += [
            await patient.system_role(),
            await patient.token_limit(),
            await patient.stop(plain),
            await patient.repeatable(plain),
            await patient.seed(),
            await patient.schema(),
            await patient.context(context, models, model),
        ]
        return found


class _Patient:
    """One model at an endpoint, and the questions that are put to it."""

    def __init__(self, client: Client, endpoint: Endpoint) -> None:
        self._client = client
        self._endpoint = endpoint

    async def ask(
        self,
        *messages: Message,
        max_tokens: int = 48,
        temperature: float = 0,
        seed: int = 1,
        more: dict[str, Any] | None = None,
    ) -> tuple[Reply | Failure, float]:
        asked = messages or (Message("user", _QUESTION),)
        body = request_body(self._endpoint, asked, None, max_tokens=max_tokens, temperature=temperature, seed=seed)
        return await self._client.chat(msgspec.json.encode({**body, **(more or {})}))

    async def system_role(self) -> Finding:
        """Whether a system message reaches the model: the prompt is longer by what a longer one has more.

        Without any, many templates put in one of their own.
        """
        name = "system message"
        lengths = []
        for words in ("Answer.", "Answer in one short sentence. " * 4):
            reply, _ = await self.ask(Message("system", words), Message("user", _QUESTION), max_tokens=_FEW)
            if isinstance(reply, Failure):
                return Finding(name, "no", reply.detail, needed=True)
            lengths.append(reply.prompt_tokens)
        short, long = lengths
        if short is None or long is None:
            return Finding(name, "unknown", "taken, but no usage is reported to see whether it is in the prompt")
        if long - short > _FEW:
            return Finding(name, "yes", "the template puts it into the prompt", needed=True)
        return Finding(name, "no", "taken, but a longer one makes the prompt no longer: it is dropped", needed=True)

    async def token_limit(self) -> Finding:
        """Whether max_tokens ends an answer, and is given as the reason."""
        name = "max_tokens"
        reply, _ = await self.ask(max_tokens=_FEW)
        if isinstance(reply, Failure):
            return Finding(name, "no", reply.detail, needed=True)
        used = reply.completion_tokens
        if used is not None and used > _FEW:
            return Finding(name, "no", f"asked for {_FEW} tokens, got {used}", needed=True)
        if reply.finish_reason != "length":
            said = f"the finish reason is {reply.finish_reason!r}, not 'length': answers that were cut can't be told"
            return Finding(name, "no" if used == _FEW else "unknown", said)
        return Finding(name, "yes", f"ends after {_FEW} tokens, with finish reason 'length'", needed=True)

    async def stop(self, plain: Reply) -> Finding:
        """Whether a stop sequence, taken from the middle of the model's own words, ends an answer."""
        name = "stop"
        word = _middle_word(plain.text)
        if word is None:
            return Finding(name, "unknown", "the answer is too short to take a stop sequence from")
        reply, _ = await self.ask(more={"stop": [word]})
        if isinstance(reply, Failure):
            return Finding(name, "no", reply.detail)
        _, stays, after = reply.text.partition(word)
        if after.strip():
            return Finding(name, "no", f"ignored: the answer goes on after {word!r}")
        # `transformers serve` leaves it in, which the wire format says a server doesn't.
        where = f"after {word!r}, which stays in the answer" if stays else f"before {word!r}"
        ended = f"ends {where}, finish reason {reply.finish_reason!r}"
        return Finding(name, "yes" if len(reply.text) < len(plain.text) else "unknown", ended)

    async def repeatable(self, plain: Reply) -> Finding:
        """Whether temperature 0 gives the same answer again."""
        texts = [plain.text]
        for _ in range(_SAMPLES - 1):
            reply, _ = await self.ask()
            texts.append(reply.text if isinstance(reply, Reply) else "")
        same = len(set(texts)) == 1
        detail = f"{_SAMPLES} answers at temperature 0 are {'the same' if same else 'not the same: use repeats'}"
        return Finding("repeatable", "yes" if same else "no", detail)

    async def seed(self) -> Finding:
        """Whether the seed decides the answer at a high temperature."""
        replies = [(await self.ask(temperature=1.5, seed=seed))[0] for seed in (1, 1, 2, 3)]
        texts = [reply.text if isinstance(reply, Reply) else None for reply in replies]
        failures = [reply.detail for reply in replies if isinstance(reply, Failure)]
        if failures:
            return Finding("seed", "no", failures[0])
        if len(set(texts)) == 1:
            return Finding("seed", "unknown", "different seeds give the same answer too: the endpoint may be greedy")
        same = texts[0] == texts[1]
        said = "the same seed gives the same answer" if same else "the same seed gives different answers"
        return Finding("seed", "yes" if same else "no", said)

    async def schema(self) -> Finding:
        """Whether a JSON schema binds the answer."""
        name = "JSON schema"
        wanted = {"type": "json_schema", "json_schema": {"name": "fruit", "strict": True, "schema": _SCHEMA}}
        reply, _ = await self.ask(max_tokens=64, more={"response_format": wanted})
        if isinstance(reply, Failure):
            return Finding(name, "no", reply.detail)
        try:
            value = json.loads(reply.text)
            held = isinstance(value, dict) and set(value) == {"fruit", "ripe"} and isinstance(value["ripe"], bool)
        except ValueError:
            held = False
        if held:
            return Finding(name, "yes", "the answer satisfies the schema that was sent")
        return Finding(name, "no", f"taken, but the answer doesn't satisfy it: {reply.text[:60]!r}")

    async def context(self, tokens: int | None, models: Sequence[dict[str, Any]], model: str) -> Finding:
        """How long a prompt may be: as the endpoint says, or by trying one of `tokens` tokens."""
        name = "context"
        stated = _stated_context(models, model)
        if tokens is None:
            if stated is not None:
                return Finding(name, "yes", f"{stated:,} tokens, by the list of models")
            return Finding(name, "unknown", "the endpoint doesn't say; --context 4000 tries a prompt of that length")
        reply, _ = await self.ask(Message("user", "one two " * (tokens // 2) + "\n" + _QUESTION), max_tokens=_FEW)
        if isinstance(reply, Failure):
            return Finding(name, "no", f"a prompt of about {tokens:,} tokens is refused: {reply.detail}")
        if reply.prompt_tokens is None:
            return Finding(name, "unknown", f"a prompt of about {tokens:,} tokens is taken; whether cut, nobody says")
        whole = reply.prompt_tokens >= _FITS * tokens
        cut = "" if whole else ": it is cut in silence"
        said = f"of a prompt of about {tokens:,} tokens, {reply.prompt_tokens:,} arrive{cut}"
        return Finding(name, "yes" if whole else "no", said)


def _usage(reply: Reply) -> Finding:
    if reply.prompt_tokens is None:
        return Finding("usage", "no", "not reported: tokens and cost will be estimated from the texts' length")
    return Finding("usage", "yes", f"{reply.prompt_tokens} prompt and {reply.completion_tokens} answer tokens")


def _models(data: bytes) -> list[dict[str, Any]]:
    try:
        body = json.loads(data)
    except ValueError:
        return []
    listed = body.get("data", body.get("models")) if isinstance(body, dict) else body
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _list_models(listed: bytes | Failure, models: Sequence[dict[str, Any]], model: str | None) -> Finding:
    # Servers that serve one model often take any name, and some can't list what they have: nothing a suite needs.
    if isinstance(listed, Failure):
        return Finding("models", "no" if model is None else "unknown", listed.detail, needed=model is None)
    names = [str(entry.get("id", entry.get("name", "?"))) for entry in models]
    shown = ", ".join(names[:_SHOWN_MODELS]) + (
        f" and {len(names) - _SHOWN_MODELS} more" if names[_SHOWN_MODELS:] else ""
    )
    if model is None or model in names:
        return Finding("models", "yes" if names else "unknown", shown or "none is listed")
    return Finding("models", "unknown", f"{model} is not listed: {shown or 'nothing is'}")


def _stated_context(models: Sequence[dict[str, Any]], model: str) -> int | None:
    entry = next((entry for entry in models if entry.get("id") == model), models[0] if len(models) == 1 else {})
    meta = entry.get("meta")
    places = [entry, meta if isinstance(meta, dict) else {}]
    found = (place.get(key) for place in places for key in _CONTEXT_KEYS)
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def _middle_word(text: str) -> str | None:
    """A word of letters from the middle of `text` that isn't in its first third."""
    words = [word for word in text.split() if word.isalpha() and word not in text[: len(text) // 3]]
    return words[len(words) // 2] if len(words) > 1 else None
