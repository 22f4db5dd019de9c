# ruff: noqa: N803 - a tensor's name ends in its shape
"""A prefix that the packs of several threads share, computed by one of them.

The packs of a step that are computed at once, a thread each, all begin with the same tokens. The first pack has them in
its sequence; in each layer it puts the prefix's keys and values where the others take them:

    forward    lender     layer 0 --put--> layer 1 --put--> ... loss       never waits
                              | keys, values   |
               borrower 0     +--get--> layer 0 --get--> layer 1 ...       waits until a layer's are there
               borrower 1     +--get--> ...

    backward   borrower 0   layer 1 --put--> layer 0 --put-->              never waits
                              | gradients for the prefix's keys, values
               lender         +--get, add--> layer 1 --get, add--> ...     waits for every borrower's, in their order

What one thread is ahead it stays ahead, so nobody waits for long; and since the lender waits only on its way back and
the others only on their way forward, nobody waits forever. The order of adding makes the sum the same bits each time.
Shapes: T tokens, H key heads, D head size.
"""

from dataclasses import dataclass, field
from threading import Condition
from typing import Any

import torch

KeysAndValues = tuple[torch.Tensor, torch.Tensor]


class SharedPrefix:
    """The keys and values of a prefix of `tokens` tokens, layer by layer, and the gradients that come back for them."""

    def __init__(self, tokens: int, borrowers: int) -> None:
        self.tokens = tokens
        self.borrowers = borrowers
        self._there: dict[tuple[int, int | None], KeysAndValues] = {}
        self._changed = Condition()
        self._failure: BaseException | None = None

    def put(self, layer: int, borrower: int | None, both: KeysAndValues) -> None:
        """Hand over the prefix's keys and values (`borrower` None), or the gradients that a borrower found for them."""
        with self._changed:
            self._there[layer, borrower] = both
            self._changed.notify_all()

    def get(self, layer: int, borrower: int | None, *, last: bool = False) -> KeysAndValues:
        """What was put there, once it is; `last`: nobody else asks for it. Raises: what kept a pack from putting it."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or (layer, borrower) in self._there)
            if self._failure:
                raise self._failure
            return self._there.pop((layer, borrower)) if last else self._there[layer, borrower]

    def fail(self, failure: BaseException) -> None:
        """Let nobody wait for a pack that has failed."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()


@dataclass(slots=True)
class PrefixSide:
    """One pack's side of a shared prefix: it lends (`borrower` None), or is the borrower of that number."""

    shared: SharedPrefix
    borrower: int | None = None
    _layer: int = field(default=0, init=False)

    @property
    def left_out(self) -> int:
        """How many tokens of the prefix it need not compute."""
        return 0 if self.borrower is None else self.shared.tokens

    def with_prefix(self, key_1HTD: torch.Tensor, value_1HTD: torch.Tensor) -> KeysAndValues:
        """The next layer's keys and values: for the lender its own, for others those of the prefix before their own.

        The n-th call is of the same layer in every pack, since all go through the same model.
        """
        layer, self._layer = self._layer, self._layer + 1
        function = _Lending if self.borrower is None else _Borrowing
        both: KeysAndValues = function.apply(key_1HTD, value_1HTD, self, layer)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return both


class _Lending(torch.autograd.Function):
    """The keys and values themselves; their gradients get what the borrowers found."""

    @staticmethod
    def forward(
        ctx: Any, key_1HTD: torch.Tensor, value_1HTD: torch.Tensor, side: PrefixSide, layer: int
    ) -> KeysAndValues:
        ctx.shared, ctx.layer, tokens = side.shared, layer, side.shared.tokens
        # Detached: through its tensors the shared prefix would hold the graph that holds it, long after the step.
        side.shared.put(layer, None, (key_1HTD.detach()[:, :, :tokens], value_1HTD.detach()[:, :, :tokens]))
        return key_1HTD.view_as(key_1HTD), value_1HTD.view_as(value_1HTD)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        whole = [gradient.clone() for gradient in upstream]
        # One after the other, so that the sum has the same bits each time.
        for borrower in range(ctx.shared.borrowers):
            for mine, found in zip(whole, ctx.shared.get(ctx.layer, borrower, last=True), strict=True):
                mine[:, :, : ctx.shared.tokens] += found
        ctx.shared.get(ctx.layer, None, last=True)  # all borrowers have had it, or there would be no gradients
        return *whole, None, None


class _Borrowing(torch.autograd.Function):
    """The prefix's keys and values and the pack's own behind them; the former's gradients go to the lender."""

    @staticmethod
    def forward(
        ctx: Any, key_1HTD: torch.Tensor, value_1HTD: torch.Tensor, side: PrefixSide, layer: int
    ) -> tuple[torch.Tensor, ...]:
        ctx.side, ctx.layer = side, layer
        lent = side.shared.get(layer, None)
        return tuple(torch.cat(both, dim=2) for both in zip(lent, (key_1HTD, value_1HTD), strict=True))

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        shared, at = ctx.side.shared, ctx.side.shared.tokens
        key, value = upstream
        shared.put(ctx.layer, ctx.side.borrower, (key[:, :, :at], value[:, :, :at]))
        return key[:, :, at:], value[:, :, at:], None, None
