# ruff: noqa: N803 - a tensor's name ends in its shape
"""A prefix that all rows share that are computed at once, on a thread for each part of them, computed by one thread.

One part has the prefix in its sequence. In each layer it lends the prefix's keys and values to the other
parts, which go on as soon as these are there, and going back it adds the gradients that the others find for them to
its own. It never waits on its way forward, nor they on their way back, so nobody waits for long, or forever.

Shapes: T tokens, P of the prefix, H key heads, D head size.
"""

from dataclasses import dataclass, field
from threading import Condition
from typing import Any

import torch

KeysAndValues = tuple[torch.Tensor, torch.Tensor]


class Loan:
    """The keys and values of a prefix of `tokens` tokens, layer by layer, and the gradients that come back for them."""

    def __init__(self, tokens: int, borrowers: int) -> None:
        self.tokens = tokens
        self.borrowers = borrowers
        self._there: dict[tuple[int, int | None], KeysAndValues] = {}
        self._changed = Condition()
        self._failure: BaseException | None = None

    def put(self, layer: int, borrower: int | None, both: KeysAndValues) -> None:
        """Hand over what the prefix's keys and values are, or for a borrower their gradients."""
        with self._changed:
            self._there[layer, borrower] = both
            self._changed.notify_all()

    def get(self, layer: int, borrower: int | None, *, last: bool = False) -> KeysAndValues:
        """What was put there, once it is; `last`: nobody else asks for it. Raises: what kept a part from putting it."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or (layer, borrower) in self._there)
            if self._failure:
                raise self._failure
            return self._there.pop((layer, borrower)) if last else self._there[layer, borrower]

    def fail(self, failure: BaseException) -> None:
        """Let nobody wait for a part that has failed."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()


@dataclass(slots=True)
class Share:
    """One part's side of a loan: it lends, or is the `borrower` of that number."""

    loan: Loan
    borrower: int | None = None
    _layer: int = field(default=0, init=False)

    @property
    def borrowed(self) -> int:
        """How many tokens of the prefix it need not compute."""
        return 0 if self.borrower is None else self.loan.tokens

    def settled(self, key_1HTD: torch.Tensor, value_1HTD: torch.Tensor) -> KeysAndValues:
        """The next layer's keys and values: for the lender its own, for others those of the prefix before their own.

        The n-th call is of the same layer in every part, since all go through the same model.
        """
        layer, self._layer = self._layer, self._layer + 1
        side = _Lent if self.borrower is None else _Borrowed
        both: KeysAndValues = side.apply(key_1HTD, value_1HTD, self, layer)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return both


class _Lent(torch.autograd.Function):
    """The keys and values themselves; their gradients get what the borrowers found."""

    @staticmethod
    def forward(ctx: Any, key_1HTD: torch.Tensor, value_1HTD: torch.Tensor, share: Share, layer: int) -> KeysAndValues:
        ctx.loan, ctx.layer, tokens = share.loan, layer, share.loan.tokens
        # Detached: through its tensors the loan would hold the graph that holds the loan, long after the step.
        share.loan.put(layer, None, (key_1HTD.detach()[:, :, :tokens], value_1HTD.detach()[:, :, :tokens]))
        return key_1HTD.view_as(key_1HTD), value_1HTD.view_as(value_1HTD)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        whole = [gradient.clone() for gradient in upstream]
        # One after the other, so that the sum has the same bits each time.
        for borrower in range(ctx.loan.borrowers):
            for mine, found in zip(whole, ctx.loan.get(ctx.layer, borrower, last=True), strict=True):
                mine[:, :, : ctx.loan.tokens] += found
        ctx.loan.get(ctx.layer, None, last=True)  # all borrowers have had it, or there would be no gradients
        return *whole, None, None


class _Borrowed(torch.autograd.Function):
    """The prefix's keys and values and the part's own behind them; the former's gradients go to the lender."""

    @staticmethod
    def forward(
        ctx: Any, key_1HTD: torch.Tensor, value_1HTD: torch.Tensor, share: Share, layer: int
    ) -> tuple[torch.Tensor, ...]:
        ctx.share, ctx.layer = share, layer
        lent = share.loan.get(layer, None)
        return tuple(torch.cat(both, dim=2) for both in zip(lent, (key_1HTD, value_1HTD), strict=True))

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        loan, at = ctx.share.loan, ctx.share.loan.tokens
        key, value = upstream
        loan.put(ctx.layer, ctx.share.borrower, (key[:, :, :at], value[:, :, :at]))
        return key[:, :, at:], value[:, :, at:], None, None
