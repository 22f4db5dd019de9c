"""A plan: memory, time and money of a training, from its base's config and its rows' tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from curate.core.chat.base_model import BaseModel, find_base, load_chat_format, made_once
from curate.core.errors import ConfigError, first_line
from trainer.config import TrainConfig
from trainer.data.tokenized_row import TokenizedRow
from trainer.inputs import Inputs, read_datasets
from trainer.layers.recompute import SHARE_OF_FREE
from trainer.loop.cross_entropy import CHUNK_POSITIONS
from trainer.model.adapter import new_adapter
from trainer.model.hub import HUB_FIX, check_reachable
from trainer.model.load import LoadedModel, compute_dtype, free_bytes, processor_threads, quiet_libraries
from trainer.model.nf4 import EXPANDED_SHARE
from trainer.model.nf4_cache import is_kept
from trainer.plan.advice import Change, PlanWarning, changes, warnings
from trainer.plan.hardware import Hardware, HardwareTable, Machine, this_machine
from trainer.plan.memory import Load, Memory, largest_micro_batch, peak
from trainer.plan.steps_and_tokens import Work, work
from trainer.plan.tensor_count import Adapt, Shape, count

if TYPE_CHECKING:
    from curate.core.chat.chat_format import ChatFormat

# Bytes for each logit and what is made of it: the logit, in float32 where it isn't, its log-softmax and its gradient.
_LOGIT_BYTES = {torch.float32: 12, torch.bfloat16: 14}
# Python with the libraries and the rows, before a model is there, and what loading leaves behind.
_PROCESS_BYTES = 0.6e9
# What the C library's allocator takes for a byte of activations, freed blocks between those in use counted: seen with
# SmolLM2-135M on two quiet threads at 600 to 2,100 tokens at once. Lean layers keep less than was counted: 0.78 to 0.84
# on busy threads at 540 to 2,120 tokens in rows of 60 to 1,000, and 0.94 with weights that are expanded each time.
_SLACK, _LEAN_SLACK = 1.75, 0.95
_KEPT_BYTES = 0.52  # for each weight that was quantised before: 4 bits, and its share of a block's scale
# NF4 weights are expanded for each product: LitGPT's table has 2.4 against 3.8 minutes on an A100 for the same steps;
# on processors it costs 16 to 26 %.
_PACKED_SLOWER_ON_GPU, _PACKED_SLOWER_HERE = 1.6, 1.2
# A GPU waits for the host that starts its kernels: LitGPT's table has 74 to 141 ms for a pass over one short row in 16
# to 32 blocks on an A100, whatever their width.
_LAUNCH_S = 4.4e-3

# Widths of models that are in use, for the table over base sizes: hidden, MLP, blocks, heads, keys, words, tied.
_SIZES: dict[str, tuple[int, int, int, int, int, int, bool]] = {
    "0.5B (Qwen2.5)": (896, 4864, 24, 14, 2, 151936, True),
    "1B (Llama 3.2)": (2048, 8192, 16, 32, 8, 128256, True),
    "3B (Llama 3.2)": (3072, 8192, 28, 24, 8, 128256, True),
    "8B (Llama 3.1)": (4096, 14336, 32, 32, 8, 128256, False),
    "14B (Qwen2.5)": (5120, 13824, 48, 40, 8, 152064, False),
    "32B (Qwen2.5)": (5120, 27648, 64, 40, 8, 152064, False),
    "70B (Llama 3.1)": (8192, 28672, 80, 64, 8, 128256, False),
}
_NO_CHAT = cast("ChatFormat", None)  # adapters are made without looking at it
CARD_SIZES_GB = (12, 16, 24, 48, 80)


@dataclass(frozen=True, slots=True)
class Option:
    """A training on one kind of hardware. `micro_batch` tokens fit at once, 0: not even the longest row does.

    `checkpointing`: the training would compute layers again, and its peak is the checkpointed one. `sharded_bytes` is
    the peak on each of several cards if the frozen weights were spread over them.
    """

    hardware: str
    room_bytes: float
    memory: Memory
    peak_bytes: float
    checkpointed_bytes: float
    checkpointing: bool
    fits: bool
    micro_batch: int
    seconds: float
    price: float | None = None
    sharded_bytes: float | None = None
    changes: list[Change] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Size:
    """A base of some size: the peak of this training on a GPU, without and with checkpointing."""

    name: str
    parameters: int
    peak_bytes: float
    checkpointed_bytes: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training will take. `here` is the machine that the plan was made on."""

    base: str
    method: str
    parameters: int
    trainable: int
    counted: bool
    rows: int
    dropped: int
    work: Work
    here: Option
    options: list[Option]
    sizes: list[Size]
    warnings: list[PlanWarning]
    currency: str | None
    priced_on: str | None


def make_plan(inputs: Inputs, table: HardwareTable, more_bases: Sequence[str] = (), folder: Path = Path()) -> Plan:
    """What `fit` will take for these inputs, here and on the table's hardware. Reads every row and no weights.

    `more_bases` are named as in a training file in `folder`. Raises: ConfigError, DataError, ServiceError.
    """
    config = inputs.config
    train, held_out = read_datasets(inputs, load_chat_format(inputs.base))
    both = train.rows, held_out.rows if held_out else []
    on_card = work(*both, config, 1)
    shape, shape_here = (
        count_base(inputs.base, config, dtype) for dtype in (torch.bfloat16, compute_dtype(config.dtype))
    )
    others = [
        (name, count(llama_config(*widths, tied=tied), _adapt(config), torch.bfloat16))
        for name, (*widths, tied) in _SIZES.items()
    ]
    for name in more_bases:
        base = find_base(name, folder)
        check_reachable(base)
        others.append((name, count_base(base, config, torch.bfloat16)))
    return Plan(
        base=inputs.base.id,
        method=config.method,
        parameters=shape.parameters - shape.trainable,
        trainable=shape.trainable,
        counted=shape.counted,
        rows=len(train.rows),
        dropped=train.dropped,
        work=on_card,
        here=_option_here(inputs.base, shape_here, work(*both, config, _threads(config)), config, this_machine()),
        options=[_option(shape, on_card, config, one) for one in table.hardware],
        sizes=[_size(name, one, on_card, config) for name, one in [(inputs.base.id, shape), *others]],
        warnings=list(warnings(config, len(train.rows), shape)),
        currency=table.currency,
        priced_on=table.priced_on.isoformat() if table.priced_on else None,
    )


def predict_here(base: BaseModel, train: Sequence[TokenizedRow], config: TrainConfig, *, held_out: bool) -> Memory:
    """The memory at the peak of this training on this machine: of the GPU, or without one of the whole process."""
    shape = count_base(base, config, compute_dtype(config.dtype))
    todo = work(train, [], config, _threads(config))
    return peak(shape, _load_here(base, shape, todo, config, held_out=held_out))


def count_base(base: BaseModel, config: TrainConfig, dtype: torch.dtype) -> Shape:
    """The shape of `base` with the adapter that `config` describes. Raises: ConfigError where it can't be had."""
    from transformers import AutoConfig

    try:
        described = AutoConfig.from_pretrained(str(_config_place(base)))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"the base's config can't be read: {first_line(error)}", where=base.id, fix=HUB_FIX
        ) from error
    return count(described, _adapt(config), dtype)


def _config_place(base: BaseModel) -> Path | str:
    """Where the base's config.json is; a GGUF file's header becomes one, once."""
    gguf = base.gguf
    if gguf is None:
        return base.folder or str(base.hub_id)

    def convert(folder: Path) -> None:
        from transformers import AutoConfig

        with quiet_libraries():
            AutoConfig.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(str(folder))

    converted = base.cache() / "model"
    return converted if converted.is_dir() else made_once(base.cache() / "config", convert)


def _adapt(config: TrainConfig) -> Adapt:
    def adapt(model: Any) -> Any:
        try:
            return new_adapter(
                LoadedModel(model, _NO_CHAT, "", ""), config.lora, 0, config.method, config.virtual_tokens
            ).model
        except ValueError as error:  # what PEFT says about a model that it can't put this adapter into
            raise ConfigError(f"no such adapter fits this base: {error}", where="lora") from error

    return adapt


def llama_config(hidden: int, inner: int, blocks: int, heads: int, keys: int, words: int, *, tied: bool = False) -> Any:
    """The config of a Llama of these widths; models of other families with the same layers are described by it too."""
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        vocab_size=words,
        tie_word_embeddings=tied,
    )


def _threads(config: TrainConfig) -> int:
    """How many micro-batches `trainer.loop.micro_batches` computes at once on this machine."""
    alone = torch.cuda.is_available() or config.lora.dropout or config.method == "full"
    return 1 if alone else processor_threads(config.threads)


def _load(
    shape: Shape,
    todo: Work,
    config: TrainConfig,
    dtype: torch.dtype,
    *,
    threads: int,
    held_out: bool,
    room_bytes: float,
) -> Load:
    load = Load(
        tokens=todo.at_once,
        positions=min(CHUNK_POSITIONS * threads, todo.positions_at_once),
        number_bytes=dtype.itemsize,
        logit_bytes=_LOGIT_BYTES.get(dtype, 14),
        quantised=config.quantisation is not None,
        gradients=1 + threads,
        copies=int(held_out and config.keep == "best"),
        threads=threads,
    )
    if config.checkpointing != "auto":
        return replace(load, checkpointing=config.checkpointing)
    # As `trainer.layers.recompute` decides it once the model is loaded.
    kept = shape.saved * max(config.micro_batch_tokens, todo.longest)
    free = room_bytes - peak(shape, load).weights
    return replace(load, checkpointing=config.method != "prefix" and kept > free * SHARE_OF_FREE)


def _load_here(base: BaseModel, shape: Shape, todo: Work, config: TrainConfig, *, held_out: bool) -> Load:
    dtype = compute_dtype(config.dtype)
    load = _load(shape, todo, config, dtype, threads=_threads(config), held_out=held_out, room_bytes=free_bytes())
    if torch.cuda.is_available():
        return load
    expands = config.expand_weights
    if expands == "auto":
        expands = shape.linear * dtype.itemsize <= free_bytes() / EXPANDED_SHARE
    load = replace(load, expanded=load.quantised and bool(expands))
    # The file that is read stays mapped, and counts as the process's memory as long as there is room.
    mapped = shape.linear * (_KEPT_BYTES if is_kept(base, dtype) else dtype.itemsize) if load.quantised else 0
    slack = _LEAN_SLACK if shape.lean and dtype == torch.float32 else _SLACK
    return replace(load, besides=_PROCESS_BYTES + mapped, slack=slack)


def _option_here(base: BaseModel, shape: Shape, todo: Work, config: TrainConfig, machine: Machine) -> Option:
    load = _load_here(base, shape, todo, config, held_out=todo.held_out > 0)
    slower = (_PACKED_SLOWER_ON_GPU if machine.on_gpu else _PACKED_SLOWER_HERE) if load.packed else 1
    name = "this machine" + ("" if machine.on_gpu else f", {load.threads} threads")
    seconds = (
        _seconds(shape, todo, load, machine.rate / slower) + _LAUNCH_S * shape.blocks * todo.parts * machine.on_gpu
    )
    return _judge(name, shape, todo, config, load, machine.room_bytes, seconds)


def _option(shape: Shape, todo: Work, config: TrainConfig, on: Hardware) -> Option:
    load = _load(shape, todo, config, torch.bfloat16, threads=1, held_out=todo.held_out > 0, room_bytes=on.room_bytes)
    rate = on.rate / (_PACKED_SLOWER_ON_GPU if load.packed else 1)
    seconds = _seconds(shape, todo, load, rate) + _LAUNCH_S * shape.blocks * todo.parts / on.cards
    option = _judge(on.name, shape, todo, config, load, on.room_bytes, seconds)
    spread = option.memory.weights * (1 - 1 / on.cards)
    return replace(
        option,
        price=None if on.price_per_hour is None else on.price_per_hour * option.seconds / 3600,
        sharded_bytes=option.peak_bytes - spread if on.cards > 1 else None,
    )


def _seconds(shape: Shape, todo: Work, load: Load, rate: float) -> float:
    each = shape.training + (shape.forward if load.checkpointing else 0)
    head = 4 * todo.supervised * shape.hidden * shape.vocabulary  # forward, and backward to the hidden states
    return (todo.tokens * each + todo.held_out * shape.forward + head) / rate


def _judge(
    name: str, shape: Shape, todo: Work, config: TrainConfig, load: Load, room_bytes: float, seconds: float
) -> Option:
    memory = peak(shape, load)
    fits = memory.total <= room_bytes
    micro_batch = largest_micro_batch(shape, load, room_bytes)
    return Option(
        hardware=name,
        room_bytes=room_bytes,
        memory=memory,
        peak_bytes=memory.total,
        checkpointed_bytes=peak(shape, replace(load, checkpointing=True)).total,
        checkpointing=load.checkpointing,
        fits=fits,
        micro_batch=micro_batch if micro_batch >= todo.longest else 0,
        seconds=seconds,
        changes=[] if fits else list(changes(config, shape, load, todo.longest)),
    )


def _size(name: str, shape: Shape, todo: Work, config: TrainConfig) -> Size:
    load = _load(shape, todo, config, torch.bfloat16, threads=1, held_out=todo.held_out > 0, room_bytes=float("inf"))
    checkpointed = peak(shape, replace(load, checkpointing=True)).total
    return Size(name, shape.parameters - shape.trainable, peak(shape, load).total, checkpointed)
