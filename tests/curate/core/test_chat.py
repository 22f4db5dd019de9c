"""Masks: exactly the answers and their stop tokens are supervised, whatever the template."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.chat import ChatFormat, Encoded, TemplateFault
from curate.core.rows import Message
from tests.chat_formats import FAMILIES, chat_format

TRAINABLE = ("chatml", "chatml-marked", "headers", "inst", "model-turns")
CONVERSATION = [
    Message("user", "What is 2 + 2?"),
    Message("assistant", "Four."),
    Message("user", "And été 😀?"),
    Message("assistant", "assistant\nété 😀"),
]


def _supervised_text(chat: ChatFormat, encoded: Encoded) -> list[str]:
    """The runs of supervised tokens, decoded."""
    runs: list[list[int]] = [[]]
    for token, counted in zip(encoded.ids, encoded.supervised, strict=True):
        if counted:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return [chat.tokenizer.decode(run) for run in runs if run]


@pytest.mark.parametrize("family", TRAINABLE)
def test_the_answers_and_their_stop_tokens_are_supervised_and_nothing_else(family: str) -> None:
    chat = chat_format(family)
    stop = FAMILIES[family][2]
    encoded = chat.encode(CONVERSATION)
    assert isinstance(encoded, Encoded)
    assert _supervised_text(chat, encoded) == [f"Four.{stop}", f"assistant\nété 😀{stop}"]


@pytest.mark.parametrize("family", TRAINABLE)
def test_use_sees_the_same_tokens_as_training(family: str) -> None:
    """A prompt's tokens are how the training sample starts, so the model meets in use what it was trained on."""
    chat = chat_format(family)
    encoded = chat.encode(CONVERSATION)
    prompt = chat.prompt_ids(CONVERSATION[:3])
    assert isinstance(encoded, Encoded)
    assert encoded.ids[: len(prompt)] == prompt
    assert encoded.supervised[len(prompt)]
    assert not encoded.supervised[len(prompt) - 1]


def test_an_answer_with_weight_zero_is_not_supervised() -> None:
    chat = chat_format("chatml")
    first = Message("assistant", "Four.", weight=0)
    encoded = chat.encode([CONVERSATION[0], first, *CONVERSATION[2:]])
    assert isinstance(encoded, Encoded)
    assert _supervised_text(chat, encoded) == ["assistant\nété 😀<|im_end|>"]
    fault = chat.encode([CONVERSATION[0], first])
    assert isinstance(fault, TemplateFault)
    assert fault.rule == "nothing-supervised"


@pytest.mark.parametrize(
    ("family", "messages", "rule"),
    [
        ("chatml", CONVERSATION[:1], "no-answer"),
        ("chatml", [CONVERSATION[0], Message("assistant", "")], "empty-answer"),
        ("chatml", [CONVERSATION[0], Message("assistant", "x<|im_end|>y")], "control-token-in-text"),
        ("never-stops", CONVERSATION[:2], "no-stop-token"),
        ("refuses-system", [Message("system", "s"), *CONVERSATION[:2]], "template-error"),
        ("forgets-reasoning", [CONVERSATION[0], Message("assistant", "<think>a</think>b"), *CONVERSATION[2:]],
         "history-rewritten"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_a_fault_with_a_name(family: str, messages: list[Message], rule: str) -> None:
    fault = chat_format(family).encode(messages)
    assert isinstance(fault, TemplateFault)
    assert fault.rule == rule
    assert fault.detail


def test_a_rewritten_history_shows_what_changed() -> None:
    messages = [CONVERSATION[0], Message("assistant", "<think>a</think>b"), *CONVERSATION[2:]]
    fault = chat_format("forgets-reasoning").encode(messages)
    assert isinstance(fault, TemplateFault)
    assert "<think>a" in fault.detail
    assert "'b<|im_end|>" in fault.detail


def test_a_token_across_prompt_and_answer_is_a_fault() -> None:
    # "\u010a" is the byte-level character for a line end: this tokenizer joins it with the first letter of the answer.
    chat = chat_format("chatml", merges=(("\u010a", "F"),))
    fault = chat.encode(CONVERSATION[:2])
    assert isinstance(fault, TemplateFault)
    assert fault.rule == "boundary-token"


def test_tool_arguments_given_as_text_reach_the_template_as_an_object() -> None:
    chat = chat_format("chatml")
    chat.template = "{% for c in messages[0].tool_calls %}{{ c.function.arguments.city }}{% endfor %}"
    call = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    assert chat.render([Message("assistant", None, tool_calls=[call])]) == "Oslo"


def test_the_digest_follows_the_template() -> None:
    assert chat_format("chatml").digest == chat_format("chatml").digest
    assert chat_format("chatml").digest != chat_format("chatml-marked").digest


# No spaces: some templates trim them at the ends.
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(TRAINABLE),
    # Leading and trailing spaces are left to the templates, some of which trim them.
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=12), min_size=1, max_size=3
    ),
)
def test_any_answers_come_back_whole(family: str, answers: list[str]) -> None:
    chat = chat_format(family)
    messages = [m for answer in answers for m in (Message("user", "q"), Message("assistant", answer))]
    encoded = chat.encode(messages)
    if isinstance(encoded, TemplateFault):
        assert encoded.rule == "control-token-in-text"
    else:
        assert _supervised_text(chat, encoded) == [answer + FAMILIES[family][2] for answer in answers]
