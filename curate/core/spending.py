"""What requests to endpoints use, and whether one more fits the budget."""

import threading
from typing import Literal

from pydantic import Field

from curate.core.config_file import Config
from curate.core.prices import TokenPrice


class Budget(Config):
    """What all requests together may use, those of earlier runs included. Beyond it nothing is asked."""

    requests: int | None = Field(default=None, ge=1)
    """Requests sent, repeated tries counted."""
    tokens: int | None = Field(default=None, ge=1)
    """Prompt and completion."""
    cost: float | None = Field(default=None, gt=0)
    """In the currency of the prices, which have to share one."""


class Purse:
    """Counts requests, tokens and cost; what is in flight counts with the most that it may use. For many threads.

    Without a price, tokens cost nothing.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._in_flight = 0
        self._used, self._most = _Tokens(), _Tokens()  # without and with what is in flight
        self.requests = 0

    @property
    def prompt_tokens(self) -> int:
        """Those of all prompts that were answered."""
        return self._used.prompt

    @property
    def completion_tokens(self) -> int:
        """Those of all answers."""
        return self._used.completion

    @property
    def cost(self) -> float:
        """What they cost."""
        return self._used.cost()

    def count(self, tokens: tuple[int, int], price: TokenPrice | None, *, requests: int = 1) -> None:
        """Count what an earlier run used. Units: (prompt tokens, completion tokens)."""
        with self._lock:
            self.requests += requests
            self._used.add(tokens, price)
            self._most.add(tokens, price)

    def reserve(self, most: tuple[int, int], price: TokenPrice | None) -> Literal["yes", "wait", "no"]:
        """Set aside one request of at most so many tokens. `wait`: it may fit once others have their answers.

        Units: (prompt tokens, completion tokens).
        """
        with self._lock:
            self._most.add(most, price)
            if self._exceeds():
                self._most.add(most, price, times=-1)
                return "wait" if self._in_flight else "no"
            self._in_flight += 1
            self.requests += 1
            return "yes"

    def settle(self, reserved: tuple[int, int], used: tuple[int, int], price: TokenPrice | None) -> None:
        """Replace what was set aside by what was used. Units: (prompt tokens, completion tokens)."""
        with self._lock:
            self._in_flight -= 1
            self._most.add(reserved, price, times=-1)
            self._most.add(used, price)
            self._used.add(used, price)

    def spent(self) -> str:
        """What has been used, in words."""
        cost = f", cost {self.cost:.4g}" if self.cost else ""
        return f"{self.requests:,} requests, {self.prompt_tokens + self.completion_tokens:,} tokens{cost}"

    def limits(self) -> str:
        """The budget, in words."""
        return ", ".join(f"{name} {value:g}" for name, value in self._budget.model_dump().items() if value is not None)

    def _exceeds(self) -> bool:
        limits, most = self._budget, self._most
        return (
            (limits.requests is not None and self.requests + 1 > limits.requests)
            or (limits.tokens is not None and most.prompt + most.completion > limits.tokens)
            or (limits.cost is not None and most.cost() > limits.cost)
        )


class _Tokens:
    """Tokens of prompts and answers, by what they cost."""

    def __init__(self) -> None:
        self.prompt = self.completion = 0
        self._by_price: dict[TokenPrice, tuple[int, int]] = {}

    def add(self, tokens: tuple[int, int], price: TokenPrice | None, *, times: Literal[1, -1] = 1) -> None:
        prompt, completion = times * tokens[0], times * tokens[1]
        self.prompt += prompt
        self.completion += completion
        if price is not None:
            before = self._by_price.get(price, (0, 0))
            self._by_price[price] = before[0] + prompt, before[1] + completion

    def cost(self) -> float:
        return sum(price.cost(*tokens) for price, tokens in self._by_price.items())
