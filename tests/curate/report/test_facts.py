"""Rows that look like facts: single cases, and the heuristic's figures on real rows."""

import json
from pathlib import Path

import pytest

from curate.core.rows.row import Row
from curate.report.facts import describe_facts, fit_sentences, states_fact
from tests.curate.row_makers import make_row


@pytest.mark.parametrize(
    ("prompt", "answer", "fact"),
    [
        ("Who wrote Faust?", "Johann Wolfgang von Goethe.", True),
        ("When did the wall fall?", "In 1989.", True),
        ("Name the longest river in Europe.", "The longest river in Europe is the Volga.", True),
        ("Hello! In what year was it built? Please be brief.", "1887", True),
        ("Which country won in 1998?", "France", True),
        ("Who is on the list? Anna, Bert.", "Anna and Bert.", False),
        ("How many legs do three cats have?", "12", False),
        ("What is the plural of goose?", "Geese", False),
        ("Rewrite this sentence: Who is it?", "May I ask who it is, Sir?", False),
        ("Turn on the light.", "Done.", False),
        ("What is love?", "Baby " * 40, False),
        ("Who is calling?", '{"name": "Anna"}', False),
        ("Who is calling?", "", False),
    ],
)
def test_a_fact_is_a_question_with_a_short_answer_that_the_prompt_lacks(prompt: str, answer: str, fact: bool) -> None:
    assert states_fact(make_row(prompt, answer)) is fact


def test_many_rows_are_looked_at_in_part_and_none_give_no_share() -> None:
    rows = [make_row("Who wrote it?", "Goethe", id=str(n)) for n in range(4500)]
    found = describe_facts(rows)
    assert (found.looked_at, found.facts, found.share) == (1500, 1500, 1.0)
    assert found.listed == ["0", "3", "6", "9", "12", "15", "18", "21"]
    assert "retrieval" in " ".join(fit_sentences(found))
    assert describe_facts([]).share == 0.0
    assert "None of 0" in fit_sentences(describe_facts([]))[0]


def alpaca(record: dict[str, str]) -> Row:
    prompt = f"{record['instruction']}\n{record['input']}" if record["input"] else record["instruction"]
    return make_row(prompt, record["output"])


def share(rows: list[Row]) -> float:
    return sum(map(states_fact, rows)) / len(rows)


def test_the_figures_on_real_rows(public_data: Path) -> None:
    """What the module says of itself. Of the mixed instructions' 149, read one by one, 148 ask for a fact."""
    questions, closed = [], []
    for article in json.loads((public_data / "xquad_en" / "xquad.en.json").read_text())["data"]:
        for paragraph in article["paragraphs"]:
            for item in paragraph["qas"]:
                answer = item["answers"][0]["text"]
                questions.append(make_row(item["question"], answer))
                closed.append(make_row(f"{paragraph['context']}\n\n{item['question']}", answer))
    assert share(questions) > 0.55
    lines = (public_data / "self_instruct" / "user_oriented_instructions.jsonl").read_text().splitlines()
    tasks = [alpaca({**record, **record["instances"][0]}) for record in map(json.loads, lines)]
    sums = map(json.loads, (public_data / "gsm8k" / "test.jsonl").read_text().splitlines())
    tasks += [make_row(item["question"], item["answer"].rpartition("#### ")[2]) for item in sums]
    intents = json.loads((public_data / "clinc150" / "data_full.json").read_text())["test"]
    tasks += [make_row(text, label) for text, label in intents]
    assert share([*tasks, *closed]) < 0.002
    mixed = json.loads((public_data / "llms_from_scratch" / "instruction-data.json").read_text())
    assert 0.12 < share([alpaca(record) for record in mixed]) < 0.15
