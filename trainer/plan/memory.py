"""The peak of a training's memory, from a counted shape: plain arithmetic, every term named."""

from bisect import bisect_right
from dataclasses import dataclass, replace

from trainer.plan.tensor_count import Shape

# NF4 with double quantisation: 4 bits, an 8-bit scale for each 64 weights, a 32-bit one for each 256 scales.
# Source: Dettmers et al., QLoRA (arXiv:2305.14314), section 3.
NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)
_MOST_TOKENS = 2**30  # more than any memory holds
_ADAM_BYTES = 8  # two float32 moments for each trained weight


@dataclass(frozen=True, slots=True)
class Load:
    """What is in memory at once, besides what the shape says.

    `number_bytes` is the size of a number computed with, `trained_bytes` of a trained weight, `gradients` how many
    sets of gradients exist at once. `tokens` are computed at once, `positions` of them have logits at the same time,
    each logit taking `logit_bytes` with its softmax and gradient. `expanded`: NF4 weights are kept expanded instead.
    `copies` are further copies of the trained weights, such as the best so far. `besides` are bytes that are there
    before the model: the process and its libraries. `slack` is what an allocator takes for each byte of activations.
    """

    tokens: int
    positions: int
    number_bytes: int
    logit_bytes: int
    quantised: bool = False
    expanded: bool = False
    checkpointing: bool = False
    trained_bytes: int = 4
    gradients: int = 1
    copies: int = 0
    threads: int = 1
    besides: float = 0.0
    slack: float = 1.0

    @property
    def packed(self) -> bool:
        """Whether the frozen weights lie in memory as NF4."""
        return self.quantised and not self.expanded


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at the peak, by what they are for."""

    weights: float
    adapter: float
    activations: float
    logits: float
    workspace: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.adapter + self.activations + self.logits + self.workspace


def peak(shape: Shape, load: Load) -> Memory:
    """The memory at the peak of a step.

    Without checkpointing the peak is where the backward pass begins: all blocks' tensors and the logits are there.
    With it, only what enters each block is, and beside that either the logits or one block computed again.
    """
    linear = shape.linear * (NF4_BITS / 8 if load.packed else load.number_bytes)
    trained = load.trained_bytes * (1 + load.gradients + load.copies) + _ADAM_BYTES
    logits = float(load.positions * shape.vocabulary * load.logit_bytes)
    activations = load.tokens * shape.saved
    if load.checkpointing:
        activations = load.tokens * shape.inputs
        again = load.tokens * shape.block
        activations, logits = (activations, logits) if logits > again else (activations + again, 0.0)
    expanding = load.packed * shape.largest * load.number_bytes * load.threads
    return Memory(
        weights=linear + shape.frozen * load.number_bytes,
        adapter=float(shape.trainable * trained),
        activations=activations,
        logits=logits,
        workspace=load.besides + expanding + (load.slack - 1) * (activations + logits),
    )


def largest_micro_batch(shape: Shape, load: Load, room_bytes: float) -> int:
    """How many tokens can be computed at once in `room_bytes`; 0 where not even one can."""

    def total(tokens: int) -> float:
        return peak(shape, replace(load, tokens=tokens)).total

    return max(0, bisect_right(range(_MOST_TOKENS), room_bytes, key=total) - 1)
