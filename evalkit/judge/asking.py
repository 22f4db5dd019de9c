"""Who is asked: a model at an endpoint, or one in this process. Replies are kept like any other answers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from curate.core.chat.base_model import find_base, load_chat_format
from curate.core.chat.chat_format import TemplateFault
from curate.core.console import progress, say, warn
from curate.core.digests import digest_json
from curate.core.rows.row import Message
from curate.core.spending import Budget, Purse
from evalkit.ask.answer_cache import open_cache
from evalkit.backends.calls import Call
from evalkit.backends.endpoint import Endpoint, Running, request_body
from evalkit.backends.types import Answer, Request, failed
from evalkit.scorers.judge import JudgeConfig

Schema = dict[str, Any]
_SCHEMA_REFUSED = ("status 400", "status 415", "status 422", "status 501")
_OFFLINE = "not asked: --offline, and no reply is kept"


class Asker(Protocol):
    """Somebody who replies to messages; trouble with one of them is an answer with an `error`."""

    def ask(self, prompts: Sequence[list[Message]], turn: int) -> list[Answer]:
        """The reply to each, in their order. `turn` counts how often they have been asked, from 0.

        Raises: ServiceError where nobody can be asked.
        """


class ReplyCache:
    """Replies by key, in the cache; what isn't there is asked."""

    def __init__(self, cache: Path, *, fresh: bool = False, offline: bool = False) -> None:
        self._cache = cache
        self._fresh = fresh
        self.offline = offline

    def answers(self, requests: Sequence[Request], make: Callable[[Sequence[Request], Any], None]) -> list[Answer]:
        """The answer to each; `make` asks what is missing and hands answers to its second argument as they come."""
        with open_cache(self._cache) as cache:
            found = {} if self._fresh else cache.get(request.key for request in requests)

            def keep(made: Sequence[tuple[Request, Answer]]) -> None:
                cache.put_all((request.key, answer) for request, answer in made)
                found.update({request.key: answer for request, answer in made})

            missing = list({request.key: request for request in requests if request.key not in found}.values())
            if missing:
                make(missing, keep)
        return [found.get(request.key) or failed("not asked: the judge's budget is spent") for request in requests]


class EndpointJudge:
    """A model behind an endpoint, asked to keep to a JSON schema where it can."""

    def __init__(
        self, config: JudgeConfig, endpoint: Endpoint, running: Running, schema: Schema, kept: ReplyCache, *, seed: int
    ) -> None:
        self._config = config
        self._endpoint = endpoint
        self._running = running
        self._schema: Schema | None = schema if config.json_schema else None
        self._sure = self._schema is None
        self._seed = seed
        self._kept = kept
        self._purse = Purse(config.budget or Budget())

    def ask(self, prompts: Sequence[list[Message]], turn: int) -> list[Answer]:
        """One POST for each that isn't kept. The first of all tries out whether the endpoint takes a schema."""
        if not self._sure and prompts:
            self._sure = True
            [first] = self._send(prompts[:1], turn)
            if first.error and first.error.startswith(_SCHEMA_REFUSED):
                warn(f"{self._config.name}: the endpoint takes no JSON schema; asking without ({first.error})")
                self._schema = None
        return self._send(prompts, turn)

    def _send(self, prompts: Sequence[list[Message]], turn: int) -> list[Answer]:
        requests = [self._request(messages, turn) for messages in prompts]
        return self._kept.answers(requests, self._make)

    def _request(self, messages: list[Message], turn: int) -> Request:
        request = Request(item="", contender=self._config.name, messages=messages, repeat=turn)
        return Request(
            item=digest_json(messages),
            contender=self._config.name,
            messages=messages,
            repeat=turn,
            key=digest_json([self._endpoint.base_url, self._body(request), turn]),
        )

    def _body(self, request: Request) -> dict[str, Any]:
        body = request_body(
            self._endpoint,
            request.messages,
            None,
            max_tokens=self._config.max_tokens,
            temperature=self._config.temperature,
            seed=self._seed + request.repeat,
        )
        return {**body, **({"response_format": self._schema} if self._schema else {})}

    def _make(self, requests: Sequence[Request], keep: Any) -> None:
        from evalkit.backends.pool import ask_endpoints

        if self._kept.offline:
            keep([(request, failed(_OFFLINE)) for request in requests])
            return
        say(f"{self._config.name}: asking {self._endpoint.model} to grade {len(requests):,} answers")
        calls = [Call(request, self._endpoint) for request in requests]
        with progress(self._config.name, len(calls)) as advance:
            stopped = ask_endpoints(
                calls,
                lambda call: self._body(call.request),
                self._running,
                self._purse,
                seed=self._seed,
                keep=keep,
                advance=advance,
            )
        if stopped:
            warn(f"{self._config.name}: {stopped}; what was not asked is undecided")


class LocalJudge:
    """A base model in this process."""

    def __init__(self, config: JudgeConfig, folder: Path, kept: ReplyCache) -> None:
        self._config = config
        self._base = find_base(str(config.local), folder)
        self._chat = load_chat_format(self._base)
        self._key = digest_json([self._base.digest(), self._chat.digest, config.max_tokens])
        self._kept = kept
        self._models: Any = None

    def ask(
        self,
        prompts: Sequence[list[Message]],
        turn: int,  # noqa: ARG002 - the protocol's
    ) -> list[Answer]:
        """The likeliest reply to each; asked again in the same words, it is the same."""
        requests: list[Request] = []
        faults: dict[int, Answer] = {}
        for place, messages in enumerate(prompts):
            encoded = self._chat.encode([*messages, Message("assistant", "-")])
            if isinstance(encoded, TemplateFault):
                faults[place] = failed(f"the question can't be rendered: {encoded.rule}: {encoded.detail}")
                continue
            prompt = self._chat.render(messages, answer_follows=True)
            ids = self._chat.prompt_ids(messages)
            key = digest_json([self._key, prompt])
            name = self._config.name
            requests.append(Request(item=key, contender=name, messages=messages, prompt_ids=ids, key=key))
        answers = iter(self._kept.answers(requests, self._make))
        return [faults.get(place) or next(answers) for place in range(len(prompts))]

    def _make(self, requests: Sequence[Request], keep: Any) -> None:
        from evalkit.backends.local_models import LocalModels

        name = self._config.name
        self._models = self._models or LocalModels(self._base, "none", "auto")
        with self._models.backend(name, None) as backend, progress(name, len(requests)) as advance:
            for made in backend.generate(requests, max_tokens=self._config.max_tokens, advance=advance):
                keep([made])
