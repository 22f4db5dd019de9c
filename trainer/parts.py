"""The parts of a step computed side by side: on processors each part on a thread of its own.

Threads that split each small matrix product wait for one another hundreds of times a step; parts of a step are
independent until their gradients are added, in the parts' order, so that the sum has the same bits each time.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from trainer.adapter import direct_updates, trainable
from trainer.batches import split_by_tokens
from trainer.checkpointing import needs_recomputing, recomputing
from trainer.config import TrainConfig
from trainer.dataset import Sample
from trainer.loss import loss_sum
from trainer.packing import Collate, pack, row_layout, shared_prefix

Gradients = list[torch.Tensor]


class Parts:
    """Computes losses and gradients of rows, `at_once` parts at a time."""

    def __init__(self, model: Any, max_tokens: int, collate: Collate, run: Callable[..., Any], at_once: int) -> None:
        self._model = model
        self._max_tokens = max_tokens
        self._collate = collate
        self._run = run
        self._at_once = at_once
        self._device = next(model.parameters()).device
        self._parameters = list(trainable(model).values())

    def loss_and_gradients(self, samples: Sequence[Sample]) -> tuple[float, Gradients]:
        """The mean cross-entropy over all supervised tokens of `samples`, by weight, in nats, and its gradients.

        Divided by all of the step's supervised tokens: how rows are split into parts changes nothing.
        """
        weight = sum(sample.loss_weight for sample in samples)

        def compute(part: Sequence[Sample]) -> tuple[float, Sequence[torch.Tensor]]:
            loss = loss_sum(self._model, self._collate(part, self._device)) / weight
            return float(loss.detach()), torch.autograd.grad(
                loss, self._parameters, allow_unused=True, materialize_grads=True
            )

        loss, total = 0.0, None
        for part_loss, gradients in self._run(compute, self._split(samples)):
            loss += part_loss
            total = list(gradients) if total is None else [a.add_(b) for a, b in zip(total, gradients, strict=True)]
        return loss, total or []

    def mean_loss(self, samples: Sequence[Sample]) -> float:
        """The mean cross-entropy over all supervised tokens of `samples`, in nats per token."""

        def compute(part: Sequence[Sample]) -> float:
            with torch.no_grad():
                return float(loss_sum(self._model, self._collate(part, self._device)))

        total: float = sum(self._run(compute, self._split(samples)))
        return total / sum(sample.loss_weight for sample in samples)

    def largest(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples of the largest parts of a step, of as many as are computed at once."""
        parts = sorted(self._split(samples), key=lambda part: -sum(len(sample.ids) for sample in part))
        return [sample for part in parts[: self._at_once] for sample in part]

    def _split(self, samples: Sequence[Sample]) -> list[list[Sample]]:
        # A part computes the prefix that its rows share once, so what counts for its size is what each has of its own.
        # Half of the tokens stay for that: more parts would compute a long prefix more often, for little memory.
        shared = shared_prefix(samples) if self._collate is pack and len(samples) > 1 else 0
        own = [len(sample.ids) - shared for sample in samples]
        room = max(self._max_tokens - self._at_once * shared, self._max_tokens // 2, 1)
        parts = split_by_tokens(range(len(samples)), own, room, self._at_once)
        return [[samples[row] for row in part] for part in parts]


@contextmanager
def parts_of(model: Any, config: TrainConfig, samples: Sequence[Sample]) -> Iterator[Parts]:
    """What computes rows for this model and configuration. Within the block, torch's own threads may be set to one."""
    threads = torch.get_num_threads()
    on_processor = next(model.parameters()).device.type == "cpu"
    # Dropout draws from one generator for all threads: who draws first would be left to chance.
    # Where all weights are trained, every part at once would need gradients of the size of the model.
    at_once = threads if on_processor and config.method != "full" and not _draws_at_random(model) else 1
    with direct_updates(model), row_layout(model, samples) as collate, ExitStack() as more:
        wanted = config.checkpointing
        if wanted == "auto":
            tokens = max(config.micro_batch_tokens, *(len(sample.ids) for sample in samples))
            device = next(model.parameters()).device
            wanted = config.method != "prefix" and needs_recomputing(
                lambda rows: loss_sum(model, collate(rows, device)), samples, tokens
            )
        more.enter_context(recomputing(model, wanted=wanted, draws=at_once == 1))
        if at_once == 1:
            yield Parts(model, config.micro_batch_tokens, collate, map, 1)
            return
        torch.set_num_threads(1)
        try:
            # A thread keeps the number of torch threads that it started with.
            with ThreadPoolExecutor(at_once, "part", initializer=lambda: torch.set_num_threads(1)) as pool:
                yield Parts(model, config.micro_batch_tokens, collate, pool.map, at_once)
        finally:
            torch.set_num_threads(threads)


def _draws_at_random(model: Any) -> bool:
    dropouts = any(module.p > 0 for module in model.modules() if isinstance(module, torch.nn.Dropout))
    return dropouts or any(
        isinstance(value, float) and value > 0
        for name, value in model.config.to_dict().items()
        if "dropout" in name or name.endswith("_drop")
    )
