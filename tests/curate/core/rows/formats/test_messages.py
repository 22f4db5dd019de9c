"""Turns of every published shape become the same messages, and what no field takes is counted or refused."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.core.rows.formats.registry import ANY
from curate.core.rows.row import Row, encode_row
from curate.core.sources.record import Record
from curate.core.sources.record_to_row import RowReader, Unread
from curate.core.sources.source import Source

ASK = {"role": "user", "content": "How deep is the well?"}
SAY = {"role": "assistant", "content": "Nine metres."}
TOOL = {"name": "depth", "description": "Measures.", "parameters": {"type": "object"}}
WRAPPED = [{"type": "function", "function": TOOL}]
CALL = {"name": "depth", "arguments": '{"of":"well"}'}


def find(record: object) -> tuple[Row | Unread, RowReader]:
    reader = RowReader(Source(name="s", path="x"), ANY, None, {})
    found = reader.find(Record(1, 0, json.dumps(record).encode()))
    return (found if isinstance(found, Unread) else found[0]), reader


def read(record: object) -> dict[str, Any]:
    """The row as plain values, without its id and source."""
    row, _ = find(record)
    assert isinstance(row, Row), row
    values: dict[str, Any] = json.loads(encode_row(row))
    return {key: value for key, value in values.items() if key not in ("id", "source")}


def refusal(record: object) -> str:
    found, _ = find(record)
    assert isinstance(found, Unread)
    return found.detail


def answered(**more: Any) -> dict[str, Any]:
    """What is read of the answer that has these keys beside its text."""
    message: dict[str, Any] = read({"messages": [ASK, {**SAY, **more}]})["messages"][1]
    return {key: value for key, value in message.items() if key not in SAY}


def called(name: str, arguments: str = CALL["arguments"]) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": "depth", "arguments": arguments}}


@pytest.mark.parametrize(
    "more",
    [
        {"reasoning_content": "I let down a rope."},
        {"thinking": "I let down a rope."},
        {"reasoning": "I let down a rope.", "reasoning_content": "I let down a rope."},
        {"thinking": [{"type": "thinking", "thinking": "I let down a rope.", "signature": "s"}]},
    ],
)
def test_reasoning_is_a_field_of_the_message(more: dict[str, Any]) -> None:
    assert answered(**more) == {"reasoning_content": "I let down a rope."}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "reasoning", "value": "I let down a rope."},
        {"type": "thinking", "thinking": [{"type": "text", "text": "I let down a rope."}]},
        {"reasoningContent": {"reasoningText": {"text": "I let down a rope.", "signature": "s"}}},
        {"text": "I let down a rope.", "thought": True},
    ],
)
def test_reasoning_may_be_a_block(block: dict[str, Any]) -> None:
    content = [block, {"type": "text", "text": SAY["content"]}]
    assert answered(content=content) == {"reasoning_content": "I let down a rope."}
    unknown = read({"messages": [ASK, {**SAY, "content": [{"type": "thinking", "in": "x"}, *content[1:]]}]})
    assert unknown["meta"] == {"message_extras": {"1": {"thinking": {"type": "thinking", "in": "x"}}}}


def test_two_texts_of_reasoning_are_refused() -> None:
    assert "two different texts of reasoning" in refusal(
        {"messages": [ASK, {**SAY, "thinking": "a", "reasoning": "b"}]}
    )


@pytest.mark.parametrize(
    ("more", "weight"),
    [
        ({"train": False}, 0),
        ({"trainable": False}, 0),
        ({"loss": 0}, 0),
        ({"loss_mask": 0}, 0),
        ({"training": "false"}, 0),
        ({"masked": True}, 0),
        ({"is_masked": True}, 0),
        ({"no_loss": 1}, 0),
        ({"should_train": False}, 0),
        ({"loss_weight": 0.25}, 0.25),
        ({"loss_weight": 0.5, "train": True}, 0.5),
        ({"weight": True}, 1),
        ({"train": True, "loss_weight": 1.0, "masked": False}, None),
    ],
)
def test_flags_say_what_is_learned(more: dict[str, Any], weight: float | None) -> None:
    assert answered(**more).get("weight") == weight


@pytest.mark.parametrize("more", [{"train": False, "weight": 1}, {"loss_weight": 0.5, "weight": 0.25}])
def test_flags_that_disagree_are_refused(more: dict[str, Any]) -> None:
    assert "says both" in refusal({"messages": [ASK, {**SAY, **more}]})


def test_a_turn_that_is_no_answer_keeps_no_weight() -> None:
    row = read({"messages": [{**ASK, "loss": False, "train": True}, SAY]})
    assert row == {"messages": [ASK, SAY], "meta": {"message_extras": {"0": {"train": True}}}}


def shared(*turns: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"conversations": [{"from": name, "value": value} for name, value in turns], **more}


TAGGED = f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>"
TRACES: dict[str, dict[str, Any]] = {
    "openai": {
        "messages": [
            ASK,
            {"role": "assistant", "content": "I look.", "function_call": CALL},
            {"role": "function", "content": "9"},
            SAY,
        ],
        "functions": [TOOL],
    },
    "flat": {
        "messages": [
            ASK,
            {"role": "assistant", "content": "I look.", "tool_calls": json.dumps([CALL]), "refusal": None},
            {"role": "tool", "content": 9},
            SAY,
        ],
        "tools": [TOOL],
    },
    "sharegpt": shared(
        ("human", ASK["content"]),
        ("gpt", "I look."),
        ("function_call", json.dumps(CALL)),
        ("observation", "9"),
        ("gpt", SAY["content"]),
        tools=json.dumps([TOOL]),
    ),
    "hermes": shared(
        ("human", ASK["content"]),
        ("gpt", f"I look.\n{TAGGED}"),
        ("tool", "<tool_response>\n9\n</tool_response>"),
        ("gpt", SAY["content"]),
        tools=WRAPPED,
    ),
    "anthropic": {
        "messages": [
            ASK,
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "call", "name": "depth", "input": {"of": "well"}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call", "content": "9"}]},
            SAY,
        ],
        "tools": [{"name": "depth", "description": "Measures.", "input_schema": {"type": "object"}}],
    },
    "bedrock": {
        "messages": [
            {"role": "user", "content": [{"text": ASK["content"]}]},
            {
                "role": "assistant",
                "content": [
                    {"text": "I look."},
                    {"toolUse": {"toolUseId": "call", "name": "depth", "input": {"of": "well"}}},
                ],
            },
            {"role": "user", "content": [{"toolResult": {"toolUseId": "call", "content": [{"text": "9"}]}}]},
            {"role": "assistant", "content": [{"text": SAY["content"]}]},
        ],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "depth",
                        "description": "Measures.",
                        "inputSchema": {"json": {"type": "object"}},
                    }
                }
            ]
        },
    },
    "values": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "value": ASK["content"]}]},
            {
                "role": "assistant",
                "content": [{"type": "text", "value": "I look."}, {"type": "tool_call", "value": json.dumps(CALL)}],
            },
            {"role": "tool", "content": [{"type": "text", "value": "9"}]},
            SAY,
        ],
        "tools": json.dumps(WRAPPED),
    },
    "gemini": {
        "contents": [
            {"parts": [{"text": ASK["content"]}]},
            {
                "role": "model",
                "parts": [{"text": "I look."}, {"functionCall": {"name": "depth", "args": {"of": "well"}}}],
            },
            {"role": "user", "parts": [{"functionResponse": {"response": 9}}]},
            {"role": "model", "parts": [{"text": SAY["content"]}]},
        ],
        "tools": [{"functionDeclarations": [TOOL]}],
    },
}


@pytest.mark.parametrize("name", TRACES)
def test_a_call_beside_text_is_the_same_in_every_shape(name: str) -> None:
    row = read(TRACES[name])
    ask, call, result, say = row["messages"]
    (made,) = call["tool_calls"]
    assert (ask, say, row["tools"]) == (ASK, SAY, WRAPPED)
    assert (call["content"], json.loads(made["function"]["arguments"])) == ("I look.", {"of": "well"})
    assert result == {"role": "tool", "content": "9", "tool_call_id": made["id"]}


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL]), {"tools": [TOOL]}, [json.dumps(TOOL)]])
@pytest.mark.parametrize("pair", [{"prompt": [ASK], "completion": [SAY]}, {"messages": [ASK, SAY]}])
def test_tools_of_every_shape_are_functions(pair: dict[str, Any], tools: object) -> None:
    assert read({**pair, "tools": tools}) == {"messages": [ASK, SAY], "tools": WRAPPED}


@pytest.mark.parametrize(
    "turns",
    [
        [("function_call", json.dumps([CALL, CALL])), ("observation", '["9", "8"]')],
        [("function_call", json.dumps(CALL)), ("tool_call", json.dumps(CALL)), ("tool", "9"), ("tool", "8")],
        [("gpt", TAGGED + TAGGED), ("human", "<tool_response>9</tool_response>\n<tool_response>8</tool_response>")],
        [("gpt", TAGGED + TAGGED), ("tool", "<tool_response>9</tool_response>\n<tool_response>8</tool_response>")],
    ],
)
def test_two_calls_are_one_answer_with_two_results(turns: list[tuple[str, str]]) -> None:
    _, call, first, second, _ = read(shared(("human", "q"), *turns, ("gpt", "a"), tools=[TOOL]))["messages"]
    assert [made["id"] for made in call["tool_calls"]] == [first["tool_call_id"], second["tool_call_id"]]
    assert (first["content"], second["content"]) == ("9", "8")


def test_calls_may_be_a_list_of_texts() -> None:
    (made,) = answered(content=None, tool_calls=[json.dumps(CALL)])["tool_calls"]
    assert made["function"] == {"name": CALL["name"], "arguments": CALL["arguments"]}


def test_the_system_message_may_hold_the_tools() -> None:
    system = {"role": "system", "content": "Be brief."}
    stated = {**system, "tools": json.dumps([TOOL])}
    assert read({"messages": [stated, ASK, SAY]}) == {"messages": [system, ASK, SAY], "tools": WRAPPED}


@pytest.mark.parametrize("key", ["author", "speaker", "sender", "type"])
def test_who_speaks_may_stand_under_another_key(key: str) -> None:
    turns = [{key: "human", "content": ASK["content"]}, {key: "ai", "text": SAY["content"]}]
    assert read({"messages": turns}) == {"messages": [ASK, SAY]}
    assert "who it is from" in refusal({"messages": [{key: "Ann", "content": "x"}, SAY]})


def test_tags_that_call_nothing_stay_text() -> None:
    for text in (f"Write {TAGGED[:11]} first.", TAGGED.replace("}", ""), TAGGED):
        assert read(shared(("human", "q"), ("gpt", text)))["messages"][1] == {"role": "assistant", "content": text}


def test_a_system_prompt_may_name_the_tools() -> None:
    system = f"Call within <tools></tools>. <tools>{json.dumps(WRAPPED)}</tools>"
    turns = [("system", system), ("human", "q"), ("gpt", TAGGED.replace('"', "'")), ("tool", "9"), ("gpt", "a")]
    row = read(shared(*turns))
    assert row["tools"] == WRAPPED
    assert row["messages"][0]["content"] == system
    assert "tools" not in read(shared(*turns[:2], ("gpt", "a")))


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief."}], [{"text": "Be brief."}]])
def test_a_system_prompt_may_stand_beside_the_messages(system: object) -> None:
    whole = [{"role": "system", "content": "Be brief."}, ASK, SAY]
    assert read({"system": system, "messages": [ASK, SAY]}) == {"messages": whole}
    assert read({"system": system, "messages": whole}) == {"messages": whole}
    assert "different system prompts" in refusal({"system": "Be long.", "messages": whole})
    assert read({"system": "", "messages": [ASK, SAY]}) == {"messages": [ASK, SAY]}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "value": "How deep is the well?"},
        {"type": "input_text", "text": "How deep is the well?"},
        {"text": "How deep is the well?"},
        {"type": "text", "content": "How deep is the well?"},
        {"type": "text", "content": [{"type": "text", "text": "How deep is the well?"}]},
        "How deep is the well?",
    ],
)
def test_parts_of_text_are_text(part: object) -> None:
    assert read({"messages": [{"role": "user", "content": [part, {"type": "text", "text": None}]}, SAY]}) == {
        "messages": [ASK, SAY]
    }


def test_a_part_whose_text_is_under_another_key_is_no_silent_loss() -> None:
    part = {"type": "text", "text": None, "body": "How deep is the well?"}
    assert read({"messages": [{"role": "user", "content": [part]}, SAY]})["messages"][0]["content"] == [part]


def test_roles_and_keys_go_by_many_names() -> None:
    turns = [{"from": "Human", "value": ASK["content"]}, {"role": "model", "content": SAY["content"]}]
    assert read({"messages": turns}) == {"messages": [ASK, SAY]}
    told = [{"role": "USER", "message": ASK["content"]}, {"role": "Chatbot", "text": SAY["content"]}]
    assert read({"messages": told}) == {"messages": [ASK, SAY]}
    assert "is from" in refusal({"messages": [{"role": "user", "from": "gpt", "content": "x"}, SAY]})
    assert answered(audio=None, annotations=[], function_call=None, value=SAY["content"]) == {}
    assert read({"messages": [ASK, {"role": "assistant", "content": None, "refusal": "No."}]})["messages"][1] == {
        "role": "assistant",
        "content": "No.",
    }


def test_other_keys_are_kept_and_counted() -> None:
    record = {"messages": [{**ASK, "uuid": "u"}, {**SAY, "uuid": "v", "text": "x"}], "stars": 4, "meta": {"own": 1}}
    row, reader = find(record)
    assert isinstance(row, Row)
    assert row.meta == {
        "own": 1,
        "stars": 4,
        "message_extras": {"0": {"uuid": "u"}, "1": {"uuid": "v", "text": "x"}},
    }
    assert reader.kept_keys == {"stars": 1, "messages[].uuid": 1, "messages[].text": 1}


WORSE = {"role": "assistant", "content": "Two metres."}
PAIRS: list[dict[str, Any]] = [
    {"prompt": ASK["content"], "chosen": [SAY], "rejected": [WORSE]},
    {"prompt": [ASK], "chosen": SAY, "rejected": {"from": "gpt", "value": WORSE["content"]}},
    {"conversations": [{"from": "human", "value": ASK["content"]}], "chosen": SAY, "rejected": WORSE},
    {"messages": [ASK], "chosen": SAY, "rejected": WORSE},
    {"question": ASK["content"], "chosen_response": SAY, "rejected_response": WORSE},
    {"messages": [ASK, SAY], "rejected_messages": [WORSE]},
    {"query": ASK["content"], "response": SAY, "rejected_response": WORSE},
    {"prompt": f"\n\nHuman: {ASK['content']}\n\nAssistant:", "chosen": SAY, "rejected": WORSE},
    {"input": {"messages": [ASK]}, "preferred_output": [SAY], "non_preferred_output": [WORSE]},
]


@pytest.mark.parametrize("pair", PAIRS)
def test_pairs_of_every_shape_hold_two_answers(pair: dict[str, Any]) -> None:
    assert read(pair) == {"messages": [ASK, SAY], "meta": {"rejected": [WORSE]}}


@pytest.mark.parametrize("names", [("chosen", "rejected"), ("chosen_messages", "rejected_messages")])
def test_pairs_may_be_whole_conversations(names: tuple[str, str]) -> None:
    whole = {"messages": [ASK, SAY], "meta": {"rejected": [ASK, WORSE]}}
    sides = ([ASK, SAY], [ASK, WORSE])
    for pair in (sides, tuple({"messages": side} for side in sides)):
        assert read(dict(zip(names, pair, strict=True))) == whole
    assert read({**dict(zip(names, sides, strict=True)), "prompt": ASK["content"], "messages": [ASK, SAY]}) == whole
    chosen, rejected = (f"\n\nHuman: {ASK['content']}\n\nAssistant: {m['content']}" for m in (SAY, WORSE))
    assert read(dict(zip(names, (chosen, rejected), strict=True))) == whole


@pytest.mark.parametrize("asked", [ASK["content"], f"{ASK['content']} ", "And now?"])
def test_a_prompt_may_be_any_turn_of_a_chosen_conversation(asked: str) -> None:
    chosen = [ASK, SAY, {"role": "user", "content": "And now?"}, SAY]
    rejected = [*chosen[:3], WORSE]
    pair = {"prompt": asked, "chosen": chosen, "rejected": rejected}
    assert read(pair) == {"messages": chosen, "meta": {"rejected": rejected}}


def test_what_stands_beside_the_question_of_a_pair_is_read() -> None:
    beside = {"history": [["Hi.", "Hello."]], "context": "A river.", "system_prompt": "Be brief."}
    earlier = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    asked = {"role": "user", "content": f"A river.\n\n{ASK['content']}"}
    system = {"role": "system", "content": "Be brief."}
    found = read({**beside, "question": ASK["content"], "chosen": SAY, "rejected": WORSE})
    assert found == {"messages": [system, *earlier, asked, SAY], "meta": {"rejected": [WORSE]}}


def test_messages_without_a_rejected_answer_are_no_pair() -> None:
    row, _ = find({"messages": [ASK, SAY], "rejected_response": None})
    assert isinstance(row, Row)
    assert "rejected" not in row.meta


def test_a_rejected_answer_is_read_as_the_chosen_one() -> None:
    pair = {"prompt": "q", "chosen": SAY, "rejected": {**WORSE, "thinking": "I guess.", "uuid": "u"}}
    row = read({**pair, "tools": json.dumps([TOOL])})
    assert row["meta"] == {"rejected": [{**WORSE, "reasoning_content": "I guess.", "uuid": "u"}]}
    assert row["tools"] == WRAPPED


@pytest.mark.parametrize(
    ("record", "label", "desirable"),
    [
        ({"messages": [ASK, SAY], "label": False}, None, False),
        ({"messages": [ASK, SAY], "kto_tag": True, "label": "depths"}, "depths", True),
        ({"prompt": "q", "completion": "a", "label": "True"}, None, True),
        ({"prompt": "q", "completion": "a", "label": 0}, None, False),
        ({"prompt": "q", "completion": "a", "label": 0, "stars": 1}, "0", None),
        ({"instruction": "q", "output": "a", "label": 1}, "1", None),
    ],
)
def test_a_boolean_label_judges_the_answer(record: dict[str, Any], label: str | None, desirable: bool | None) -> None:
    row = read(record)
    assert (row.get("label"), row.get("meta", {}).get("desirable")) == (label, desirable)


values = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, 0.5])
    | st.text(max_size=3)
    | st.sampled_from(
        [
            [],
            {},
            CALL,
            [CALL],
            [{"text": "x"}],
            [{"type": "tool_use", "name": "f"}],
            TAGGED,
            [{"image": {}}],
            ["x", None],
        ]
    )
)
names = st.sampled_from(
    [
        *(
            "role",
            "from",
            "content",
            "value",
            "parts",
            "thinking",
            "reasoning",
            "tool_calls",
            "function_call",
            "weight",
        ),
        *("train", "loss", "loss_weight", "name", "tool_call_id", "refusal", "text", "uuid"),
    ]
)
speakers = st.sampled_from(["user", "assistant", "gpt", "function_call", "tool", "system", "nobody"])
turns = st.tuples(speakers, st.dictionaries(names, values, max_size=4)).map(lambda turn: {"role": turn[0], **turn[1]})


@given(st.lists(turns, max_size=4), st.sampled_from(["messages", "conversations", "contents", "chosen"]))
@example([{"role": []}], "messages")
def test_what_was_read_once_is_read_again_as_it_is(found: Any, key: str) -> None:
    record = {key: found, **({"rejected": found} if key == "chosen" else {})}
    row, _ = find(record)
    if isinstance(row, Unread):
        assert row.reason in ("not-a-row", "unknown-format")
        return
    again, _ = find(json.loads(encode_row(row)))
    assert isinstance(again, Row), again
    assert encode_row(again) == encode_row(row)
