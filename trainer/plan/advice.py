"""What is unwise about a training, and what to change where it doesn't fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from trainer.config import TrainConfig
from trainer.plan.memory import Load, peak
from trainer.plan.tensor_count import Shape

_FEW_ROWS = 200  # below, a held-out loss rests on a few dozen rows, and epochs repeat what is soon known by heart
_MANY_EPOCHS = 3  # from the fourth pass on, fine-tuned models mostly learn rows by heart
_LORA = ("qlora", "lora")
# Rates at which LoRA is trained: the QLoRA paper takes 1e-4 to 2e-4, small models bear ten times that. Whole models
# bear a tenth; IA3 and virtual tokens, with their few weights, take up to 0.3 (Lester et al., arXiv:2104.08691).
_ADAPTER_RATES = (2e-5, 2e-3)
_RATES = {"full": (1e-6, 2e-4), "ia3": (1e-4, 1e-1), "prefix": (1e-4, 1e-1), "prompt": (1e-4, 3e-1)}
_SMALL_RANK = 8  # a rank that small tasks get along with
# vLLM 0.14, vllm/config/lora.py: the ranks it has kernels for end here; what is above 16 has to be asked for.
_VLLM_RANK, _VLLM_DEFAULT_RANK = 512, 16
# Linear layers that vLLM's models have by these names, or pack from them, with LoRA. Routers, convolutions' and
# state spaces' projections are left out: not all of its models wrap them.
_VLLM_TARGETS = frozenset(
    (
        "q_proj", "k_proj", "v_proj", "o_proj", "out_proj", "qkv_proj", "gate_proj", "up_proj", "down_proj",
        "gate_up_proj", "fc1", "fc2", "c_attn", "c_proj", "c_fc", "dense", "dense_h_to_4h",
        "dense_4h_to_h", "query_key_value", "Wqkv", "q_a_proj", "q_b_proj",
        "kv_a_proj_with_mqa", "kv_b_proj", "w1", "w2", "w3",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlanWarning:
    """Something unwise: a stable rule id, and why."""

    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Change:
    """Something to change, all changes before it made too, and the peak that then comes out, in bytes."""

    what: str
    peak_bytes: float


def warnings(config: TrainConfig, rows: int, shape: Shape) -> Iterator[PlanWarning]:
    """What is unwise about training `shape` with `config` on so many rows."""
    if rows < _FEW_ROWS:
        yield PlanWarning("few-rows", f"{rows} rows: below about {_FEW_ROWS} an adapter learns rows more than the task")
    if config.epochs > _MANY_EPOCHS:
        yield PlanWarning(
            "many-epochs", f"{config.epochs} epochs: after {_MANY_EPOCHS} rows are mostly learned by heart"
        )
    lowest, highest = _RATES.get(config.method, _ADAPTER_RATES)
    if not lowest <= config.learning_rate <= highest:
        usual = f"method {config.method} is trained at {lowest:g} to {highest:g}"
        yield PlanWarning("learning-rate", f"learning_rate {config.learning_rate:g} is out of range: {usual}")
    if config.method in _LORA:
        yield from _lora_warnings(config)
    elif config.method != "full":
        yield PlanWarning(
            "vllm-method", f"vLLM serves no adapters of method {config.method}, only LoRA and whole models"
        )
    if unserved := sorted(set(shape.targets) - _VLLM_TARGETS):
        yield PlanWarning(
            "vllm-targets", f"vLLM may not serve adapters of {', '.join(unserved)}: merge the adapter instead"
        )


def _lora_warnings(config: TrainConfig) -> Iterator[PlanWarning]:
    lora = config.lora
    if lora.targets == "attention":
        why = "lora.targets: attention leaves out the MLP, which holds most weights: all-linear learns more"
        yield PlanWarning("attention-only", why)
    if lora.dora:
        yield PlanWarning("vllm-dora", "vLLM doesn't serve DoRA adapters: merge the adapter, or leave lora.dora out")
    if lora.r > _VLLM_RANK:
        yield PlanWarning("vllm-rank", f"lora.r {lora.r}: vLLM serves ranks up to {_VLLM_RANK}")
    elif lora.r > _VLLM_DEFAULT_RANK:
        yield PlanWarning("vllm-rank", f"lora.r {lora.r}: start vLLM with --max-lora-rank {lora.r} or more")


def changes(config: TrainConfig, shape: Shape, load: Load, longest: int) -> Iterator[Change]:
    """What to change, one after the other, the cheapest first: what changes no result, then what does."""
    if load.tokens > longest:
        load = replace(load, tokens=longest, positions=min(load.positions, longest))
        yield Change(f"micro_batch_tokens: {longest} (the longest row alone; same result)", peak(shape, load).total)
    if not load.checkpointing and config.method != "prefix":
        load = replace(load, checkpointing=True)
        yield Change("checkpointing: true (same result, a third slower)", peak(shape, load).total)
    if config.method == "lora":
        load = replace(load, quantised=True)
        yield Change("method: qlora (frozen weights in 4 bits)", peak(shape, load).total)
    elif load.expanded:
        load = replace(load, expanded=False)
        yield Change("expand_weights: false (same result, a sixth slower)", peak(shape, load).total)
    if config.method in _LORA and config.lora.r > _SMALL_RANK:
        smaller = replace(shape, trainable=shape.trainable * _SMALL_RANK // config.lora.r)
        yield Change(f"lora.r: {_SMALL_RANK} (learns less)", peak(smaller, load).total)
        shape = smaller
    half = longest // 2
    load = replace(load, tokens=half, positions=min(load.positions, half))
    yield Change(f"max_length: {half} with over_length: drop (longer rows are lost)", peak(shape, load).total)
