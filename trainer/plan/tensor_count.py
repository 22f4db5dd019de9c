"""What a model keeps for each token it learns from, counted on a model that has shapes and no storage.

No formula has to know an architecture: the base is made on torch's `meta` device from its config alone, one block of
each kind goes through a forward pass, and every tensor that the backward pass would need is noted. For Llama's blocks
the count is the formula that published peaks were fitted with (`tests/trainer/plan/test_published.py`).
Shapes: H query heads, K key heads, T tokens, D head size.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AttentionInterface

from trainer.layers.lean_layers import computes_leanly
from trainer.layers.lora_update import direct_updates
from trainer.model.load import quiet_libraries, unwrapped

NAME = "acidtest_counted"
_TOKENS = 128  # what a block keeps grows with the tokens alone; what it keeps besides is too small to show
_ADAPTER_BYTES = 4  # of a number in an adapter
Adapt = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """A base model with what is trained on it, in numbers. Bytes and operations are for each token.

    `linear` are the frozen weights that NF4 quantises, `frozen` the other frozen ones; `largest` is the largest linear
    layer. `saved` is what all blocks keep for the backward pass, `block` what the largest one keeps, `inputs` what
    enters the blocks. `forward` and `training` are operations; the output head is not in them. `counted` is false
    where the architecture could not be run on shapes, and Llama's formula was taken with its widths. `lean`: on
    processors all its blocks keep less than is counted here, see `trainer.layers.lean_layers`.
    """

    blocks: int
    hidden: int
    vocabulary: int
    linear: int
    frozen: int
    trainable: int
    largest: int
    saved: float
    block: float
    inputs: float
    forward: float
    training: float
    targets: tuple[str, ...]
    counted: bool = True
    lean: bool = False

    @property
    def parameters(self) -> int:
        """All weights, the adapter's too."""
        return self.linear + self.frozen + self.trainable


class _CountedAttention(torch.autograd.Function):
    """Keeps what a fused attention kernel keeps (query, key, value, output, one sum a query) and computes nothing."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        out_1HTD = query.new_empty(*query.shape[:3], value.shape[3])  # noqa: N806 - a tensor's name ends in its shape
        sums = query.new_empty(query.shape[:3], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out_1HTD, sums)
        return out_1HTD

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> None:
        raise NotImplementedError("only forward passes are counted")


def _attend(
    _module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **_more: Any
) -> tuple[torch.Tensor, None]:
    out: torch.Tensor = _CountedAttention.apply(query, key, value)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _attend)


def count(config: Any, adapt: Adapt, dtype: torch.dtype) -> Shape:
    """The shape of the model that `config` describes, computing in `dtype`, with what `adapt` attaches to it.

    What an architecture keeps that can't be run without storage is estimated from its widths; the result says so.
    """
    with quiet_libraries(), torch.device("meta"):
        try:
            model = _made(config, dtype)
        except Exception:  # noqa: BLE001 - a model that can't be made without storage may well be loaded with its weights
            return _from_widths(config.get_text_config(), dtype.itemsize)
        model.requires_grad_(requires_grad=False)
        kinds = _one_of_each(model)
        model = adapt(model).train()
        tally = _Tally(kinds)
        try:
            with direct_updates(model), tally.noting(model):
                ids = torch.zeros(1, _TOKENS, dtype=torch.long)
                unwrapped(model).base_model(input_ids=ids, use_cache=False)
            counted = True
        except Exception:  # noqa: BLE001 - a model's own code may ask for values, which shapes don't have
            counted = False
    sizes = _sizes(model, kinds)
    text = config.get_text_config()
    blocks = sum(times for _, times in kinds)
    if counted:
        saved = {kind: size / _TOKENS for kind, size in tally.saved.items()}
        kept = sum(saved[kind] * times for kind, (_, times) in enumerate(kinds)) + saved.get(-1, 0.0)
        block = max(saved[kind] for kind in range(len(kinds)))
        forward = sum(tally.operations[kind] * times for kind, (_, times) in enumerate(kinds)) / _TOKENS
    else:
        block, forward = _estimate(text, dtype.itemsize)
        kept = block * blocks
    return Shape(
        blocks=blocks,
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
        linear=sizes.linear,
        frozen=sizes.frozen,
        trainable=sizes.trainable,
        largest=sizes.largest,
        saved=kept,
        block=block,
        inputs=blocks * text.hidden_size * dtype.itemsize,
        forward=forward,
        # Backward: the gradient of each product's input, and where all weights are trained that of the weight.
        training=forward * (2 if sizes.linear else 3),
        targets=tuple(sorted(sizes.targets)),
        counted=counted,
        lean=all(computes_leanly(block) for block, _ in kinds),
    )


def _made(config: Any, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=dtype, attn_implementation=NAME)
    except KeyError:  # a model with a list of its own of attention functions
        return AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=dtype)


def _one_of_each(model: nn.Module) -> list[tuple[nn.Module, int]]:
    """The model's blocks, thinned out to one of each kind, each with how many there were."""
    lists = [part for part in model.modules() if isinstance(part, nn.ModuleList)]
    blocks = max(lists, key=lambda part: sum(value.numel() for value in part.parameters()))
    kinds: dict[Any, int] = {}
    extra = []
    for index, block in enumerate(blocks):
        kind = (type(block), *((name, value.shape) for name, value in block.named_parameters()))
        if kind in kinds:
            extra.append(index)
        kinds[kind] = kinds.get(kind, 0) + 1
    for index in reversed(extra):
        del blocks[index]
    return list(zip(blocks, kinds.values(), strict=True))


class _Tally:
    """Notes, for each kind of block (and -1 for what lies outside them), the bytes kept and the operations."""

    def __init__(self, kinds: list[tuple[nn.Module, int]]) -> None:
        self.kinds = kinds
        self.saved: Counter[int] = Counter()
        self.operations: Counter[int] = Counter()
        self._known: dict[int, Any] = {}

    @contextmanager
    def noting(self, model: nn.Module) -> Iterator[None]:
        """Within the block, every tensor that is kept for a backward pass counts, each storage once."""
        weights = [*model.parameters(), *model.buffers()]
        self._known = {value.untyped_storage()._cdata: value for value in weights}
        within = [-1]
        counter = FlopCounterMode(display=False)
        # The one block that stands for many is the first, and must keep what those behind it keep for their input.
        embed = unwrapped(model).get_input_embeddings()
        handles = [embed.register_forward_hook(lambda *call: call[2].requires_grad_(requires_grad=True))]
        for kind, (block, _) in enumerate(self.kinds):

            def enter(*_: Any, kind: int = kind) -> None:
                within[0] = kind
                self.operations[kind] -= counter.get_total_flops()

            def leave(*_: Any, kind: int = kind) -> None:
                within[0] = -1
                self.operations[kind] += counter.get_total_flops()

            handles += [block.register_forward_pre_hook(enter), block.register_forward_hook(leave)]

        def keep(value: torch.Tensor) -> torch.Tensor:
            storage = value.untyped_storage()
            if storage._cdata not in self._known:
                self._known[storage._cdata] = storage  # held, so that its address is not given to another
                self.saved[within[0]] += storage.nbytes()
            return value

        try:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value), counter:
                yield
        finally:
            for handle in handles:
                handle.remove()


@dataclass
class _Sizes:
    linear: int = 0
    frozen: int = 0
    trainable: int = 0
    largest: int = 0
    targets: set[str] = field(default_factory=set)


def _sizes(model: nn.Module, kinds: list[tuple[nn.Module, int]]) -> _Sizes:
    """How many weights the whole model has of each sort, and what the layers with an adapter are called."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    inside = {id(part): times for block, times in kinds for part in block.modules()}
    head = unwrapped(model).get_output_embeddings()
    sizes, seen = _Sizes(), set()
    for place, part in model.named_modules():
        if isinstance(part, BaseTunerLayer):
            sizes.targets.add(place.rpartition(".")[2])
        for name, value in part.named_parameters(recurse=False):
            if id(value) in seen:
                continue
            seen.add(id(value))
            size = value.numel() * inside.get(id(part), 1)
            if value.requires_grad:
                sizes.trainable += size
            elif isinstance(part, nn.Linear) and part is not head and name == "weight":
                sizes.linear += size
                sizes.largest = max(sizes.largest, value.numel())
            else:
                sizes.frozen += size
    return sizes


def _from_widths(text: Any, size: int) -> Shape:
    """The shape as far as a config's widths tell; how much an adapter adds is left out."""
    block, forward = _estimate(text, size)
    blocks, hidden, vocabulary = text.num_hidden_layers, text.hidden_size, text.vocab_size
    return Shape(
        blocks=blocks,
        hidden=hidden,
        vocabulary=vocabulary,
        linear=int(forward / 2),
        frozen=hidden * vocabulary * (1 if getattr(text, "tie_word_embeddings", False) else 2),
        trainable=0,
        largest=int(forward / 2 / blocks),
        saved=block * blocks,
        block=block,
        inputs=blocks * hidden * size,
        forward=forward,
        training=2 * forward,
        targets=(),
        counted=False,
    )


def _estimate(text: Any, size: int) -> tuple[float, float]:
    """What a block keeps for a token, and the operations of all: Llama's formula, for numbers of `size` bytes.

    Experts count as many times as a token meets them.
    """
    hidden, heads = text.hidden_size, getattr(text, "num_attention_heads", None) or 1
    head = getattr(text, "head_dim", None) or hidden // heads
    keys = head * (getattr(text, "num_key_value_heads", None) or heads)
    inner = getattr(text, "moe_intermediate_size", None) or getattr(text, "intermediate_size", None) or 4 * hidden
    inner *= getattr(text, "num_experts_per_tok", None) or 1
    weights = 2 * hidden * (heads * head + keys) + 3 * hidden * inner
    # Adapters are in float32: where numbers are smaller, their inputs are kept a second time, converted.
    same, converted = 16 * hidden + 4 * keys + 8 * inner, 36 * hidden + 4 * keys + 10 * inner
    block = float(same * size / 2 if size == _ADAPTER_BYTES else converted)
    return block, 2.0 * weights * text.num_hidden_layers
