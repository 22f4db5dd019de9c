"""What to say of a key that a configuration file has and its model doesn't: the nearest one, and all there are."""

import difflib
import inspect
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel

_NEAR = 0.6
# What other trainers and harnesses call a setting, and where it is in a file of ours that has such a key.
_ELSEWHERE = {
    **dict.fromkeys(("base_model", "model_name_or_path", "model_name", "model", "pretrained_model"), "base"),
    **dict.fromkeys(("datasets", "dataset_name", "dataset_dir", "train_file", "data_path"), "dataset"),
    **dict.fromkeys(("output_dir", "out_dir", "save_dir"), "output"),
    **dict.fromkeys(("adapter", "finetuning_type", "peft_method", "load_in_4bit", "load_in_8bit"), "method"),
    **dict.fromkeys(("stage", "rl", "loss_type", "trainer_type"), "objective"),
    **dict.fromkeys(("lora_r", "lora_rank", "rank"), "lora.r"),
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    **dict.fromkeys(("lora_target_modules", "lora_target", "target_modules", "lora_target_linear"), "lora.targets"),
    **dict.fromkeys(("use_rslora", "peft_use_rslora"), "lora.rank_stabilised"),
    **dict.fromkeys(("use_dora", "peft_use_dora"), "lora.dora"),
    **dict.fromkeys(("loraplus_lr_ratio",), "lora.b_rate_ratio"),
    **dict.fromkeys(("num_epochs", "num_train_epochs", "n_epochs"), "epochs"),
    **dict.fromkeys(
        ("per_device_train_batch_size", "micro_batch_size", "gradient_accumulation_steps", "batch_size"), "batch_rows"
    ),
    **dict.fromkeys(("lr", "learning_rate_multiplier"), "learning_rate"),
    **dict.fromkeys(("lr_scheduler", "lr_scheduler_type"), "schedule"),
    **dict.fromkeys(("warmup_ratio", "warmup_steps"), "warmup"),
    **dict.fromkeys(("sequence_len", "cutoff_len", "max_seq_length", "max_seq_len", "model_max_length"), "max_length"),
    **dict.fromkeys(("val_set_size", "val_size", "eval_dataset", "test_datasets"), "held_out"),
    **dict.fromkeys(("eval_steps", "evals_per_epoch"), "held_out_every"),
    **dict.fromkeys(("early_stopping_patience",), "early_stop"),
    **dict.fromkeys(("bf16", "fp16", "torch_dtype"), "dtype"),
    **dict.fromkeys(("gradient_checkpointing",), "checkpointing"),
    **dict.fromkeys(("max_gradient_norm", "gradient_clipping"), "max_grad_norm"),
    **dict.fromkeys(("report_to", "use_wandb", "wandb_project"), "log_to"),
    **dict.fromkeys(("pref_beta", "dpo_beta", "rl_beta"), "beta"),
    **dict.fromkeys(("user", "question", "instruction", "input"), "prompt"),
    **dict.fromkeys(("assistant", "response", "completion", "output"), "answer"),
    **dict.fromkeys(("conversations", "conversation"), "messages"),
    **dict.fromkeys(("deduplication", "deduplicate"), "dedup"),
    "validation": "validate",
    **dict.fromkeys(("pii", "pii_redaction"), "personal_data"),
}


def unknown_key(model: type[BaseModel], keys: Sequence[str | int]) -> str:
    """What to say of the key at this path of a file that should be a `model`."""
    given = str(keys[-1])
    models = _models_at(model, keys[:-1])
    known = sorted({name for one in models for name in _fields(one)})
    here = _ELSEWHERE.get(given.lower().replace("-", "_"))
    if here is not None and any(_has(one, here.split(".")) for one in models):
        return f"unknown key: here it is {here}"
    if near := difflib.get_close_matches(given, known, 1, _NEAR):
        return f"unknown key: did you mean {near[0]}? known are {', '.join(known)}"
    return f"unknown key: known are {', '.join(known)}" if known else "unknown key"


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The model's fields by the names that files have."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _has(model: type[BaseModel], path: Sequence[str]) -> bool:
    models = [model]
    for name in path:
        if not any(name in _fields(one) for one in models):
            return False
        models = [inner for one in models for inner in _models_in(_fields(one).get(name))]
    return True


def _models_at(model: type[BaseModel], keys: Iterable[str | int]) -> list[type[BaseModel]]:
    """The models that may stand at a path; names of union members, which pydantic puts into it, choose one."""
    models = [model]
    for key in keys:
        if isinstance(key, int):
            continue
        fields = [_fields(one)[key] for one in models if key in _fields(one)]
        if fields:
            models = [inner for annotation in fields for inner in _models_in(annotation)]
        else:
            models = [one for one in models if _is_named(one, key)] or models
    return models


def _is_named(model: type[BaseModel], name: str) -> bool:
    if model.__name__ == name:
        return True
    return any(typing.get_origin(kind) is Literal and name in typing.get_args(kind) for kind in _fields(model).values())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models within a type: of its union, list, or dictionary."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in typing.get_args(annotation) for model in _models_in(inner)]
