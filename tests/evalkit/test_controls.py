"""Tasks whose verdict is known beforehand: facts need retrieval, an easy task no more than the right prompt."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.core.rows.row import Message, Row
from evalkit.run import RunOptions, evaluate
from tests.evalkit.control_suites import rate, suite
from tests.evalkit.tiny_world import write_rows
from trainer.config import TrainConfig
from trainer.fit import fit
from trainer.inputs import find_inputs

CITIES = [
    "Lisbon",
    "Oslo",
    "Porto",
    "Turin",
    "Ghent",
    "Bergen",
    "Graz",
    "Lyon",
    "Bilbao",
    "Krakow",
    "Sofia",
    "Riga",
    "Tartu",
    "Cork",
    "Leeds",
    "Basel",
    "Ulm",
    "Trier",
    "Split",
    "Zadar",
    "Nice",
    "Metz",
    "Bonn",
    "Jena",
    "Kiel",
    "Lodz",
    "Brno",
    "Pecs",
    "Varna",
    "Cadiz",
    "Faro",
    "Bari",
    "Pisa",
    "Parma",
    "Siena",
    "Nantes",
    "Lille",
    "Rouen",
    "Dijon",
    "Umea",
]
NAMES = [
    "Keller",
    "Moreau",
    "Santos",
    "Novak",
    "Lindqvist",
    "Ferrari",
    "Haas",
    "Petrov",
    "Olsen",
    "Byrne",
    "Kovacs",
    "Weiss",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
ORDERS = (
    "Parcel {n} goes to {city} on {day} for Mrs {name}.",
    "Please send order {n} to Mr {name} in {city} by {day}.",
    "Mrs {name} from {city} asks about delivery {n}, due on {day}.",
    "On {day} we shipped {n} to {city}; Mr {name} has signed for it.",
)


def prompted(system: str, *, covering: int, nearest: int) -> list[dict[str, Any]]:
    """The contenders without an adapter, the last two with so many solved train rows."""
    return [
        {"name": "base"},
        {"name": "base+prompt", "system": system, "examples": {"choose": "covering", "count": covering}},
        {"name": "base+rag", "system": system, "examples": {"choose": "nearest", "count": nearest}},
    ]


@pytest.mark.slow
def test_the_embedded_model_needs_only_a_prompt_to_name_the_city_in_an_order(tmp_path: Path) -> None:
    rows = [
        Row(
            id=f"order{n:02}",
            messages=[
                Message("user", ORDERS[n % 4].format(n=4100 + 37 * n, city=city, day=DAYS[n % 6], name=NAMES[n % 12])),
                Message("assistant", city),
            ],
        )
        for n, city in enumerate(CITIES)
    ]
    write_rows(tmp_path / "train.jsonl", rows[:12])
    write_rows(tmp_path / "test.jsonl", rows[12:])
    system = "Name the city in the message. Answer with the city alone."
    path = suite(
        tmp_path,
        name="orders",
        items="test.jsonl",
        train="train.jsonl",
        contenders=prompted(system, covering=8, nearest=3),
        generation={"max_tokens": 12},
        scorers=[{"name": "right", "kind": "normalised"}],
        primary="right",
        useful_effect=0.2,
    )
    result = evaluate(path, RunOptions()).result
    assert result.ladder.verdict == "prompt-suffices"
    assert rate(result, "base") < 0.2
    assert rate(result, "base+prompt") > 0.7


@pytest.mark.slow
def test_the_embedded_model_needs_retrieval_for_questions_about_encyclopedia_articles(
    tmp_path: Path, public_data: Path
) -> None:
    source = public_data / "xquad_en" / "xquad.en.json"
    if not source.is_file():
        pytest.skip("xquad_en is not among the public data sets here")
    paragraphs = [p for article in json.loads(source.read_text())["data"] for p in article["paragraphs"]]
    lines = [json.dumps({"id": f"p{n}", "text": paragraph["context"]}) for n, paragraph in enumerate(paragraphs)]
    (tmp_path / "articles.jsonl").write_text("\n".join(lines))
    rows = []
    for n, paragraph in enumerate(paragraphs[::8][:30]):
        asked = paragraph["qas"][0]
        messages = [Message("user", asked["question"]), Message("assistant", asked["answers"][0]["text"])]
        rows.append(Row(id=asked["id"], messages=messages, meta={"source_passage": f"p{n * 8}"}))
    write_rows(tmp_path / "items.jsonl", rows)
    path = suite(
        tmp_path,
        name="xquad",
        items="items.jsonl",
        contenders=[
            {"name": "base"},
            {"name": "base+rag", "documents": {"paths": ["articles.jsonl"], "top": 1, "chunk_words": 300}},
        ],
        generation={"max_tokens": 28},
        scorers=[{"name": "right", "kind": "contains"}],
        primary="right",
        useful_effect=0.1,
    )
    result = evaluate(path, RunOptions()).result
    assert result.ladder.verdict == "rag-suffices"
    assert rate(result, "base+rag") >= rate(result, "base") + 0.15
    assert result.contenders[1].retrieval.recall["1"] > 0.5


@pytest.mark.slow
def test_the_embedded_model_needs_training_to_name_the_intents_of_bank_customers(
    tmp_path: Path, public_data: Path
) -> None:
    """Which of 48 names apply to a message, and how they are written, is behaviour: no fact that could be looked up."""
    source = public_data / "nlupp_banking"
    if not source.is_dir():
        pytest.skip("nlupp_banking is not among the public data sets here")
    folds = [json.loads((source / f"banking_fold{n}.json").read_text()) for n in range(6)]
    said = [(f"{n}-{at}", one) for n, fold in enumerate(folds) for at, one in enumerate(fold) if "intents" in one]
    rows = [
        Row(
            id=name,
            messages=[Message("user", one["text"]), Message("assistant", json.dumps({"intents": one["intents"]}))],
        )
        for name, one in said
    ]
    write_rows(tmp_path / "train.jsonl", rows[60:])
    write_rows(tmp_path / "test.jsonl", rows[:60])
    training = {"base": "embedded:smollm2-135m", "dataset": "train.jsonl", "output": "run", "method": "lora"}
    rate_and_passes = {"learning_rate": 1e-3, "epochs": 2, "batch_rows": 8, "seed": 7}
    fit(find_inputs(TrainConfig(**training, **rate_and_passes), tmp_path))
    names = sorted({name for row in rows for name in json.loads(row.answer)["intents"]})
    system = f"Which of these intents has the message? {', '.join(names)}. Answer with a JSON object alone."
    path = suite(
        tmp_path,
        name="intents",
        items="test.jsonl",
        train="train.jsonl",
        contenders=[
            *prompted(system, covering=5, nearest=5),
            {"name": "adapter", "run": "run"},
        ],
        generation={"max_tokens": 48},
        scorers=[{"name": "intents", "kind": "fields", "fields": {"intents": "set"}}],
        primary="intents",
        useful_effect=0.1,
    )
    result = evaluate(path, RunOptions()).result
    assert result.ladder.verdict == "fine-tune-pays"
    assert rate(result, "adapter") > rate(result, "base+rag") + 0.1
