"""The parts of a step computed side by side: on processors each part on a thread of its own.

Threads that split each small matrix product wait for one another hundreds of times a step; parts of a step are
independent until their gradients are added, in the parts' order, so that the sum has the same bits each time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from trainer.adapter import direct_updates, trainable, without_adapter
from trainer.batches import Batch, split_by_tokens
from trainer.checkpointing import needs_recomputing, recomputing
from trainer.config import TrainConfig
from trainer.layers import lean_layers
from trainer.loan import Loan, Share
from trainer.loss import head_cost, loss_sum
from trainer.model import threads_of_one
from trainer.objectives import log_probabilities, mismatched, share, summed_loss
from trainer.packing import Collate, pack, row_layout, shared_prefix
from trainer.sample import Sample
from trainer.team import ALONE, Team

Gradients = list[torch.Tensor]
_TRIED_SHARE = 20  # of the parameters, from the last on: memory peaks in the first block of the backward pass
_LEAST_LENT = 8  # tokens of a prefix: what they save is more than the keys' way to another thread costs
_VIRTUAL = ("prefix", "prompt")  # learned tokens stand before the prefix
_MEASURED_FROM_BASE = ("dpo", "ipo", "kto")


class Parts:
    """Computes losses and gradients of rows, `at_once` parts at a time."""

    def __init__(
        self,
        model: Any,
        config: TrainConfig,
        collate: Collate,
        run: Callable[..., Any],
        at_once: int,
        team: Team,
        *,
        lends: bool = False,
    ) -> None:
        self._model = model
        self._config = config
        self._collate = collate
        self._run = run
        self._at_once = at_once
        self._lends = lends
        self._head = head_cost(model)
        self._team = team
        self._device = next(model.parameters()).device
        self._parameters = list(trainable(model).values())

    def loss_and_gradients(self, samples: Sequence[Sample]) -> tuple[float, Gradients]:
        """The mean loss of `samples` and its gradients: for answers the mean cross-entropy in nats, by weight.

        Divided by all that counts in the step: how rows are split into parts changes nothing.
        """
        return self._team.summed(*self._computed(self._team.share_of(samples), samples, self._parameters))

    def try_out(self, samples: Sequence[Sample]) -> None:
        """Compute the samples, all in this process, as far as it takes more and more memory, and forget what came out.

        That is until a block or two into the backward pass, which frees more than it takes; but where the whole model
        is trained, each gradient is of the size of its weights.
        """
        few = len(self._parameters) // _TRIED_SHARE + 1
        self._computed(samples, samples, self._parameters if self._config.method == "full" else self._parameters[-few:])

    def _computed(
        self, samples: Sequence[Sample], step: Sequence[Sample], parameters: Sequence[torch.Tensor]
    ) -> tuple[float, Gradients]:
        """What `samples` add to the mean loss of the whole step and to its gradients for `parameters`."""
        divisor, drift = share(step, self._config), self._drift(step)

        def compute(part: Sequence[Sample], batch: Batch) -> tuple[float, Sequence[torch.Tensor]]:
            loss = self._loss(part, batch, drift) / divisor
            return float(loss.detach()), torch.autograd.grad(
                loss, parameters, allow_unused=True, materialize_grads=True
            )

        loss, total = 0.0, None
        for part_loss, gradients in self._each(compute, self._split(samples)):
            loss += part_loss
            total = list(gradients) if total is None else [a.add_(b) for a, b in zip(total, gradients, strict=True)]
        return loss, [torch.zeros_like(value) for value in parameters] if total is None else total

    def mean_loss(self, samples: Sequence[Sample]) -> float:
        """The mean loss of `samples`: for answers in nats per supervised token."""
        drift = self._drift(samples)

        def compute(part: Sequence[Sample], batch: Batch) -> float:
            with torch.no_grad():
                return float(self._loss(part, batch, drift))

        mine: float = sum(self._each(compute, self._split(self._team.share_of(samples))))
        return self._team.summed(mine, [])[0] / share(samples, self._config)

    def with_references(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples with what the model without its adapter makes of their answers, where the objective asks for it.

        Once for a training: the reference doesn't move.
        """
        if self._config.objective not in _MEASURED_FROM_BASE:
            return list(samples)
        with without_adapter(self._model) as reference:
            found = self._log_probabilities(reference, samples)
        return [replace(sample, reference=tuple(logps)) for sample, logps in zip(samples, found, strict=True)]

    def _drift(self, samples: Sequence[Sample]) -> float:
        """For KTO: how much likelier than before the rows' answers are behind others' prompts, in nats; at least 0."""
        if self._config.objective != "kto":
            return 0.0
        strangers = mismatched(samples)
        now = self._log_probabilities(self._model, strangers)
        with without_adapter(self._model) as reference:
            before = self._log_probabilities(reference, strangers)
        gained = [sum(a) - sum(b) for a, b in zip(now, before, strict=True)]
        return max(0.0, sum(gained) / sum(len(sample.rows) for sample in samples))

    def _log_probabilities(self, model: Any, samples: Sequence[Sample]) -> list[list[float]]:
        """The log-probability of each row of each sample."""

        def compute(part: Sequence[Sample], batch: Batch) -> list[float]:
            with torch.no_grad():
                return log_probabilities(model, batch, part)[0].tolist()

        rounds, found = self._split(samples), dict[int, list[float]]()
        parts = [part for together in rounds for part in together.parts]
        for part, logps in zip(parts, self._each(compute, rounds), strict=True):
            remaining = iter(logps)
            found |= {id(sample): [next(remaining) for _ in sample.rows] for sample in part}
        return [found[id(sample)] for sample in samples]

    def _loss(self, part: Sequence[Sample], batch: Batch, drift: float) -> torch.Tensor:
        return summed_loss(self._model, batch, part, self._config, drift)

    def largest(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples of the largest parts of a step that are computed at once."""
        rounds = self._split(self._team.share_of(samples))
        return max((together.samples for together in rounds), key=lambda some: sum(sample.size for sample in some))

    def _split(self, samples: Sequence[Sample]) -> list["Round"]:
        if not samples:
            return []
        tokens, packed = self._config.micro_batch_tokens, self._collate is pack
        return split_step(samples, tokens, self._at_once, packed=packed, lends=self._lends, head=self._head)

    def _each(self, compute: Callable[[Sequence[Sample], Batch], Any], rounds: Sequence["Round"]) -> Iterator[Any]:
        """What `compute` makes of each part and its batch, in the parts' order."""

        def work(part: Sequence[Sample], loan: Share | None) -> Any:
            try:
                batch = pack(part, self._device, loan) if loan else self._collate(part, self._device)
                return compute(part, batch)
            except BaseException as error:
                if loan:
                    loan.loan.fail(error)
                raise

        for together in rounds:
            yield from self._run(work, together.parts, together.shares())


@dataclass(frozen=True, slots=True)
class Round:
    """Parts that are computed at once. A prefix of `lent` tokens is computed by the first of them for all."""

    parts: list[list[Sample]]
    lent: int = 0

    @property
    def samples(self) -> list[Sample]:
        """Of all parts."""
        return [sample for part in self.parts for sample in part]

    def shares(self) -> list[Share | None]:
        """Each part's side of the loan, if there is one."""
        if not self.lent or len(self.parts) == 1:
            return [None] * len(self.parts)
        loan = Loan(self.lent, len(self.parts) - 1)
        return [Share(loan), *(Share(loan, number) for number in range(loan.borrowers))]


def split_step(
    samples: Sequence[Sample],
    micro_batch_tokens: int,
    at_once: int,
    *,
    packed: bool = True,
    lends: bool = False,
    head: float = 0.0,
) -> list[Round]:
    """The samples of a step in the parts that are computed, `at_once` at a time.

    `head` says how long predicting from a token takes, beside taking it through the blocks: parts take equally long.
    """
    # A packed part computes the prefix that its rows share once, so what counts for its size is what each has of its
    # own. Half of the tokens stay for that: more parts would compute a long prefix more often, for little memory.
    rows = [row for sample in samples for row in sample.rows]
    shared = shared_prefix(rows) if packed and len(rows) > 1 else 0
    own = [sample.size - shared * len(sample.rows) for sample in samples]
    costs = [sum(len(row.inputs) - shared + head * row.supervised_count for row in one.rows) for one in samples]
    lent = shared if lends and at_once > 1 and shared >= _LEAST_LENT else 0
    room = max(micro_batch_tokens - shared * (1 if lent else at_once), micro_batch_tokens // 2, 1)
    split = split_by_tokens(range(len(samples)), own, room, at_once, lent, costs)
    parts = [[samples[row] for row in part] for part in split]
    return [Round(parts[start : start + at_once], lent) for start in range(0, len(parts), at_once)]


def may_lend(config: TrainConfig, recomputing: bool | Literal["auto"]) -> bool:
    """Whether parts that are computed at once may share a prefix: layers computed again would lend and borrow again."""
    return recomputing is not True and config.method not in _VIRTUAL


@contextmanager
def parts_of(model: Any, config: TrainConfig, samples: Sequence[Sample], team: Team = ALONE) -> Iterator[Parts]:
    """What computes rows for this model and configuration. Within the block, torch's own threads may be set to one."""
    on_processor = next(model.parameters()).device.type == "cpu"
    # Dropout draws from one generator for all threads: who draws first would be left to chance.
    # Where all weights are trained, every part at once would need gradients of the size of the model.
    side_by_side = on_processor and config.method != "full" and not _draws_at_random(model)
    at_once = torch.get_num_threads() if side_by_side else 1
    with direct_updates(model), lean_layers(model), row_layout(model, samples) as collate:
        wanted = _recomputes(model, config, collate, samples)
        with recomputing(model, wanted=wanted, draws=at_once == 1):
            if at_once == 1:
                yield Parts(model, config, collate, map, 1, team)
                return
            with threads_of_one(at_once) as pool:
                yield Parts(model, config, collate, pool.map, at_once, team, lends=may_lend(config, wanted))


def _recomputes(model: Any, config: TrainConfig, collate: Collate, samples: Sequence[Sample]) -> bool:
    if config.checkpointing != "auto":
        return config.checkpointing
    tokens = max(config.micro_batch_tokens, *(sample.size for sample in samples))
    device = next(model.parameters()).device
    return config.method != "prefix" and needs_recomputing(
        model, lambda rows: loss_sum(model, collate(rows, device)), samples, tokens
    )


def _draws_at_random(model: Any) -> bool:
    dropouts = any(module.p > 0 for module in model.modules() if isinstance(module, torch.nn.Dropout))
    return dropouts or any(
        isinstance(value, float) and value > 0
        for name, value in model.config.to_dict().items()
        if "dropout" in name or name.endswith("_drop")
    )
