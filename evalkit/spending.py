"""What the answers of a suite use, and whether one more request fits its budget."""

from typing import Literal

from evalkit.endpoint import Budget, Price
from evalkit.generate import Answer


class Purse:
    """Counts requests, tokens and cost; what is in flight counts with the most that it may use."""

    def __init__(self, budget: Budget | None) -> None:
        self._limits = budget or Budget()
        self.requests = self.tokens = 0
        self.cost = 0.0
        self._held_tokens, self._held_cost, self._in_flight = 0, 0.0, 0

    def count_kept(self, answer: Answer, price: Price | None) -> None:
        """Count an answer of an earlier run."""
        self.requests += 1
        self._spend(answer.prompt_tokens, answer.completion_tokens, price)

    def reserve(self, prompt_tokens: int, completion_tokens: int, price: Price | None) -> Literal["yes", "wait", "no"]:
        """Set aside one request of at most so many tokens. `wait`: it may fit once others have their answers."""
        tokens, cost = prompt_tokens + completion_tokens, _cost(prompt_tokens, completion_tokens, price)
        if self._exceeds(tokens, cost):
            return "wait" if self._in_flight else "no"
        self._in_flight += 1
        self.requests += 1
        self._held_tokens += tokens
        self._held_cost += cost
        return "yes"

    def settle(self, reserved: tuple[int, int], used: tuple[int, int], price: Price | None) -> None:
        """Replace what was set aside by what was used. Units: (prompt tokens, completion tokens)."""
        self._in_flight -= 1
        self._held_tokens -= sum(reserved)
        self._held_cost -= _cost(*reserved, price)
        self._spend(*used, price)

    def spent(self) -> str:
        """What has been used, in words."""
        cost = f", cost {self.cost:.4g}" if self.cost else ""
        return f"{self.requests:,} requests, {self.tokens:,} tokens{cost}"

    def limits(self) -> str:
        """The budget, in words."""
        return ", ".join(f"{name} {value:g}" for name, value in self._limits.model_dump().items() if value is not None)

    def _spend(self, prompt_tokens: int, completion_tokens: int, price: Price | None) -> None:
        self.tokens += prompt_tokens + completion_tokens
        self.cost += _cost(prompt_tokens, completion_tokens, price)

    def _exceeds(self, tokens: int, cost: float) -> bool:
        limits = self._limits
        return (
            (limits.requests is not None and self.requests + 1 > limits.requests)
            or (limits.tokens is not None and self.tokens + self._held_tokens + tokens > limits.tokens)
            or (limits.cost is not None and self.cost + self._held_cost + cost > limits.cost)
        )


def _cost(prompt_tokens: int, completion_tokens: int, price: Price | None) -> float:
    return price.cost(prompt_tokens, completion_tokens) if price else 0.0
