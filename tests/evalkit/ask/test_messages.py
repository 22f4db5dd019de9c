from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.row import Message, Row
from evalkit.ask.messages import covering_examples, messages_for
from evalkit.suite.contenders import Contender
from evalkit.suite.items import question_text
from tests.evalkit.tiny_world import row

ITEM = row(1, "test")
PROMPTED = Contender(name="p", system="Be exact.")


def test_the_base_gets_the_items_own_prompt() -> None:
    assert messages_for(Contender(name="base"), ITEM) == ITEM.messages[:-1]


def test_examples_are_turns_between_the_contenders_system_message_and_the_question() -> None:
    first, second = row(4, "train"), row(5, "train")

    messages = messages_for(PROMPTED, ITEM, [first, second])

    assert messages == [
        Message("system", "Be exact."),
        first.messages[1],
        first.messages[2],
        second.messages[1],
        second.messages[2],
        ITEM.messages[1],
    ]


def test_an_empty_system_message_is_one_too() -> None:
    assert messages_for(Contender(name="p", system=""), ITEM)[0] == Message("system", "")


def test_earlier_turns_of_the_item_stay_and_its_target_does_not() -> None:
    item = Row(
        id="1",
        messages=[
            Message("user", "a"),
            Message("assistant", "b"),
            Message("user", "c"),
            Message("assistant", "target"),
        ],
    )

    messages = messages_for(PROMPTED, item)

    assert [message.text for message in messages] == ["Be exact.", "a", "b", "c"]
    assert question_text(item) == "a\nb\nc"


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 5))
def test_covering_examples_are_distinct_solved_and_balanced(rows: int, count: int, seed: int) -> None:
    train = [row(index, "train") for index in range(rows)]
    unsolved = [Row(id="u", messages=[Message("user", "q")], label="other")]

    chosen = covering_examples(train + unsolved, count, seed)

    assert len({example.id for example in chosen}) == len(chosen) == min(count, rows)
    assert all(example.answer for example in chosen)
    available = {label: sum(r.label == label for r in train) for label in ("call", "no_call")}
    used = {label: sum(r.label == label for r in chosen) for label in ("call", "no_call")}
    for label, other in (("call", "no_call"), ("no_call", "call")):
        assert used[label] <= used[other] + 1 or used[other] == available[other]
    assert chosen == covering_examples(list(reversed(train)) + unsolved, count, seed)


def test_another_seed_chooses_others() -> None:
    train = [row(index, "train") for index in range(60)]

    assert len({tuple(r.id for r in covering_examples(train, 4, seed)) for seed in range(5)}) > 1
