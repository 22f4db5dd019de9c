"""The settings of a synthesis: which seeds, which teacher, how it is asked, and what it may cost."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from curate.core.config_file import Config
from curate.core.endpoint.wire import check_key_is_safe, checked_address
from curate.core.prices import TokenPrice
from curate.core.sources.source import Source

# What we send ourselves; naming it twice would let one of the two win in silence.
_OURS = frozenset({"model", "messages", "n", "stream", "temperature", "max_tokens", "max_completion_tokens"})


class Teacher(Config):
    """An OpenAI-compatible endpoint and the model to ask there."""

    model: str = Field(min_length=1)
    base_url: str = "https://api.openai.com/v1"
    key_env: str | None = "OPENAI_API_KEY"
    """The environment variable that holds the key; null for an endpoint that takes none."""
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    """Null leaves it out: some models take none."""
    max_tokens: int = Field(default=1024, ge=1)
    limit_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The name under which the endpoint takes `max_tokens`."""
    reply_format: Literal["none", "json", "schema"] = "none"
    """What the endpoint is asked to guarantee: nothing, a JSON object, or the reply schema. Checked here anyway."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, such as top_p."""
    concurrency: int = Field(default=4, ge=1, le=256)
    timeout_s: float = Field(default=120.0, gt=0)
    tries: int = Field(default=6, ge=1, le=20)
    """How often one request is sent at most: again after 408, 409, 429, 5xx and lost connections."""
    wait_s: float = Field(default=1.0, gt=0)
    """The first wait between tries, doubled for each further one; the endpoint's Retry-After goes before it."""
    max_wait_s: float = Field(default=120.0, gt=0)
    """The longest wait; an endpoint that asks for more is not waited for."""

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, value: str) -> str:
        return checked_address(value)

    @field_validator("extra_body")
    @classmethod
    def _names_nothing_twice(cls, value: dict[str, Any]) -> dict[str, Any]:
        both = sorted(_OURS & set(value))
        if both:
            raise ValueError(f"{', '.join(both)}: not here; the settings beside it say this")
        return value

    @model_validator(mode="after")
    def _sends_keys_safely(self) -> "Teacher":
        check_key_is_safe(self.base_url, self.key_env)
        return self


class Budget(Config):
    """What all runs of this synthesis together may use. A request that might exceed it is not sent."""

    calls: int | None = Field(default=None, ge=1)
    """Requests sent, repeated tries counted."""
    tokens: int | None = Field(default=None, ge=1)
    """Prompt and completion."""
    money: float | None = Field(default=None, gt=0)
    """In the currency of `prices`."""

    @model_validator(mode="after")
    def _limits_something(self) -> "Budget":
        if self.calls is None and self.tokens is None and self.money is None:
            raise ValueError("set calls, tokens or money")
        return self


class Audit(Config):
    """How many of the new rows a human looks at: the larger of the two."""

    share: float = Field(default=0.05, ge=0, le=1)
    at_least: int = Field(default=10, ge=0)


class Synthesize(Config):
    """A synthesis file."""

    name: str = Field(min_length=1)
    """What the new rows have as `source`."""
    output: str
    seeds: Source
    """Rows to start from, named as in a recipe."""
    max_seeds: int | None = Field(default=None, ge=1)
    """Only so many of the seeds, drawn by `seed`."""
    per_seed: int = Field(default=1, ge=1)
    """How many requests each seed makes; the template sees which one as `number`."""
    prompt: str
    """The template of the user message (Jinja2); it sees `seed`, `prompt`, `answer`, `number`, `count`, `schema`."""
    system: str | None = None
    """The template of the system message."""
    reply_schema: str
    """The JSON schema file that a reply has to satisfy."""
    adapter: str | None = None
    """`file.py:function`, called with the reply and the seed as dicts; returns a list of rows as dicts."""
    label: str | None = None
    """The label of rows whose reply doesn't name one; without it, the seed's."""
    teacher: Teacher
    prices: dict[str, TokenPrice] = Field(default_factory=dict)
    """Model -> what a million of its tokens cost."""
    budget: Budget
    audit: Audit = Audit()
    seed: int = 0
    give_up_after: int = Field(default=10, ge=1)
    """So many requests in a row without an answer stop the run; finished work is kept."""

    @model_validator(mode="after")
    def _knows_the_price(self) -> "Synthesize":
        if self.budget.money is not None and self.teacher.model not in self.prices:
            raise ValueError(f"budget.money needs the price of {self.teacher.model}: add it to prices")
        return self

    @property
    def price(self) -> TokenPrice | None:
        """What the teacher's tokens cost, None where no price is given."""
        return self.prices.get(self.teacher.model)
