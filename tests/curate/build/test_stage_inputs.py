"""Every command on rows reads every kind of file: each gives the same rows, and the same result."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from curate.build.one_stage import read_rows
from curate.cli.main import cli

PAIRS = [(f"question {n} on subject {n * 7} and topic {n * 13}", f"answer {n}", f"l{n % 2}") for n in range(12)]
RECORDS = [{"prompt": prompt, "completion": answer, "label": label} for prompt, answer, label in PAIRS]
LINES = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)
COMMANDS: list[list[str]] = [
    ["validate"],
    ["dedup"],
    ["screen"],
    ["balance", "--by", "label", "--cap", "5"],
    ["mix", "--size", "6"],
    ["split"],
    ["stats"],
    ["canary", "--count", "1", "--copies", "1"],
]


def table() -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=["prompt", "completion", "label"])
    writer.writeheader()
    writer.writerows(RECORDS)
    return text.getvalue().encode()


def parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame(RECORDS).write_parquet(file)
    return file.getvalue()


FILES: dict[str, bytes] = {
    "rows.jsonl": LINES,
    "rows.json": json.dumps(RECORDS).encode(),
    "rows.jsonl.gz": gzip.compress(LINES),
    "rows.jsonl.zst": zstandard.compress(LINES),
    "rows.csv": table(),
    "rows.parquet": parquet(),
}


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = cli.main([*arguments, "--json"], standalone_mode=False)
    return code or 0, json.loads(capsys.readouterr().out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.jsonl.gz").write_bytes(gzip.compress(b"".join(LINES.splitlines(keepends=True)[:5])))
    (tmp_path / "parts" / "b.jsonl").write_bytes(b"".join(LINES.splitlines(keepends=True)[5:]))
    (tmp_path / "suite.jsonl").write_text('{"id": "q", "question": "is this in none of the rows at all, or is it?"}\n')
    return tmp_path


@pytest.mark.parametrize("name", [*FILES, "parts", "parts/*.json*"])
def test_each_kind_of_file_gives_the_same_rows(folder: Path, name: str) -> None:
    rows = read_rows([str(folder / name)])
    assert len(rows.unread) == 0
    first, *_ = found = list(rows.rows.rows)
    assert [(row.messages[0].text, row.answer, row.label) for row in found] == PAIRS
    assert first.source == "input"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_each_command_reads_each_kind(folder: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    expected = run([command[0], str(folder / "rows.jsonl"), *command[1:]], capsys)
    for name in [*FILES, "parts", "parts/*.json*"]:
        assert run([command[0], str(folder / name), *command[1:]], capsys) == expected, name


def test_decontaminate_reads_each_kind_of_rows_and_suites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = ["--against", str(folder / "suite.jsonl")]
    for name in [*FILES, "parts", "parts/*.json*"]:
        code, found = run(["decontaminate", str(folder / name), *suite], capsys)
        assert (code, found["kept"]) == (0, 12), name
