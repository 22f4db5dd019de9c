"""Settings of contenders at an OpenAI-compatible endpoint: where, at what price and how fast."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, Self

import msgspec
from pydantic import Field, field_validator, model_validator

from curate.core.config_file import Config
from curate.core.endpoint.wire import check_key_is_safe, checked_address
from curate.core.prices import TokenPrice
from curate.core.rows.row import Message

# What we send ourselves; naming it twice would let one of the two win in silence.
_OURS = frozenset(
    {"model", "messages", "tools", "n", "stream", "seed", "temperature", "max_tokens", "max_completion_tokens"}
)


class Price(TokenPrice):
    """What a million tokens cost, and the day on which that was so."""

    as_of: date
    currency: str = Field(default="USD", min_length=1, max_length=8)


class Prices(Config):
    """What requests and training cost, where endpoints don't say it themselves."""

    tokens: Price | None = None
    """For every contender without a price of its own."""
    contenders: dict[str, Price] = Field(default_factory=dict)
    training: float | None = Field(default=None, ge=0)
    """What the training cost, in the same currency."""
    training_per_hour: float | None = Field(default=None, ge=0)
    """What an hour of its machine costs; used where `training` is not given."""


class Endpoint(Config):
    """A model behind an OpenAI-compatible endpoint."""

    model: str = Field(min_length=1)
    base_url: str = "https://api.openai.com/v1"
    key_env: str | None = "OPENAI_API_KEY"
    """The environment variable that holds the key; null for an endpoint that takes none."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, such as top_p or response_format."""
    limit_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The name under which the endpoint takes `max_tokens`."""
    omit: list[Literal["temperature", "seed"]] = Field(default_factory=list)
    """Fields that the endpoint refuses, and that are left out."""
    price: Price | None = None

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, value: str) -> str:
        return checked_address(value).rstrip("/")

    @field_validator("extra_body")
    @classmethod
    def _names_nothing_twice(cls, value: dict[str, Any]) -> dict[str, Any]:
        both = sorted(_OURS & set(value))
        if both:
            raise ValueError(f"{', '.join(both)}: not here; the suite's own settings say this")
        return value

    @model_validator(mode="after")
    def _sends_keys_safely(self) -> Self:
        check_key_is_safe(self.base_url, self.key_env)
        return self


def request_body(
    endpoint: Endpoint, messages: Sequence[Message], tools: Any, *, max_tokens: int, **sampling: float | None
) -> dict[str, Any]:
    """What is sent: every sampling field that decides the answer is named, since servers' defaults differ."""
    chosen = {name: value for name, value in sampling.items() if value is not None and name not in endpoint.omit}
    return {
        "model": endpoint.model,
        "messages": [m if m.weight is None else msgspec.structs.replace(m, weight=None) for m in messages],
        **({"tools": tools} if tools else {}),
        endpoint.limit_as: max_tokens,
        **chosen,
        **endpoint.extra_body,
    }


class Running(Config):
    """How contenders are asked: endpoints, but for `latency_items`. Changes no answer."""

    concurrency: int = Field(default=16, ge=1, le=1024)
    """Requests in flight at one endpoint, at most; fewer while it says that it is busy."""
    timeout_s: float = Field(default=120.0, gt=0)
    """For a whole answer, the connection included."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    tries: int = Field(default=5, ge=1, le=20)
    """How often one request is sent at most. A busy endpoint (429) doesn't count; see `patience_s`."""
    wait_s: float = Field(default=1.0, gt=0)
    """The first wait between tries, doubled for each further one; the endpoint's Retry-After goes before it."""
    max_wait_s: float = Field(default=60.0, gt=0)
    """The longest wait; an endpoint that asks for more stops the run."""
    patience_s: float = Field(default=300.0, gt=0)
    """So long an endpoint may do nothing but say that it is busy; then the run stops."""
    give_up_after: int = Field(default=20, ge=1)
    """So many requests in a row without an answer stop the run; finished answers are kept."""
    latency_items: int = Field(default=5, ge=0, le=1000)
    """So many items each contender, local ones too, answers once more at the end, one at a time, to see how fast."""
