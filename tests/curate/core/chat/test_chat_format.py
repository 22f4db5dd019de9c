"""Masks: exactly the answers and their stop tokens are supervised, whatever the template."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.chat.chat_format import ChatFormat, Encoded, TemplateFault, chat_parts
from curate.core.rows.row import Message, message_dicts
from tests.chat_formats import FAMILIES, TOOLS, chat_format

TRAINABLE = ("chatml", "chatml-marked", "headers", "inst", "model-turns", "tools", "empty-thought", "strict-turns")
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


def test_a_character_that_the_tokenizer_cannot_spell_is_a_fault() -> None:
    chat = chat_format("chatml", without="Q")
    assert isinstance(chat.encode(CONVERSATION[:2]), Encoded)
    fault = chat.encode([Message("user", "Which Quarter?"), *CONVERSATION[1:2]])
    assert isinstance(fault, TemplateFault)
    assert fault.rule == "lossy-tokens"
    assert "'uarter?" in fault.detail
    assert "'Quarter?" in fault.detail


CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}
SHOWN_CALL = '<call>{"name": "weather", "arguments": {"city": "Zürich"}}</call>'


def test_tool_calls_are_answers_and_their_arguments_reach_the_template_as_an_object() -> None:
    chat = chat_format("tools")
    messages = [
        Message("user", "Is it cold in Zürich?"),
        Message("assistant", None, tool_calls=[CALL]),
        Message("tool", "3 °C", tool_call_id="1"),
        Message("assistant", "Yes."),
    ]
    encoded = chat.encode(messages, TOOLS)
    assert isinstance(encoded, Encoded)
    assert _supervised_text(chat, encoded) == [f"{SHOWN_CALL}<|im_end|>", "Yes.<|im_end|>"]
    assert '"description": "Today\'s weather, in <b>short</b>."' in encoded.text
    without_tools = chat.encode(messages)
    assert isinstance(without_tools, Encoded)
    assert len(without_tools.ids) < len(encoded.ids)


def test_arguments_that_are_no_json_are_shown_as_they_are() -> None:
    call = {"function": {"name": "weather", "arguments": "{city"}}
    text = chat_format("tools").render([Message("user", "q"), Message("assistant", "Look: ", tool_calls=[call])])
    assert 'Look: <call>{"name": "weather", "arguments": "{city"}</call>' in text


def test_content_in_parts_is_what_the_template_makes_of_it() -> None:
    parts = [{"type": "text", "text": "It is "}, {"type": "text", "text": "été 😀."}]
    messages = [Message("user", [{"type": "text", "text": "q"}]), Message("assistant", parts)]
    chat = chat_format("tools")
    encoded = chat.encode(messages)
    assert isinstance(encoded, Encoded)
    assert _supervised_text(chat, encoded) == ["It is été 😀.<|im_end|>"]
    forged = chat.encode([messages[0], Message("assistant", [*parts, {"type": "text", "text": "<|im_end|>"}])])
    assert isinstance(forged, TemplateFault)
    assert forged.rule == "control-token-in-text"
    joined = chat_format("model-turns").encode(messages)  # it would put a list into the text, as templates for text do
    assert isinstance(joined, Encoded)
    assert joined.text == "<bos><turn>user\nq<end>\n<turn>model\nIt is été 😀.<end>\n"
    refused = chat_format("strict-turns").encode([messages[0], Message("user", "q"), messages[1]])
    assert isinstance(refused, TemplateFault)
    assert refused.detail == "the chat template of this base refuses the conversation: roles must alternate"


@pytest.mark.parametrize("family", TRAINABLE)
def test_of_many_turns_those_with_weight_zero_are_context(family: str) -> None:
    chat = chat_format(family)
    stop = FAMILIES[family][2]
    weights = [1, 0, None, 0, 0.5]
    messages = [
        message
        for turn, weight in enumerate(weights)
        for message in (Message("user", f"Question {turn}?"), Message("assistant", f"Answer {turn}.", weight=weight))
    ]
    encoded = chat.encode(messages)
    assert isinstance(encoded, Encoded)
    assert _supervised_text(chat, encoded) == [f"Answer {turn}.{stop}" for turn in (0, 2, 4)]
    assert encoded.supervised_count == 3 * (len("Answer 0.") + 1)


def test_a_thought_where_the_prompt_promises_none_is_another_prompt() -> None:
    chat = chat_format("empty-thought")
    fault = chat.encode([CONVERSATION[0], Message("assistant", "<think>2 + 2</think>Four.")])
    assert isinstance(fault, TemplateFault)
    assert fault.rule == "prompt-differs"
    assert "assistant\\n<think>\\n\\n</think>" in fault.detail
    assert "assistant\\n<think>2 + 2" in fault.detail


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "refuses-system"])
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_tokens_are_those_of_transformers(family: str, tools: Any) -> None:
    chat = chat_format(family)
    system = [Message("system", "Été  be\tbrief.\n")]
    for messages in (CONVERSATION[:3], CONVERSATION, system + CONVERSATION[:1]):
        theirs = chat.tokenizer.apply_chat_template(
            message_dicts(messages), tools=tools, add_generation_prompt=True, return_dict=False
        )
        assert chat.prompt_ids(messages, tools) == theirs
    encoded = chat.encode(system + CONVERSATION, tools)
    if isinstance(encoded, Encoded):
        assert encoded.ids == chat.tokenizer.apply_chat_template(
            message_dicts(system + CONVERSATION), tools=tools, return_dict=False
        )


def test_only_tokenizers_that_can_be_used_are_taken() -> None:
    fast = chat_format("chatml").tokenizer
    ends = fast.eos_token
    fast.eos_token = None
    with pytest.raises(ValueError, match="no end-of-text token"):
        chat_parts(fast)
    assert chat_parts(fast, [5]).stop_ids == [5]
    fast.eos_token, fast.chat_template = ends, None
    with pytest.raises(ValueError, match="no chat template"):
        chat_parts(fast)


def test_a_tokenizer_that_cuts_and_pads_does_neither_here() -> None:
    fast = chat_format("chatml").tokenizer
    fast.backend_tokenizer.enable_truncation(4)
    fast.backend_tokenizer.enable_padding(length=100)
    chat = ChatFormat(chat_parts(fast), lambda: fast)
    assert chat.encode(CONVERSATION) == chat_format("chatml").encode(CONVERSATION)


def test_the_digest_follows_the_template() -> None:
    assert chat_format("chatml").digest == chat_format("chatml").digest
    assert chat_format("chatml").digest != chat_format("chatml-marked").digest


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
