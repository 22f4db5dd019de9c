"""What a synthesis has used, and whether one more request fits its budget."""

import threading
from collections.abc import Sequence

import msgspec

from curate.core.prices import TokenPrice
from curate.synthesize.config import Budget
from curate.synthesize.journal import Record


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What was used. `money` is None where no price is known."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    money: float | None


class Purse:
    """Counts what is spent, and sets aside what requests on their way may cost at most. For many threads."""

    def __init__(self, budget: Budget, price: TokenPrice | None, past: Sequence[Record]) -> None:
        self._budget = budget
        self._price = price
        self._lock = threading.Lock()
        self._calls = self._prompt = self._completion = 0
        self._held_prompt = self._held_completion = 0
        self._replay(past)

    def _replay(self, past: Sequence[Record]) -> None:
        open_calls: dict[str, Record] = {}
        for record in past:
            if record.event == "sent":
                self._calls += 1
                # The same request can't be on its way twice: an older one without an end was cut off.
                self._charge(open_calls.pop(record.key, None))
                open_calls[record.key] = record
            else:
                open_calls.pop(record.key, None)
                self._charge(record)
        for record in open_calls.values():
            self._charge(record)

    def _charge(self, record: Record | None) -> None:
        if record is not None:
            self._prompt += record.prompt_tokens
            self._completion += record.completion_tokens

    def reserve(self, prompt_tokens: int, completion_tokens: int) -> bool:
        """Set aside one call of at most so many tokens; False where the budget might not hold it."""
        with self._lock:
            prompt = self._prompt + self._held_prompt + prompt_tokens
            completion = self._completion + self._held_completion + completion_tokens
            limits = self._budget
            money = self._money(prompt, completion)
            if (
                (limits.calls is not None and self._calls + 1 > limits.calls)
                or (limits.tokens is not None and prompt + completion > limits.tokens)
                or (limits.money is not None and (money is None or money > limits.money))
            ):
                return False
            self._calls += 1
            self._held_prompt += prompt_tokens
            self._held_completion += completion_tokens
            return True

    def settle(self, reserved: tuple[int, int], used: tuple[int, int]) -> None:
        """Replace what was set aside by what was used. Units: (prompt tokens, completion tokens)."""
        with self._lock:
            self._held_prompt -= reserved[0]
            self._held_completion -= reserved[1]
            self._prompt += used[0]
            self._completion += used[1]

    def spent(self) -> Spent:
        """What was used so far."""
        with self._lock:
            money = self._money(self._prompt, self._completion)
            return Spent(calls=self._calls, prompt_tokens=self._prompt, completion_tokens=self._completion, money=money)

    def _money(self, prompt: int, completion: int) -> float | None:
        return None if self._price is None else self._price.cost(prompt, completion)
