"""Adapters: making, attaching, switching and saving them, in PEFT's layout."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from curate.core.chat.chat_format import ChatFormat
from curate.core.errors import ConfigError, DataError, ProvenanceError, first_line
from curate.core.files import atomic_write, write_text
from curate.core.records import peek_record
from trainer.config import Lora, Method
from trainer.loss import unwrapped
from trainer.model import LoadedModel, quiet_libraries
from trainer.packed_weights import BothWays, FrozenProduct, packed_both_ways, product

# Keys, values and what enters the MLP's last layer are scaled: Liu et al., T-Few (arXiv:2205.05638).
_IA3_LAYERS = ("k_proj", "v_proj", "down_proj")
WEIGHTS, CONFIG, TEMPLATE = "adapter_model.safetensors", "adapter_config.json", "chat_template.jinja"
State = dict[str, torch.Tensor]


def new_adapter(
    loaded: LoadedModel, lora: Lora, seed: int, method: Method = "lora", virtual_tokens: int = 16
) -> LoadedModel:
    """The model with what `method` trains, fresh; its random values depend on the seed alone.

    Fresh LoRA and IA3 change nothing yet. Virtual tokens do: they start as random words' embeddings, or as noise.
    With `full` it is the model itself, all weights trainable.
    """
    from peft import get_peft_model

    if method == "full":
        loaded.model.requires_grad_(requires_grad=True)
        return loaded
    torch.manual_seed(seed)
    with quiet_libraries():
        return replace(loaded, model=get_peft_model(loaded.model, _peft_config(loaded, lora, method, virtual_tokens)))


def _peft_config(loaded: LoadedModel, lora: Lora, method: Method, virtual_tokens: int) -> Any:
    from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, PromptTuningInit

    task = "CAUSAL_LM"
    if method == "prefix":
        return PrefixTuningConfig(task_type=task, num_virtual_tokens=virtual_tokens)
    if method == "prompt":
        init = PromptTuningInit.SAMPLE_VOCAB
        return PromptTuningConfig(task_type=task, num_virtual_tokens=virtual_tokens, prompt_tuning_init=init)
    if method == "ia3":
        scaled = [name for name in _target_layers(loaded, "all-linear") if name in _IA3_LAYERS]
        if len(scaled) < len(_IA3_LAYERS):
            raise ConfigError(f"ia3 needs layers named {', '.join(_IA3_LAYERS)}; this model has others", where="method")
        return IA3Config(task_type=task, target_modules=scaled, feedforward_modules=[_IA3_LAYERS[-1]])
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_target_layers(loaded, lora.targets),
        use_rslora=lora.rank_stabilised,
        use_dora=lora.dora,
        task_type=task,
    )


def attach_adapter(loaded: LoadedModel, folder: Path, name: str) -> LoadedModel:
    """The model with the adapter in `folder` attached as `name`, beside those it has; `using` chooses among them.

    Raises: DataError where the folder holds no adapter, ProvenanceError where it was trained on another base.
    """
    from peft import PeftModel

    try:
        written = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            "no adapter here",
            where=folder / CONFIG,
            fix="make it with `trainer fit`; a model trained as a whole is no adapter: name it as `base`",
        ) from error
    _refuse_other_base(loaded, folder, str(written.get("base_model_name_or_path")))
    try:
        with quiet_libraries():
            if isinstance(loaded.model, PeftModel):
                loaded.model.load_adapter(str(folder), name)
                return loaded
            model = PeftModel.from_pretrained(loaded.model, str(folder), adapter_name=name)
    except Exception as error:  # PEFT raises whatever its parsers raise for a damaged file
        raise DataError(
            f"the adapter can't be loaded: {type(error).__name__}: {first_line(error)}", where=folder
        ) from error
    return replace(loaded, model=model.eval())


@contextmanager
def using(loaded: LoadedModel, name: str | None) -> Iterator[Any]:
    """The model as it computes with the adapter `name`, or for None as the bare base."""
    from peft import PeftModel

    if not isinstance(loaded.model, PeftModel):
        if name is not None:
            raise ValueError(f"no adapter is attached, so not {name} either")
        yield loaded.model
    elif name is None:
        with loaded.model.disable_adapter():
            yield loaded.model
    else:
        with quiet_libraries():
            loaded.model.set_adapter(name)
        loaded.model.requires_grad_(requires_grad=False)
        yield loaded.model


@contextmanager
def without_adapter(model: Any) -> Iterator[Any]:
    """The model as it is without its adapter; a model without one is itself."""
    if hasattr(model, "disable_adapter"):
        with quiet_libraries(), model.disable_adapter():
            yield model.get_base_model()
    else:
        yield model


@contextmanager
def direct_updates(model: Any) -> Iterator[None]:
    """Within the block, plain LoRA layers add their update in the matrix product itself: W x + (alpha / r) B A x.

    PEFT's own forward scales and adds in passes over the whole output, a seventh of a small model's time. Where there
    is room, these layers and the output head multiply by packed weights.
    """
    from peft.tuners import lora

    known = lora.Linear, getattr(lora, "Linear4bit", lora.Linear)
    changed = [module for module in model.modules() if type(module) in known and not module.lora_variant]
    head = unwrapped(model).get_output_embeddings() if changed else None
    packed = packed_both_ways([*(module.base_layer for module in changed), *filter(None, [head])])
    for module in changed:
        module.forward = partial(_forward, module, packed.get(module.base_layer))
    if head in packed:
        changed.append(head)
        head.forward = lambda x: FrozenProduct.apply(x, packed[head], head.bias)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _forward(module: Any, packed: BothWays | None, x: torch.Tensor) -> torch.Tensor:
    names = [name for name in module.active_adapters if name in module.lora_A]
    if not names or module.disable_adapters or module.merged:
        plain: torch.Tensor = module.base_layer(x)
        return plain
    if _is_exact(module, names, x):
        (name,), base = names, module.base_layer
        weights = module.lora_A[name].weight, module.lora_B[name].weight
        updated: torch.Tensor = _Updated.apply(x, base, packed, *weights, module.scaling[name])  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return updated
    result: torch.Tensor = module.base_layer(x)
    for name in names:
        down = module.lora_A[name]
        inner = down(module.lora_dropout[name](x.to(down.weight.dtype)))
        flat, inner = result.flatten(0, -2).to(inner.dtype), inner.flatten(0, -2)
        flat = torch.addmm(flat, inner, module.lora_B[name].weight.T, alpha=module.scaling[name])
        result = flat.to(result.dtype).view(result.shape)
    return result


def _is_exact(module: Any, names: list[str], x: torch.Tensor) -> bool:
    """Whether `_Updated` computes the layer: one adapter without dropout, nothing to convert, frozen weights."""
    base, drop = module.base_layer, module.lora_dropout[names[0]]
    known = type(base) is nn.Linear or hasattr(base, "numbers")
    frozen = known and not any(value.requires_grad for value in base.parameters())
    types = {x.dtype, module.lora_A[names[0]].weight.dtype, base.weight.dtype if type(base) is nn.Linear else x.dtype}
    dropped = isinstance(drop, nn.Dropout) and drop.training and drop.p > 0
    return frozen and len(names) == 1 and len(types) == 1 and not dropped and not x.is_meta


class _Updated(torch.autograd.Function):
    """W x + b + s B A x over frozen W and b. Everything is added inside matrix products, going back as well.

    Of a quantised layer, W is expanded in both directions and not kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        base: Any,
        packed: BothWays | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> Any:
        flat = x.flatten(0, -2)  # in here: outside, each layer would have two more nodes to go back through
        inner = linear(flat, down)
        ctx.save_for_backward(flat, inner, down, up)
        ctx.base, ctx.packed, ctx.scale = base, packed, scale
        known = product(packed[0], base.bias, flat) if packed else linear(flat, _numbers(base, x.dtype), base.bias)
        return known.addmm_(inner, up.T, alpha=scale).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, inner, down, up = ctx.saved_tensors
        packed, base, scale = ctx.packed, ctx.base, ctx.scale
        flat, for_x = upstream.flatten(0, -2), None
        for_inner = flat @ up
        if ctx.needs_input_grad[0]:
            known = product(packed[1], None, flat) if packed else flat @ _numbers(base, flat.dtype)
            for_x = known.addmm_(for_inner, down, alpha=scale).view(*upstream.shape[:-1], -1)
        # With beta 0 what would be added is not read. The other way round, the last product takes up to twice as long.
        for_down = torch.addmm(down, for_inner.T, x, beta=0, alpha=scale)
        for_up = torch.addmm(up.T, inner.T, flat, beta=0, alpha=scale).T
        return for_x, None, None, for_down, for_up, None


def _numbers(base: Any, dtype: torch.dtype) -> torch.Tensor:
    found: torch.Tensor = base.numbers(dtype) if hasattr(base, "numbers") else base.weight
    return found


def trainable(model: Any) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name, in the model's order."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def save_adapter(folder: Path, loaded: LoadedModel, state: State) -> None:
    """Write `state` (values for `trainable` names) to `folder` as PEFT reads it, with the chat template beside it.

    A model trained as a whole is written as transformers reads it, with its tokenizer: a base for others to name.
    PEFT's own writer asks the hub about the base model and puts sets in an order that changes from run to run.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import save

    with torch.no_grad():
        for name, value in trainable(loaded.model).items():
            value.copy_(state[name])
    if not isinstance(loaded.model, PeftModel):
        with quiet_libraries():
            loaded.model.save_pretrained(str(folder))
            loaded.chat.tokenizer.save_pretrained(str(folder))
        return
    weights = get_peft_model_state_dict(loaded.model, save_embedding_layers=False)
    settings = loaded.model.peft_config["default"].to_dict()
    settings |= {"base_model_name_or_path": loaded.id, "inference_mode": True}
    ordered = {key: sorted(value) if isinstance(value, set) else value for key, value in sorted(settings.items())}
    with atomic_write(folder / WEIGHTS) as file:
        file.write(save({key: weights[key].contiguous() for key in sorted(weights)}, metadata={"format": "pt"}))
    write_text(folder / CONFIG, json.dumps(ordered, indent=2, default=str) + "\n")
    save_template(folder, loaded.chat)


def save_template(folder: Path, chat: ChatFormat) -> None:
    """Put the template's text beside the adapter: what it was trained to read."""
    write_text(folder / TEMPLATE, chat.template)


def _refuse_other_base(loaded: LoadedModel, folder: Path, base_id: str) -> None:
    """The run record's digest of the base decides; an adapter from elsewhere has only its base's id to go by."""
    record = peek_record(folder.parent / "run.json")
    digest = record["base"]["digest"] if record else None
    if (digest != loaded.digest) if digest else (base_id != loaded.id):
        raise ProvenanceError(
            f"this adapter was trained on another base ({base_id}), not on {loaded.id}",
            where=folder,
            fix="name the base that the adapter was trained on, or train again",
        )


def _target_layers(loaded: LoadedModel, targets: str) -> list[str]:
    """The names, the same in every block, of the linear layers to adapt; never the output head."""
    head = loaded.model.get_output_embeddings()
    linear = [name for name, part in loaded.model.named_modules() if isinstance(part, nn.Linear) and part is not head]
    if targets == "attention":
        linear = [name for name in linear if "attn" in name.rpartition(".")[0]]
    if not linear:
        raise ConfigError(f"this model has no layers that we know as {targets}", where="lora.targets")
    return sorted({name.rpartition(".")[2] for name in linear})
