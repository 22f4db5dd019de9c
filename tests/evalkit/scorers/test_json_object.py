import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.row import Message, Row
from evalkit.scorers.json_object import JsonSchemaConfig, JsonValidConfig, Reading, json_schema, json_valid, read_object
from evalkit.scorers.types import Mark, Unscored

ITEM = Row(id="1", messages=[Message("user", "q")])
FENCED = '```json\n{"a": 1}\n```'


@pytest.mark.parametrize(
    ("answer", "whole", "fenced", "first"),
    [
        ('{"a": 1}', 1, 1, 1),
        ('  {"a": 1}\n', 1, 1, 1),
        (FENCED, 0, 1, 1),
        ('Sure: {"a": 1} there you go', 0, 0, 1),
        ('{"a": 1} {"b": 2}', 0, 0, 1),
        ('a {brace} then {"a": 1}', 0, 0, 1),
        ('[{"a": 1}]', 0, 0, 1),
        ("", 0, 0, 0),
        ("null", 0, 0, 0),
        ('{"a": NaN}', 0, 0, 0),
        ('{"a": 1', 0, 0, 0),
        ("{'a': 1}", 0, 0, 0),
    ],
)
def test_where_the_object_is_looked_for(answer: str, whole: int, fenced: int, first: int) -> None:
    def value(reading: Reading) -> float:
        outcome = json_valid(JsonValidConfig(name="v", kind="json_valid", reading=reading))(ITEM, answer)
        assert isinstance(outcome, Mark)
        return outcome.value

    assert (value("whole"), value("fenced"), value("first")) == (whole, fenced, first)


@pytest.mark.parametrize("answer", ["[" * 100_000, '{"a":' * 100_000, "\ud800", '{"a": "\ud800"}', "{" * 5000])
@pytest.mark.parametrize("reading", ["whole", "fenced", "first"])
def test_hostile_answers_are_wrong_answers_not_crashes(answer: str, reading: Reading) -> None:
    outcome = json_valid(JsonValidConfig(name="v", kind="json_valid", reading=reading))(ITEM, answer)

    assert isinstance(outcome, Mark)


@given(st.dictionaries(st.text(), st.integers(-(2**60), 2**60) | st.text() | st.none() | st.booleans()))
def test_any_object_is_read_back_in_every_reading(value: dict[str, object]) -> None:
    import msgspec

    text = msgspec.json.encode({k: v for k, v in value.items() if k.isprintable()}).decode()
    expected = msgspec.json.decode(text)

    assert read_object(text, "whole") == expected
    assert read_object(f"```json\n{text}\n```", "fenced") == expected
    assert read_object(f"Here: {text}.", "first") == expected


def schema_item(schema: object) -> Row:
    return Row(id="1", messages=[Message("user", "q")], meta={"answer_schema": schema})


def test_schema_says_what_is_wrong_and_where() -> None:
    rule = json_schema(JsonSchemaConfig(name="s", kind="json_schema"))
    item = schema_item({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})

    assert rule(item, '{"n": 5}') == Mark(1.0)
    wrong = rule(item, '{"n": "five"}')
    assert isinstance(wrong, Mark)
    assert wrong.value == 0
    assert "$.n" in (wrong.detail or "")
    assert rule(ITEM, '{"n": 5}') == Unscored("the item has no meta.answer_schema")


def test_a_schema_can_not_make_us_fetch_an_address() -> None:
    from evalkit.records.lines import Generation
    from evalkit.scorers.score_all import score_all

    item = schema_item({"$ref": "http://127.0.0.1:9/schema.json"})
    rule = json_schema(JsonSchemaConfig(name="s", kind="json_schema"))
    [score] = score_all([Generation(item="1", contender="c", text='{"n": 5}')], {"1": item}, {"s": rule})

    assert score.value is None
    assert "leads outside the schema" in (score.unscored or "")
