"""A step's rows in micro-batches, computed side by side: on a processor each on a thread of its own.

Threads that split each small matrix product wait for one another hundreds of times a step. Micro-batches are
independent until their gradients are added. A step of eight rows on two threads, where `micro_batch_tokens` lets four
rows be computed at once:

    rows            r0 r1 r2 r3 r4 r5 r6 r7
    micro-batches   [r0 r5] [r1 r4]   [r2 r7] [r3 r6]     of about the same number of tokens, as many as threads or a
                                                          multiple, so that nobody waits for the last one
    rounds          round 0: thread 0 packs [r0 r5]       round 1: thread 0 packs [r2 r7]
                             thread 1 packs [r1 r4]                thread 1 packs [r3 r6]

    loss, gradients = sum over the micro-batches, in their order, whichever thread was ready first

The sum has the same bits each time; and since each loss is a sum divided by all that counts in the whole step, it is
the same however the rows are split. A prefix that all rows of a step share is computed once a round, by the first
micro-batch, for the others: see `trainer.packing.shared_prefix`. Several processes each take a share of the rows first:
see `trainer.loop.processes`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from trainer.config import TrainConfig
from trainer.data.batches import Batch, sequences_of, split_by_tokens
from trainer.data.tokenized_row import TokenizedRow
from trainer.layers.lean_layers import lean_layers
from trainer.layers.lora_update import direct_updates
from trainer.layers.recompute import needs_recomputing, recomputing
from trainer.loop.cross_entropy import loss_sum
from trainer.loop.objectives import log_probabilities, loss_divisor, mismatched, summed_loss
from trainer.loop.processes import ONE_PROCESS, ProcessGroup
from trainer.loop.row_layout import Collate, row_layout
from trainer.model.adapter import trainable, without_adapter
from trainer.model.load import threads_of_one
from trainer.packing.pack import common_prefix, pack
from trainer.packing.shared_prefix import PrefixSide, SharedPrefix

Gradients = list[torch.Tensor]
_TRIED_SHARE = 20  # of the parameters, from the last on: memory peaks in the first block of the backward pass
_LEAST_SHARED = 8  # tokens of a prefix: what they save is more than the keys' way to another thread costs
_VIRTUAL = ("prefix", "prompt")  # learned tokens stand before the prefix
_MEASURED_FROM_BASE = ("dpo", "ipo", "kto")


class MicroBatches:
    """Computes losses and gradients of rows, `at_once` micro-batches at a time.

    Args:
        collate: makes tensors of a micro-batch's rows.
        run: calls a function for each of a round's micro-batches, as `map` does, in order or at the same time.
        processes: those that share the rows of each step.
        shares_prefix: whether a prefix is computed once for all micro-batches of a round.
    """

    def __init__(
        self,
        model: Any,
        config: TrainConfig,
        collate: Collate,
        run: Callable[..., Any],
        at_once: int,
        processes: ProcessGroup,
        *,
        shares_prefix: bool = False,
    ) -> None:
        self._model = model
        self._config = config
        self._collate = collate
        self._run = run
        self._at_once = at_once
        self._shares_prefix = shares_prefix
        self._processes = processes
        self._device = next(model.parameters()).device
        self._parameters = list(trainable(model).values())

    def loss_and_gradients(self, rows: Sequence[TokenizedRow]) -> tuple[float, Gradients]:
        """The mean loss of `rows` and its gradients: for answers the mean cross-entropy in nats, by weight.

        Divided by all that counts in the step: how rows are split changes nothing.
        """
        return self._processes.summed(*self._computed(self._processes.own_share(rows), rows, self._parameters))

    def try_out(self, rows: Sequence[TokenizedRow]) -> None:
        """Compute the rows, all in this process, as far as it takes more and more memory, and forget what came out.

        That is until a block or two into the backward pass, which frees more than it takes; but where the whole model
        is trained, each gradient is of the size of its weights.
        """
        few = len(self._parameters) // _TRIED_SHARE + 1
        self._computed(rows, rows, self._parameters if self._config.method == "full" else self._parameters[-few:])

    def _computed(
        self, rows: Sequence[TokenizedRow], step: Sequence[TokenizedRow], parameters: Sequence[torch.Tensor]
    ) -> tuple[float, Gradients]:
        """What `rows` add to the mean loss of the whole step and to its gradients for `parameters`."""
        divisor, drift = loss_divisor(step, self._config), self._drift(step)

        def compute(part: Sequence[TokenizedRow], batch: Batch) -> tuple[float, Sequence[torch.Tensor]]:
            loss = self._loss(part, batch, drift) / divisor
            return float(loss.detach()), torch.autograd.grad(
                loss, parameters, allow_unused=True, materialize_grads=True
            )

        loss, total = 0.0, None
        for part_loss, gradients in self._each(compute, self._split(rows)):
            loss += part_loss
            total = list(gradients) if total is None else [a.add_(b) for a, b in zip(total, gradients, strict=True)]
        return loss, [torch.zeros_like(value) for value in parameters] if total is None else total

    def mean_loss(self, rows: Sequence[TokenizedRow]) -> float:
        """The mean loss of `rows`: for answers in nats per supervised token."""
        drift = self._drift(rows)

        def compute(part: Sequence[TokenizedRow], batch: Batch) -> float:
            with torch.no_grad():
                return float(self._loss(part, batch, drift))

        mine: float = sum(self._each(compute, self._split(self._processes.own_share(rows))))
        return self._processes.summed(mine, [])[0] / loss_divisor(rows, self._config)

    def with_references(self, rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
        """The rows with what the model without its adapter makes of their answers, where the objective asks for it.

        Once for a training: the reference doesn't move.
        """
        if self._config.objective not in _MEASURED_FROM_BASE:
            return list(rows)
        with without_adapter(self._model) as reference:
            found = self._log_probabilities(reference, rows)
        return [replace(row, reference=tuple(logps)) for row, logps in zip(rows, found, strict=True)]

    def _drift(self, rows: Sequence[TokenizedRow]) -> float:
        """For KTO: how much likelier than before the rows' answers are behind others' prompts, in nats; at least 0."""
        if self._config.objective != "kto":
            return 0.0
        strangers = mismatched(rows)
        now = self._log_probabilities(self._model, strangers)
        with without_adapter(self._model) as reference:
            before = self._log_probabilities(reference, strangers)
        gained = [sum(a) - sum(b) for a, b in zip(now, before, strict=True)]
        return max(0.0, sum(gained) / sum(len(row.sequences) for row in rows))

    def _log_probabilities(self, model: Any, rows: Sequence[TokenizedRow]) -> list[list[float]]:
        """The log-probabilities of each row's answers: one, or the chosen and the rejected one."""

        def compute(part: Sequence[TokenizedRow], batch: Batch) -> list[float]:
            with torch.no_grad():
                return log_probabilities(model, batch, part)[0].tolist()

        rounds, found = self._split(rows), dict[int, list[float]]()
        parts = [part for one in rounds for part in one.parts]
        for part, logps in zip(parts, self._each(compute, rounds), strict=True):
            remaining = iter(logps)
            found |= {id(row): [next(remaining) for _ in row.sequences] for row in part}
        return [found[id(row)] for row in rows]

    def _loss(self, part: Sequence[TokenizedRow], batch: Batch, drift: float) -> torch.Tensor:
        return summed_loss(self._model, batch, part, self._config, drift)

    def largest(self, rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
        """The rows of a step's largest round."""
        rounds = self._split(self._processes.own_share(rows))
        return max((one.rows for one in rounds), key=lambda some: sum(row.size for row in some))

    def _split(self, rows: Sequence[TokenizedRow]) -> list["ParallelRound"]:
        if not rows:
            return []
        tokens, packed = self._config.micro_batch_tokens, self._collate is pack
        return split_step(rows, tokens, self._at_once, packed=packed, shares_prefix=self._shares_prefix)

    def _each(
        self, compute: Callable[[Sequence[TokenizedRow], Batch], Any], rounds: Sequence["ParallelRound"]
    ) -> Iterator[Any]:
        """What `compute` makes of each micro-batch's rows and tensors, in the micro-batches' order."""

        def work(part: Sequence[TokenizedRow], side: PrefixSide | None) -> Any:
            try:
                batch = pack(part, self._device, side) if side else self._collate(part, self._device)
                return compute(part, batch)
            except BaseException as error:
                if side:
                    side.shared.fail(error)
                raise

        for one in rounds:
            yield from self._run(work, one.parts, one.sides())


@dataclass(frozen=True, slots=True)
class ParallelRound:
    """The rows of the micro-batches that are computed at once.

    A prefix of `shared_tokens` tokens, 0 for none, is computed by the first of them for all.
    """

    parts: list[list[TokenizedRow]]
    shared_tokens: int = 0

    @property
    def rows(self) -> list[TokenizedRow]:
        """Of all micro-batches."""
        return [row for part in self.parts for row in part]

    def sides(self) -> list[PrefixSide | None]:
        """Each micro-batch's side of the shared prefix, if there is one."""
        if not self.shared_tokens or len(self.parts) == 1:
            return [None] * len(self.parts)
        shared = SharedPrefix(self.shared_tokens, len(self.parts) - 1)
        return [PrefixSide(shared), *(PrefixSide(shared, number) for number in range(shared.borrowers))]


def split_step(
    rows: Sequence[TokenizedRow],
    micro_batch_tokens: int,
    at_once: int,
    *,
    packed: bool = True,
    shares_prefix: bool = False,
) -> list[ParallelRound]:
    """The rows of a step in micro-batches, in the rounds in which they are computed.

    Args:
        micro_batch_tokens: about how many tokens a round computes.
        at_once: how many micro-batches a round has.
        packed: whether a micro-batch computes a prefix that its rows share once.
        shares_prefix: whether a round does.
    """
    # What counts for the size of a packed row is what it has of its own. Half of the tokens stay for that: more rounds
    # would compute a long prefix more often, for little memory.
    sequences = sequences_of(rows)
    shared = common_prefix(sequences) if packed and len(sequences) > 1 else 0
    own = [row.size - shared * len(row.sequences) for row in rows]
    for_all = shared if shares_prefix and at_once > 1 and shared >= _LEAST_SHARED else 0
    room = max(micro_batch_tokens - shared * (1 if for_all else at_once), micro_batch_tokens // 2, 1)
    split = split_by_tokens(range(len(rows)), own, room, at_once, for_all)
    parts = [[rows[number] for number in part] for part in split]
    return [ParallelRound(parts[start : start + at_once], for_all) for start in range(0, len(parts), at_once)]


def may_share_prefix(config: TrainConfig, recomputing: bool | Literal["auto"]) -> bool:
    """Whether a round's micro-batches may share a prefix: layers computed again would lend and borrow again."""
    return recomputing is not True and config.method not in _VIRTUAL


@contextmanager
def micro_batches(
    model: Any, config: TrainConfig, rows: Sequence[TokenizedRow], processes: ProcessGroup = ONE_PROCESS
) -> Iterator[MicroBatches]:
    """What computes rows for this model and configuration. Within the block, torch's own threads may be set to one.

    `rows` are those of the training: how they are put into tensors is tried on the shortest of them.
    """
    on_processor = next(model.parameters()).device.type == "cpu"
    # Dropout draws from one generator for all threads: who draws first would be left to chance.
    # Where all weights are trained, every micro-batch at once would need gradients of the size of the model.
    side_by_side = on_processor and config.method != "full" and not _draws_at_random(model)
    at_once = torch.get_num_threads() if side_by_side else 1
    with direct_updates(model), lean_layers(model), row_layout(model, rows) as collate:
        wanted = _recomputes(model, config, collate, rows)
        with recomputing(model, wanted=wanted, draws=at_once == 1):
            if at_once == 1:
                yield MicroBatches(model, config, collate, map, 1, processes)
                return
            with threads_of_one(at_once) as pool:
                shares = may_share_prefix(config, wanted)
                yield MicroBatches(model, config, collate, pool.map, at_once, processes, shares_prefix=shares)


def _recomputes(model: Any, config: TrainConfig, collate: Collate, rows: Sequence[TokenizedRow]) -> bool:
    if config.checkpointing != "auto":
        return config.checkpointing
    tokens = max(config.micro_batch_tokens, *(row.size for row in rows))
    device = next(model.parameters()).device
    return config.method != "prefix" and needs_recomputing(
        model, lambda rows: loss_sum(model, collate(rows, device)), rows, tokens
    )


def _draws_at_random(model: Any) -> bool:
    dropouts = any(module.p > 0 for module in model.modules() if isinstance(module, torch.nn.Dropout))
    return dropouts or any(
        isinstance(value, float) and value > 0
        for name, value in model.config.to_dict().items()
        if "dropout" in name or name.endswith("_drop")
    )
