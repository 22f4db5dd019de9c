"""The template check: every row through the chat template and the tokenizer of the recipe's base model."""

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from curate.core.chat.base_model import BaseModel, find_base, load_chat_format
from curate.core.chat.chat_format import ChatFormat, Encoded, TemplateFault
from curate.core.chat.history import History, samples_of
from curate.core.console import progress
from curate.core.rows.preference_pair import compared_sides, is_pair, rejected_conversation
from curate.core.rows.row import Row
from curate.core.sources.records import Input
from curate.core.worker_processes import workers
from curate.recipe.rule_ids import Fault
from curate.table.stage import Context

T = TypeVar("T")
Samples = list[Encoded] | TemplateFault
"""What a row becomes in training, in the template check with its rejected answer."""
_PIECE_ROWS = 1024  # rows that are checked at once
_POOL_ROWS = 8192  # starting processes takes as long as checking this many
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
def chat_format(base: str, folder: Path, template_kwargs: str = "{}") -> ChatFormat:
    """The chat format of the base model that a recipe in `folder` names, loaded once.

    Settings for its template are JSON.
    """
    return load_chat_format(find_base(base, folder, msgspec.json.decode(template_kwargs)))


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
    find = functools.partial(_fault, limit=context.recipe.checks.max_tokens)
    return _found(rows, context, "template check", find, rejected=True)


def token_counts(rows: Sequence[Row], context: Context) -> list[int]:
    """Per row its length in tokens of the recipe's base model; 1 where it can't be rendered."""
    return _found(rows, context, "tokens", _count)


def _fault(samples: Samples, limit: int | None) -> Fault | None:
    if isinstance(samples, TemplateFault):
        return samples.rule, samples.detail
    longest = max(len(sample.ids) for sample in samples)
    if limit is not None and longest > limit:
        return "too-many-tokens", f"{longest} tokens, {limit} allowed"
    return None


def _count(samples: Samples) -> int:
    return 1 if isinstance(samples, TemplateFault) else sum(len(sample.ids) for sample in samples)


def _found(
    rows: Sequence[Row], context: Context, what: str, find: Callable[[Samples], T], *, rejected: bool = False
) -> list[T]:
    """What `find` says of each row as tokens, worked out in processes where there are many rows."""
    recipe = context.recipe
    settings = msgspec.json.encode(recipe.chat_template_kwargs).decode()
    given = (str(recipe.base), context.folder, settings, recipe.history, find, rejected)
    pieces = (rows[first : first + _PIECE_ROWS] for first in range(0, len(rows), _PIECE_ROWS))
    look = _Look(*given)  # before the processes: where they begin as copies of this one, nothing is loaded twice
    if len(rows) == 1:
        return look(rows)  # without a word: a reviewer's screen may be showing
    found: list[T] = []
    with progress(what, len(rows)) as advance, ExitStack() as stack:
        made: Iterable[list[T]]
        if context.threads <= 1 or len(rows) < _POOL_ROWS:
            made = map(look, pieces)
        else:
            pool = stack.enter_context(workers(context.threads, _look_beside_others, *given))
            made = (each for _, each in pool.in_order(pieces))
        for some in made:
            found += some
            advance(len(some))
    return found


class _Look(Generic[T]):
    """Encodes rows, where asked with their rejected answers, and says what `find` does of each, in any process."""

    def __init__(
        self, base: str, folder: Path, settings: str, history: History, find: Callable[[Samples], T], rejected: bool
    ) -> None:
        self._form, self._history, self._find = chat_format(base, folder, settings), history, find
        self._rejected = rejected

    def __call__(self, rows: Sequence[Row]) -> list[T]:
        found = self._form.encode_many((row.messages, row.tools) for row in rows)
        return [self._find(self._samples(encoded, row)) for encoded, row in zip(found, rows, strict=True)]

    def _samples(self, encoded: Encoded | TemplateFault, row: Row) -> Samples:
        samples = samples_of(encoded, self._form, row.messages, row.tools, self._history)
        if not self._rejected or isinstance(samples, TemplateFault) or not is_pair(row):
            return samples
        try:
            other = rejected_conversation(row)
        except (msgspec.MsgspecError, TypeError):
            other = []
        if not other:
            return samples  # for the rule `no-rejected-answer` to judge
        found = self._form.encode(compared_sides(row, other)[1], row.tools)
        if isinstance(found, TemplateFault):
            return TemplateFault(found.rule, f"the rejected answer: {found.detail}")
        return [*samples, found]


def _look_beside_others(
    base: str, folder: Path, settings: str, history: History, find: Callable[[Samples], T], rejected: bool
) -> _Look[T]:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # every processor has a process already
    return _Look(base, folder, settings, history, find, rejected)
