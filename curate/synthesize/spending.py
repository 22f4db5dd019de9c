"""What a synthesis has used, earlier runs included."""

from collections.abc import Sequence

import msgspec

from curate.core import spending
from curate.core.prices import TokenPrice
from curate.core.spending import Purse
from curate.synthesize.config import Budget
from curate.synthesize.journal import Record


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What was used. `money` is None where no price is known."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    money: float | None


def open_purse(budget: Budget, price: TokenPrice | None, past: Sequence[Record]) -> Purse:
    """A purse that knows what the records of earlier runs say was used."""
    purse = Purse(spending.Budget(requests=budget.calls, tokens=budget.tokens, cost=budget.money))
    open_calls: dict[str, Record] = {}
    for record in past:
        # The same request can't be on its way twice: an older one without an end was cut off.
        cut_off = open_calls.pop(record.key, None)
        if record.event == "sent":
            open_calls[record.key] = record
            purse.count(cut_off.tokens if cut_off is not None else (0, 0), price)
        else:
            purse.count(record.tokens, price, requests=0)
    for record in open_calls.values():
        purse.count(record.tokens, price, requests=0)
    return purse


def spent(purse: Purse, price: TokenPrice | None) -> Spent:
    """What was used so far."""
    return Spent(
        calls=purse.requests,
        prompt_tokens=purse.prompt_tokens,
        completion_tokens=purse.completion_tokens,
        money=None if price is None else purse.cost,
    )
