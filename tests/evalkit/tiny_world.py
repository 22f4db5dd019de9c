"""A whole evaluation in small: a random model, a dataset with its manifest, a trained run, four contenders."""

import json
from pathlib import Path
from typing import Any

import yaml

from curate.core.digests import digest_file
from curate.core.files import write_lines
from curate.core.records import write_record
from curate.core.rows.row import Message, Row, encode_row
from tests.models import tiny_base
from trainer.config import TrainConfig
from trainer.fit import fit
from trainer.inputs import find_inputs

SCORERS: list[dict[str, Any]] = [
    {"name": "correct", "kind": "tool_call"},
    {"name": "json_valid", "kind": "json_valid"},
    {"name": "exact", "kind": "exact"},
]
SUITE: dict[str, Any] = {
    "name": "tiny",
    "base": "base",
    "items": "dataset/test.jsonl",
    "train": "dataset/train.jsonl",
    "output": "results",
    "seed": 3,
    "contenders": [
        {"name": "base"},
        {"name": "base+prompt", "system": "One JSON object.", "examples": {"choose": "covering", "count": 2}},
        {"name": "base+rag", "system": "One JSON object.", "examples": {"choose": "nearest", "count": 2}},
        {"name": "adapter", "run": "run"},
    ],
    "generation": {"max_tokens": 12, "threads": 1},
    "scorers": SCORERS,
    "primary": "correct",
    "useful_effect": 0.1,
    "cluster": "group",
}


def row(index: int, prefix: str) -> Row:
    """A row: two thirds are calls with one argument, the rest fit no function."""
    fits = index % 3 != 0
    name = f"{prefix}_{index}"
    target = {"name": name, "arguments": {"n": index}} if fits else {"name": None}
    return Row(
        id=name,
        messages=[
            Message("system", "Call the function."),
            Message("user", f"{name}(n: int)\nRequest: {'use ' * (index % 4)}{index}"),
            Message("assistant", json.dumps(target)),
        ],
        label="call" if fits else "no_call",
        group=f"{prefix}_{index // 2}",
        meta={"answer_key": {"name": target["name"], "arguments": {"n": [index]} if fits else {}}},
    )


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write rows as JSON lines."""
    write_lines(path, map(encode_row, rows))


def write_dataset(folder: Path, train: list[Row], test: list[Row]) -> None:
    """Write the two files and a manifest that vouches for them."""
    write_rows(folder / "train.jsonl", train)
    write_rows(folder / "test.jsonl", test)
    outputs = {
        name: {"digest": digest_file(folder / name), "rows": len(rows)}
        for name, rows in (("train.jsonl", train), ("test.jsonl", test))
    }
    write_record(folder / "manifest.json", {"kind": "manifest", "schema": 1, "name": "tiny", "outputs": outputs})


def write_suite(folder: Path, **changes: Any) -> Path:
    """Write suite.yaml with these keys changed; None takes a key away."""
    suite = {key: value for key, value in {**SUITE, **changes}.items() if value is not None}
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    return path


def write_plain_suite(folder: Path, items: list[Row], **changes: Any) -> Path:
    """Write these items, and a suite on them that needs no model here and looks for the one right answer."""
    write_rows(folder / "items.jsonl", items)
    plain: dict[str, Any] = {
        "base": None,
        "train": None,
        "cluster": None,
        "items": "items.jsonl",
        "scorers": [{"name": "exact", "kind": "exact"}],
        "primary": "exact",
    }
    return write_suite(folder, **{**plain, **changes})


def make_world(folder: Path) -> Path:
    """Write base, dataset, a run of two training steps and the suite into `folder`; return the suite's path."""
    tiny_base(folder / "base")
    write_dataset(folder / "dataset", [row(i, "train") for i in range(12)], [row(i, "test") for i in range(9)])
    config = TrainConfig(
        base="base", dataset="dataset", output="run", method="lora", max_steps=2, learning_rate=0.05, threads=1
    )
    fit(find_inputs(config, folder))
    return write_suite(folder)
