"""The template check: every row through the chat template and the tokenizer of the recipe's base model."""

import functools
from collections.abc import Sequence
from pathlib import Path

from curate.core.base_model import BaseModel, find_base, load_chat_format
from curate.core.chat import ChatFormat, TemplateFault
from curate.core.console import progress
from curate.core.rows import Row
from curate.entries import Context
from curate.readers import Input
from curate.rules.catalog import Fault

_PROGRESS_ROWS = 512  # rows between two steps of the progress bar
# What of a model's folder decides how a conversation becomes tokens; its weights do not.
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
)


@functools.cache
def chat_format(base: str, folder: Path) -> ChatFormat:
    """The chat format of the base model that a recipe in `folder` names, loaded once."""
    return load_chat_format(find_base(base, folder))


def base_files(base: str, folder: Path) -> list[Input]:
    """The files that decide what the template check finds: inputs of the dataset."""
    model = find_base(base, folder)
    if model.gguf is not None:
        return [Input(base, model.gguf)]
    place = model.folder if model.folder is not None else _cached(model)
    if place is None:
        return []
    return [Input(f"{base}/{name}", place / name) for name in _TOKENIZER_FILES if (place / name).is_file()]


def _cached(model: BaseModel) -> Path | None:
    """The folder of a hub model in the local cache, fetched there first where it is not."""
    from huggingface_hub import try_to_load_from_cache

    load_chat_format(model)
    found = try_to_load_from_cache(str(model.hub_id), "tokenizer_config.json")
    return Path(found).parent if isinstance(found, str) else None


def template_faults(rows: Sequence[Row], context: Context) -> list[Fault | None]:
    """Per row what stands in the way of training on it with the recipe's base model, None where nothing does."""
    form = chat_format(str(context.recipe.base), context.folder)
    limit = context.recipe.checks.max_tokens
    faults: list[Fault | None] = []
    with progress("template check", len(rows)) as advance:
        for encoded in form.encode_many((row.messages, row.tools) for row in rows):
            if isinstance(encoded, TemplateFault):
                faults.append((encoded.rule, encoded.detail))
            elif limit is not None and len(encoded.ids) > limit:
                faults.append(("too-many-tokens", f"{len(encoded.ids)} tokens, {limit} allowed"))
            else:
                faults.append(None)
            if len(faults) % _PROGRESS_ROWS == 0:
                advance(_PROGRESS_ROWS)
    return faults
