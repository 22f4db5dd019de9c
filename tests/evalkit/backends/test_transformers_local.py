"""Batched, prefix-sharing generation gives what the model's own generate gives for one prompt at a time."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from curate.core.chat.base_model import find_base, load_chat_format
from curate.core.chat.chat_format import ChatFormat
from curate.core.rows.row import Message
from evalkit.backends.prefixes import common_prefix, prefix_groups
from evalkit.backends.transformers_local import TransformersLocal
from evalkit.backends.types import Answer, Request
from tests.chat_formats import chat_format
from tests.models import SHAPES, tiny_base, torch_threads
from trainer.config import Lora, Method
from trainer.model.adapter import new_adapter, trainable
from trainer.model.load import load_model


def silent(steps: float = 1, note: str = "") -> None:
    """No progress."""


def requests_for(prompts: list[list[int]]) -> list[Request]:
    return [
        Request(item=str(index), contender="c", messages=[], prompt_ids=ids, key=str(index))
        for index, ids in enumerate(prompts)
    ]


def answers(backend: TransformersLocal, prompts: list[list[int]], max_tokens: int) -> list[Answer]:
    made = {
        request.item: answer
        for request, answer in backend.generate(requests_for(prompts), max_tokens=max_tokens, advance=silent)
    }
    return [made[str(index)] for index in range(len(prompts))]


def one_by_one(model: Any, chat: ChatFormat, prompts: list[list[int]], max_tokens: int) -> list[tuple[str, int, str]]:
    """Text, completion tokens and finish reason as the model's own greedy generate gives them."""
    results = []
    for ids in prompts:
        with torch.inference_mode():
            made = model.generate(
                input_ids=torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                do_sample=False,
                max_new_tokens=max_tokens,
                eos_token_id=sorted(chat.stop_ids),
                pad_token_id=min(chat.stop_ids),
            )[0, len(ids) :].tolist()
        reason = "stop" if made[-1] in chat.stop_ids else "length"
        kept = made[:-1] if reason == "stop" else made
        results.append((chat.tokenizer.decode(kept, skip_special_tokens=True), len(made), reason))
    return results


def facts(made: list[Answer]) -> list[tuple[str, int, str]]:
    return [(answer.text, answer.completion_tokens, answer.finish_reason) for answer in made]


def random_prompts(seed: int, count: int, prefix: int) -> list[list[int]]:
    """Prompts of very different lengths that share `prefix` leading tokens."""
    draw = random.Random(seed)
    shared = [draw.randrange(250) for _ in range(prefix)]
    return [shared + [draw.randrange(250) for _ in range(draw.randrange(1, 60))] for _ in range(count)]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LlamaForCausalLM:
    folder = tiny_base(tmp_path_factory.mktemp("models") / "llama")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture
def stopping(llama: LlamaForCausalLM) -> ChatFormat:
    """A format for which every eighth token ends an answer, so that rows leave the batch at different steps."""
    chat = chat_format("chatml")
    chat.stop_ids = frozenset(range(0, 256, 8))
    return chat


@pytest.mark.parametrize("prefix", [0, 1, 40])
def test_rows_that_end_at_different_steps_are_the_same_as_one_by_one(
    llama: LlamaForCausalLM, stopping: ChatFormat, prefix: int
) -> None:
    prompts = random_prompts(prefix, 23, prefix)
    backend = TransformersLocal(llama, stopping)

    made = answers(backend, prompts, 10)

    assert facts(made) == one_by_one(llama, stopping, prompts, 10)
    assert backend._shares_prefix
    assert len({answer.completion_tokens for answer in made}) > 3
    assert {answer.finish_reason for answer in made} == {"stop", "length"}
    assert [answer.prompt_tokens for answer in made] == [len(ids) for ids in prompts]


def test_several_reading_parts_and_several_batches_change_nothing(
    llama: LlamaForCausalLM, stopping: ChatFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = random_prompts(5, 17, 9)
    whole = facts(answers(TransformersLocal(llama, stopping), prompts, 16))
    monkeypatch.setattr("evalkit.backends.transformers_batch._READ_TOKENS", 70)
    monkeypatch.setattr("evalkit.backends.transformers_local._MAX_ROWS", 5)

    assert facts(answers(TransformersLocal(llama, stopping), prompts, 16)) == whole


def test_rows_on_several_threads_are_the_same_as_one_by_one(llama: LlamaForCausalLM, stopping: ChatFormat) -> None:
    prompts = random_prompts(7, 23, 9)
    with torch_threads(3):
        made = answers(TransformersLocal(llama, stopping), prompts, 10)
    assert facts(made) == one_by_one(llama, stopping, prompts, 10)


def test_equal_prompts_and_a_prompt_that_begins_another(llama: LlamaForCausalLM, stopping: ChatFormat) -> None:
    start = random_prompts(2, 1, 12)[0]
    prompts = [start, start, [*start, 7], [*start, 7, 9, 11]]

    assert facts(answers(TransformersLocal(llama, stopping), prompts, 10)) == one_by_one(llama, stopping, prompts, 10)


def test_prompts_behind_different_long_starts_are_the_same_as_one_by_one(
    llama: LlamaForCausalLM, stopping: ChatFormat
) -> None:
    prompts = [*random_prompts(3, 6, 70), *random_prompts(4, 7, 60), *random_prompts(5, 3, 0)]
    assert len(prefix_groups(prompts, 8)) >= 3

    assert facts(answers(TransformersLocal(llama, stopping), prompts, 8)) == one_by_one(llama, stopping, prompts, 8)


def test_one_prompt_of_one_token(llama: LlamaForCausalLM, stopping: ChatFormat) -> None:
    assert facts(answers(TransformersLocal(llama, stopping), [[5]], 6)) == one_by_one(llama, stopping, [[5]], 6)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_layout_of_layers_gives_the_same(shape: str, stopping: ChatFormat, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_base(tmp_path / shape, shape), dtype=torch.float32)
    prompts = random_prompts(8, 7, 20)
    backend = TransformersLocal(model, stopping)

    assert facts(answers(backend, prompts, 10)) == one_by_one(model, stopping, prompts, 10)
    assert backend._shares_prefix is ("sliding_window" not in SHAPES[shape])


def test_the_models_own_attention_is_back_afterwards(llama: LlamaForCausalLM, stopping: ChatFormat) -> None:
    before = llama.config._attn_implementation
    stopped_midway = TransformersLocal(llama, stopping).generate(
        requests_for(random_prompts(1, 4, 3)), max_tokens=4, advance=silent
    )
    next(stopped_midway)
    stopped_midway.close()

    assert llama.config._attn_implementation == before


def test_a_prompt_longer_than_the_context_is_an_error_of_its_own(tmp_path: Path, stopping: ChatFormat) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_base(tmp_path / "m"), dtype=torch.float32)
    long, short = answers(TransformersLocal(model, stopping), [[1] * 510, [1] * 20], 8)

    assert long.error is not None
    assert "512" in long.error
    assert (long.finish_reason, long.text) == ("error", "")
    assert short.error is None


def test_progress_adds_up_to_one_per_request(llama: LlamaForCausalLM, stopping: ChatFormat) -> None:
    moved: list[float] = []

    def advance(steps: float = 1, note: str = "") -> None:
        moved.append(steps)

    requests = requests_for([*random_prompts(4, 6, 5), [1] * 5000])
    list(TransformersLocal(llama, stopping).generate(requests, max_tokens=5, advance=advance))

    assert sum(moved) == pytest.approx(len(requests))


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=6))
@settings(max_examples=200)
def test_common_prefix_is_shared_leaves_a_token_and_could_not_be_longer(prompts: list[list[int]]) -> None:
    length = common_prefix(prompts)

    assert all(ids[:length] == prompts[0][:length] for ids in prompts)
    assert length < min(map(len, prompts))
    longer = {tuple(ids[: length + 1]) for ids in prompts}
    assert len(longer) > 1 or length + 1 == min(map(len, prompts))


@pytest.mark.slow
def test_the_embedded_model_answers_as_it_does_one_prompt_at_a_time() -> None:
    from trainer.model.load import load_model

    base = find_base("embedded:smollm2-135m", Path())
    chat = load_chat_format(base)
    questions = ["What is 2 + 2?", "Name a colour.", "Write a long list of animals that live in the sea.", "Hi"]
    example = [Message("user", "Name a fruit."), Message("assistant", "Apple.")]
    prompts = [chat.prompt_ids([Message("system", "Be brief."), *example, Message("user", q)]) for q in questions]
    model = load_model(base).model
    backend = TransformersLocal(model, chat)

    assert facts(answers(backend, prompts, 32)) == one_by_one(model, chat, prompts, 32)
    assert backend._shares_prefix


@pytest.mark.parametrize("method", ["ia3", "prefix", "prompt"])
def test_answers_come_from_behind_an_adapters_virtual_tokens(tmp_path: Path, method: Method) -> None:
    """Against argmax over the whole model's own logits, token after token, without any cache."""
    base = find_base(str(tiny_base(tmp_path / "tiny")), tmp_path)
    loaded = new_adapter(load_model(base), Lora(), 1, method, 4)
    generator = torch.Generator().manual_seed(3)
    for value in trainable(loaded.model).values():
        value.data.add_(torch.randn(value.shape, generator=generator))
    loaded.model.eval()
    prompts = random_prompts(5, 4, 6)
    expected = []
    for prompt in prompts:
        ids = list(prompt)
        while len(ids) < len(prompt) + 6 and ids[-1] not in loaded.chat.stop_ids:
            with torch.inference_mode():
                ids.append(int(loaded.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        made = [token for token in ids[len(prompt) :] if token not in loaded.chat.stop_ids]
        expected.append(loaded.chat.tokenizer.decode(made, skip_special_tokens=True))
    made = answers(TransformersLocal(loaded.model, loaded.chat), prompts, 6)
    assert [answer.text for answer in made] == expected
