"""Results go into a folder of their own: a suite's items and recorded answers are never written over."""

import json
from pathlib import Path

import pytest

from curate.core.errors import ConfigError
from evalkit.run import RunOptions, evaluate


@pytest.mark.parametrize(
    ("output", "items"), [(".", "items.jsonl"), ("../here", "data/mine.jsonl"), ("data", "data/i.jsonl")]
)
def test_an_output_with_what_the_suite_reads_is_refused(tmp_path: Path, output: str, items: str) -> None:
    folder = tmp_path / "here"
    (folder / "data").mkdir(parents=True)
    row = {"id": "r1", "messages": [{"role": "user", "content": "two and two?"}, {"role": "assistant", "content": "4"}]}
    (folder / items).write_text(json.dumps(row) + "\n")
    (folder / "answers.jsonl").write_text(json.dumps({"item": "r1", "contender": "base", "text": "4"}) + "\n")
    suite = {
        "name": "sums", "items": items, "output": output, "primary": "right", "useful_effect": 0.1,
        "contenders": [{"name": "base", "rung": "base", "replay": "answers.jsonl"}],
        "scorers": [{"name": "right", "kind": "exact"}],
    }  # fmt: skip
    (folder / "suite.yaml").write_text(json.dumps(suite))
    before = {path: path.read_bytes() for path in folder.rglob("*.jsonl")}
    with pytest.raises(ConfigError, match="the output folder is its own"):
        evaluate(folder / "suite.yaml", RunOptions())
    assert {path: path.read_bytes() for path in folder.rglob("*.jsonl")} == before
