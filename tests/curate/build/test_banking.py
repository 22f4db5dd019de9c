"""A second behaviour from end to end: banking requests to JSON, through the same pipeline and another adapter."""

import json
from pathlib import Path

import yaml

from curate.build.build import build
from curate.build.dataset_folder import verify_dataset
from curate.core.files import decode_lines
from curate.core.rows.row import Row
from curate.table.rejections import Rejection

ADAPTER = Path(__file__).with_name("banking_adapter.py")


def test_banking_requests_become_a_dataset(tmp_path: Path, public_data: Path) -> None:
    folder = public_data / "nlupp_banking"
    intents = json.loads((folder / "ontology.json").read_text())["intents"]
    schema = {
        "type": "object",
        "properties": {
            "intents": {"type": "array", "items": {"enum": sorted(intents)}, "minItems": 1, "uniqueItems": True},
            "slots": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["intents", "slots"],
        "additionalProperties": False,
    }
    (tmp_path / "answer.json").write_text(json.dumps(schema))
    recipe = {
        "name": "banking",
        "behaviour": "Turns a banking request into JSON with its intents and slots.",
        "output": "dataset",
        "sources": [{"name": "nlupp", "path": f"{folder}/banking_fold*.json", "adapter": f"{ADAPTER}:adapt"}],
        "validate": {"target_schema": "answer.json"},
        "split": {"by": "row", "shares": {"train": 0.8, "val": 0.1, "test": 0.1}},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    built = build(tmp_path / "recipe.yaml")
    verify_dataset(built.output)
    rows = [row for side in ("train", "val", "test") for row in decode_lines(built.output / f"{side}.jsonl", Row)]
    rejected = list(decode_lines(built.output / "rejected.jsonl", Rejection))
    read = sum(len(json.loads(path.read_text())) for path in folder.glob("banking_fold*.json"))
    assert len(rows) + len(rejected) == read
    assert len(rows) > 0.8 * read
    answers = [json.loads(row.answer) for row in rows]
    assert any(len(answer["intents"]) > 2 for answer in answers)
    assert any(len(answer["slots"]) > 1 for answer in answers)
    prompts = [" ".join(row.messages[1].text.lower().split()) for row in rows]
    conflicting = {name for ids in built.manifest.conflicts for name in ids}
    repeated = {row.id for row, prompt in zip(rows, prompts, strict=True) if prompts.count(prompt) > 1}
    assert repeated
    assert repeated <= conflicting
    # Where a rejection points, its raw text stands.
    for item in rejected:
        data = Path(item.path).read_bytes()
        assert data[item.offset :].startswith(item.raw.encode())
        assert data[: item.offset].count(b"\n") == item.line - 1
