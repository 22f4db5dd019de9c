"""What ARCHITECTURE.md says of adding things, done by its own lines in a copy of the packages, and run."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEW_FILES = Path(__file__).parent / "howto"
PACKAGES = ("curate", "trainer", "evalkit")
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
MAX_FILES = 3


class Scratch:
    """A copy of the packages that things are added to, and a folder to run commands in."""

    def __init__(self, folder: Path) -> None:
        self.code, self.work = folder / "code", folder / "work"
        self.work.mkdir()
        for package in PACKAGES:
            shutil.copytree(ROOT / package, self.code / package)
        self.touched: set[str] = set()  # files that were written or changed

    def add(self, thing: str) -> None:
        """Do what the section `A thing` of ARCHITECTURE.md says: its new file, and its changes."""
        section = re.split(r"^### An? ", TEXT, flags=re.MULTILINE)
        [text] = [one.partition("\n")[2] for one in section if one.startswith(f"{thing}\n")]
        for name in re.findall(r"New file `(\S+)`", text):
            assert not (self.code / name).exists()
            shutil.copy(NEW_FILES / Path(name).name, self.code / name)
            self.touched.add(name)
        for block in re.findall(r"```diff\n(.*?)```", text, re.DOTALL):
            for name, changes in re.findall(r"^--- (\S+)\n(.*?)(?=^--- |\Z)", block, re.DOTALL | re.MULTILINE):
                for change in changes.split("@@\n"):
                    self._change(name, change.splitlines())

    def _change(self, name: str, lines: Sequence[str]) -> None:
        path = self.code / name
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        text = f"\n{path.read_text()}"
        assert text.count(f"\n{before}") == 1, f"{name} holds these lines {text.count(before)} times:\n{before}"
        path.write_text(text.replace(f"\n{before}", f"\n{after}")[1:])
        self.touched.add(name)

    def write(self, name: str, *records: Any) -> None:
        """Write a file of JSON lines; a single record of a YAML file is its content, since JSON is YAML."""
        (self.work / name).write_text("".join(json.dumps(record) + "\n" for record in records))

    def lines(self, name: str) -> list[Any]:
        """The records of a file of JSON lines."""
        return [json.loads(line) for line in (self.work / name).read_text().splitlines()]

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command of the copy prints, or a Python program; it has to end with this exit code."""
        words = ["-c", *arguments] if len(arguments) == 1 else ["-m", *arguments]
        env = {**os.environ, "PYTHONPATH": str(self.code)}
        asked = {"cwd": self.work, "env": env, "capture_output": True, "text": True}
        done = subprocess.run([sys.executable, *words], check=False, **asked)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def row(number: int, answer: str = "", turns: int = 1) -> dict[str, Any]:
    """A row with a question of its own, asked and answered so many times."""
    name = "".join(chr(ord("a") + int(digit)) for digit in str(number)) * 3
    asked = {"role": "user", "content": f"what is {name} made of, and where does {name} come from"}
    given = {"role": "assistant", "content": answer or f"It is made of {name}."}
    return {"id": f"r{number}", "messages": [asked, given] * turns}


def build(scratch: Scratch, records: Sequence[Any], **changes: Any) -> dict[str, Any]:
    """Build a dataset of these records by the real command and return its manifest."""
    scratch.write("rows.jsonl", *records)
    source = {"name": "rows", "path": "rows.jsonl"}
    recipe = {"name": "small", "behaviour": "Answers.", "output": "out", "sources": [source], "dedup": None}
    scratch.write("recipe.yaml", {**recipe, **changes})
    scratch.run("curate", "build", "recipe.yaml")
    manifest: dict[str, Any] = json.loads((scratch.work / "out" / "manifest.json").read_text())
    return manifest


def rejected(scratch: Scratch) -> dict[str, tuple[str, str]]:
    """For each row that a build left out, the stage and the reason."""
    return {one["id"]: (one["stage"], one["reason"]) for one in scratch.lines("out/rejected.jsonl")}


def evaluate(scratch: Scratch, scorer: str, *contenders: dict[str, Any]) -> dict[str, Any]:
    """Score the contenders' answers to three items by the real command and return the result."""
    scratch.write("items.jsonl", *(row(number, f"right {number}") for number in range(3)))
    answers = ["right 0", "wrong", "Thanks, right 2"]
    lines = ({"item": f"r{at}", "contender": "", "text": text} for at, text in enumerate(answers))
    scratch.write("answers.jsonl", *lines)
    suite = {"name": "small", "items": "items.jsonl", "output": "results", "useful_effect": 0.1, "primary": "score"}
    recorded = {"name": "recorded", "replay": "answers.jsonl"}
    scorers = [{"name": "score", "kind": scorer}]
    scratch.write("suite.yaml", {**suite, "contenders": [recorded, *contenders], "scorers": scorers})
    scratch.run("evalkit", "run", "suite.yaml")
    result: dict[str, Any] = json.loads((scratch.work / "results" / "result.json").read_text())
    return result


def test_a_source_format(scratch: Scratch) -> None:
    scratch.add("source format")

    records = [{"ask": f"why {number}", "tell": "because", "topic": "t"} for number in range(9)]
    scratch.write("more.jsonl", *records[:1])
    sources = [{"name": "rows", "path": "rows.jsonl"}, {"name": "more", "path": "more.jsonl", "format": "qa"}]
    manifest = build(scratch, records, sources=sources)

    assert [one["format"] for one in manifest["inputs"]] == ["qa", "qa"]
    assert [reason for _, reason in rejected(scratch).values()] == ["exact-duplicate"]
    [first, *_] = scratch.lines("out/train.jsonl")
    assert [message["role"] for message in first["messages"]] == ["user", "assistant"]
    assert first["meta"] == {"topic": "t"}
    assert len(scratch.touched) <= MAX_FILES


def test_a_validation_rule(scratch: Scratch) -> None:
    scratch.add("validation rule")
    open_code = "Like this: ``` x = 1"

    build(scratch, [row(0, open_code), *map(row, range(1, 9))], validate={"severity": {"open-code": "error"}})
    assert rejected(scratch) == {"r0": ("validate", "open-code")}
    # Large sources are read by machine code, which says of most rows that no usual rule objects to them.
    found = scratch.run(f"""
from pathlib import Path
import numpy as np
from curate.core.rows.row import Message, Row
from curate.recipe.recipe import Validate
from curate.table.chunk import ChunkRows
from curate.validate.stage import Soundness

rows = ChunkRows([Row(id=t, messages=[Message("user", "q"), Message("assistant", t)]) for t in ("a", {open_code!r})])
rows.is_clear = np.ones(2, np.bool_)
print(Soundness(Validate(), Path()).make(rows).tolist())
""")
    assert found == "[True, False]\n"
    assert len(scratch.touched) <= MAX_FILES


def test_a_stage(scratch: Scratch) -> None:
    scratch.add("stage")

    records = [row(0, turns=3), *map(row, range(1, 9))]
    manifest = build(scratch, records, max_turns=4)
    assert rejected(scratch) == {"r0": ("turn-limit", "too-many-turns")}
    assert [stage["name"] for stage in manifest["stages"]][:3] == ["read", "validate", "turn-limit"]
    assert len(scratch.touched) <= MAX_FILES


def test_a_column(scratch: Scratch) -> None:
    scratch.add("stage")
    assert "the stage's own; `curate/validate/turn_limit.py`" in TEXT
    assert "curate/validate/turn_limit.py" in scratch.touched

    scratch.write("rows.jsonl", row(0, turns=3), row(1))
    found = scratch.run("""
from curate.build.one_stage import read_rows, run_named

given = read_rows(["rows.jsonl"], {"max_turns": 4})
print(given.rows.column("turns").tolist(), run_named(given, ["turn-limit"]).run.rows.ids())
print("turns" in [maker.name for maker in read_rows(["rows.jsonl"]).rows.table.makers.columns])
""")
    assert found == "[6, 2] ['r1']\nFalse\n"


def test_a_screen(scratch: Scratch) -> None:
    scratch.add("screen")
    records = [row(0, "See https://a.example and http://b.example."), *map(row, range(1, 9))]

    manifest = build(scratch, records, screens={"links": {"action": "reject", "threshold": 1}})
    assert rejected(scratch) == {"r0": ("screen", "links")}
    assert [one["over"] for one in manifest["reports"]["screen"]] == [1]
    alone = json.loads(scratch.run("curate", "screen", "rows.jsonl", "--report", "links", "--json"))
    assert alone["reports"]["screen"][0]["over"] == 1
    assert len(scratch.touched) <= MAX_FILES


def test_a_scorer(scratch: Scratch) -> None:
    scratch.add("scorer")

    result = evaluate(scratch, "thanks")
    assert result["contenders"][0]["metrics"]["score"]["mean"] == pytest.approx(1 / 3)
    assert result["chain"]["scorers"] == {"score": "thanks 1"}
    assert len(scratch.touched) <= MAX_FILES


def test_a_backend(scratch: Scratch) -> None:
    scratch.add("backend")
    (scratch.work / "mine.py").write_text("""
def answer(messages):
    if "bbb" in messages[-1].text:
        raise ValueError("no b")
    return "right 0"
""")

    result = evaluate(scratch, "exact", {"name": "mine", "function": "mine.py:answer", "system": "Be right."})
    mine = result["contenders"][1]
    assert (mine["rung"], mine["unscored"]) == ("prompt", 1)
    answers = {one["item"]: one for one in scratch.lines("results/generations.jsonl") if one["contender"] == "mine"}
    assert answers["r0"]["text"] == "right 0"
    assert answers["r1"]["error"] == "ValueError: no b"
    assert len(scratch.touched) <= MAX_FILES


def test_a_gate_rule(scratch: Scratch) -> None:
    scratch.add("gate rule")
    evaluate(scratch, "exact")

    for characters, outcome, code in ((20, "pass", 0), (10, "fail", 1)):
        rule = {"rule": "longest", "characters": characters}
        scratch.write("gate.yaml", {"contender": "recorded", "rules": [rule]})
        scratch.run("evalkit", "gate", "results", "--rules", "gate.yaml", code=code)
        verdict = json.loads((scratch.work / "results" / "verdict.json").read_text())
        assert (verdict["outcome"], verdict["rules"][0]["rule"]) == (outcome, "longest")
    assert verdict["rules"][0]["broke"] == ["r2"]
    assert len(scratch.touched) <= MAX_FILES


def test_every_how_to_has_a_test_and_every_new_file_a_how_to() -> None:
    sections = re.findall(r"^### (An? .+)$", TEXT, re.MULTILINE)
    assert {f"test_{name.lower().replace(' ', '_')}" for name in sections} <= globals().keys()
    named = {Path(name).name for name in re.findall(r"New file `(\S+)`", TEXT)}
    assert named == {path.name for path in NEW_FILES.glob("*.py")}
