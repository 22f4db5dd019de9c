"""Adapters: making, attaching, switching and saving them, in PEFT's layout."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from curate.core.chat.chat_format import ChatFormat
from curate.core.errors import ConfigError, DataError, ProvenanceError, first_line
from curate.core.files import atomic_write, write_text
from trainer.config import Lora, Method
from trainer.model.load import LoadedModel, quiet_libraries
from trainer.run.record import peek_run

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
    run = peek_run(folder.parent)
    digest = run.record.base.digest if run else None
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
