"""Tasks whose verdict is known beforehand: facts need retrieval, an easy task no more than the right prompt."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from curate.build.build import build
from curate.core.files import decode_lines
from curate.core.rows.row import Message, Row
from evalkit.records.lines import Generation
from evalkit.results.result_record import ResultRecord
from evalkit.run import RunOptions, evaluate
from tests.evalkit.tiny_world import write_rows
from trainer.config import TrainConfig
from trainer.fit import fit
from trainer.inputs import find_inputs

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "handbook"
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
QUIET = {"latency_items": 0}


def suite(folder: Path, **settings: Any) -> Path:
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({"output": str(folder / "results"), "running": QUIET, "seed": 3, **settings}))
    return path


def prompted(system: str, *, covering: int, nearest: int) -> list[dict[str, Any]]:
    """The contenders without an adapter, the last two with so many solved train rows."""
    return [
        {"name": "base"},
        {"name": "base+prompt", "system": system, "examples": {"choose": "covering", "count": covering}},
        {"name": "base+rag", "system": system, "examples": {"choose": "nearest", "count": nearest}},
    ]


def copied(folder: Path, name: str) -> Path:
    """The sample's suite of this name with its paths led into `folder`, where its dataset is built."""
    place = folder / "samples" / "handbook"
    shutil.copytree(SAMPLE, place)
    build(place / "recipe.yaml")
    settings = yaml.safe_load((place / name).read_text())
    (place / name).write_text(yaml.safe_dump({**settings, "running": QUIET}))
    return place / name


def rate(result: ResultRecord, name: str) -> float:
    [contender] = [contender for contender in result.contenders if contender.name == name]
    return contender.metrics[result.primary].mean or 0.0


def test_recorded_answers_about_the_handbook_say_that_retrieval_suffices(tmp_path: Path) -> None:
    """The answers of a real run of the embedded model, evaluated anew."""
    result = evaluate(copied(tmp_path, "recorded.yaml"), RunOptions()).result
    assert result.ladder.verdict == "rag-suffices"
    assert result.ladder.winner == "base+rag"
    assert all(contender.unscored == 0 for contender in result.contenders)
    assert rate(result, "adapter") < 0.1
    assert rate(result, "adapter+rag") < rate(result, "base+rag") - 0.2


def test_the_handbook_and_its_questions_belong_together() -> None:
    questions = list(decode_lines(SAMPLE / "questions.jsonl", Row))
    text = {path.name: path.read_text() for path in (SAMPLE / "documents").iterdir()}
    assert len(questions) == 120
    assert sum(page.count("\n## ") for page in text.values()) == 62
    for row in questions:
        file, _, heading = str(row.meta["source_passage"]).partition("#")
        passage = text[file].split(f"\n## {heading}\n")[1].split("\n## ")[0]
        assert row.answer.casefold() in passage.casefold(), row.id
    recorded = list(decode_lines(SAMPLE / "recorded.jsonl", Generation))
    assert {line.item for line in recorded} <= {row.id for row in questions}


@pytest.mark.slow
def test_the_embedded_model_needs_retrieval_for_the_handbook(tmp_path: Path) -> None:
    """An adapter that was trained on the handbook's questions knows nothing of the others, passages or not."""
    path = copied(tmp_path, "suite.yaml")
    training = yaml.safe_load((path.parent / "train.yaml").read_text())
    fit(find_inputs(TrainConfig(**training), path.parent))

    result = evaluate(path, RunOptions(limit=40)).result

    assert result.ladder.verdict == "rag-suffices"
    assert rate(result, "base+rag") > 0.25
    assert rate(result, "adapter") < 0.15
    assert rate(result, "adapter+rag") < rate(result, "base+rag")
    [rag] = [contender for contender in result.contenders if contender.rung == "rag"]
    assert rag.retrieval.recall["2"] > 0.9
    assert rag.retrieval.answer.score_with > rag.retrieval.answer.score_without


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
        messages = [Message("user", asked.question), Message("assistant", asked.answers[0]["text"])]
        rows.append(Row(id=asked.id, messages=messages, meta={"source_passage": f"p{n * 8}"}))
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
