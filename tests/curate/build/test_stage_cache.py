"""Builds that go on: after a kill anywhere, and after a change, with the bytes of a build that was never stopped."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.build.build import build
from curate.build.dataset_folder import KEPT_FOLDER, verify_dataset
from curate.core.rows.row import Row
from curate.dedup.index import add_rows, create_index
from tests.chat_formats import chat_format
from tests.conftest import ROOT
from tests.curate.row_makers import chat, write_recipe

LONG = "please tell me what the weather in the capital of this country is like today"
ITEM = "A train leaves the station at noon and travels eighty miles an hour; how far has it come by half past three?"
CHECK, BESIDE, SCREENS, SUITES, NEAR, BALANCE, MIX = (
    "template check", "screens of the conversation and all beside it", "screens of the conversation", "decontaminate",
    "near", "balance tokens", "mix tokens",
)  # fmt: skip
KEPT = [CHECK, BESIDE, SCREENS, SUITES, NEAR, BALANCE, MIX]
SPOKEN = {"on": "conversation"}

# Runs the command as a user does, but the named function kills the process when it is called: nothing can clean up.
DRIVER = """
import importlib, os, signal, sys
module, name = sys.argv.pop(1).split(":")
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
setattr(owner, last, lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))
sys.argv[0] = "curate"
from curate.cli.main import main
main()
"""


def records() -> list[object]:
    words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty", "knoll"]
    draw = random.Random(5)
    rows: list[object] = [
        chat(" ".join(draw.choices(words, k=14)) + f" number {n}?", f"it is {n}", id=f"r{n}", label=f"l{n % 3}")
        for n in range(60)
    ]
    rows += [chat(LONG, "sunny", id="keep"), chat(LONG.removesuffix(" today"), "sunny", id="drop")]
    rows += [chat(LONG.upper(), "sunny", id="shouted"), chat(ITEM, "280 miles", id="leak"), b'{"broken": ']
    rows += [chat("write to jane.roe@example.org for the keys please", "done", id="mail")]
    return [*rows, chat("say <|im_start|> to me", "no", id="control"), chat("a question", "I told   you ", id="space")]


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    """A recipe with every stage that does not need the embedder."""
    base = folder / "base"
    if not base.exists():
        chat_format("chatml").tokenizer.save_pretrained(str(base))
        (base / "config.json").write_text('{"model_type": "llama"}')
        (folder / "suite.jsonl").write_text(json.dumps({"id": "q1", "question": ITEM, "answer": "280"}) + "\n")
    return {
        "base": "base",
        "validate": {"fix": True},
        "screens": {"personal_data": {"action": "redact"}, "repetition": SPOKEN},
        "decontaminate": {"against": [{"path": "suite.jsonl"}]},
        "balance": {"rules": [{"by": "length", "length_in": "tokens", "edges": [60, 120], "cap": 40}]},
        "mix": {"unit": "tokens"},
        **more,
    }


def contents(folder: Path) -> dict[str, bytes]:
    """All that a reader of the dataset sees; the manifest without when and where."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != KEPT_FOLDER}
    manifest = json.loads(found.pop("manifest.json"))
    manifest.pop("environment")
    return {**found, "manifest": json.dumps(manifest).encode()}


def kept_files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / KEPT_FOLDER).rglob("*") if path.is_file())


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """What was kept from before, as the builds since the last call told it."""

    def told() -> list[str]:
        lines = capsys.readouterr().err.splitlines()
        return [line.removesuffix(": kept from before") for line in lines if line.endswith(": kept from before")]

    return told


POINTS = [
    ("curate.table.row_table:RowTable.append", []),
    ("curate.validate.rules.template:template_faults", []),
    ("curate.dedup.exact:_one_of_each", [CHECK]),
    ("curate.screen.columns:_measure_all", [CHECK]),
    ("curate.screen.stage:_reasons", [CHECK, BESIDE, SCREENS]),
    ("curate.core.text.leaks.search:find_contamination", [CHECK, BESIDE, SCREENS]),
    ("curate.dedup.near:find_clusters", [CHECK, BESIDE, SCREENS, SUITES]),
    ("curate.dedup.near:_result", [CHECK, BESIDE, SCREENS, SUITES]),
    ("curate.compose.balance:balance_rows", [CHECK, BESIDE, SCREENS, SUITES, NEAR, BALANCE]),
    ("curate.compose.mix:mix_rows", KEPT),
    ("curate.compose.sides:split_rows", KEPT),
    ("curate.report.html:render_report", KEPT),
    ("curate.build.dataset_folder:write_manifest", KEPT),
    ("curate.build.dataset_folder:_remove_old", KEPT),
    ("pathlib:Path.replace", []),
    ("os:fsync", []),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The dataset of a build that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return contents(build(write_recipe(folder, records(), settings(folder))).output)


def kill(recipe: Path, point: str) -> None:
    command = [sys.executable, "-c", DRIVER, point, "build", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("point", "done"), POINTS, ids=[point for point, _ in POINTS])
def test_a_build_that_was_killed_goes_on(
    tmp_path: Path, whole: dict[str, bytes], said: Callable[[], list[str]], point: str, done: list[str]
) -> None:
    recipe = write_recipe(tmp_path, records(), settings(tmp_path))
    kill(recipe, point)
    out = tmp_path / "out"
    assert not (out / "manifest.json").exists()
    assert not (out / "train.jsonl").exists()
    build(recipe)
    assert said() == done
    assert contents(out) == whole
    assert not any(name.endswith(".tmp") for name in kept_files(out))
    verify_dataset(out)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["curate.dedup.near:_result", "curate.build.dataset_folder:write_manifest"])
def test_a_killed_build_leaves_the_dataset_that_was_there(tmp_path: Path, point: str) -> None:
    recipe = write_recipe(tmp_path, records(), settings(tmp_path))
    before = contents(build(recipe).output)
    write_recipe(tmp_path, [*records(), chat("one more question for you", "yes")], settings(tmp_path))
    kill(recipe, point)
    left = tmp_path / "out"
    verify_dataset(left)
    assert {name: left.joinpath(name).read_bytes() for name in before if name != "manifest"} == {
        name: data for name, data in before.items() if name != "manifest"
    }


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"seed": 7}, [CHECK, BESIDE, SCREENS, SUITES]),  # near draws its hash functions from it
        ({"split": {"seed": 7}}, KEPT),
        ({"balance": {"rules": [{"by": "label", "cap": 15}]}}, [CHECK, BESIDE, SCREENS, SUITES, NEAR]),
        ({"dedup": {"threshold": 0.9}}, [CHECK, BESIDE, SCREENS, SUITES]),
        ({"dedup": {"threshold": 0.72}}, [CHECK, BESIDE, SCREENS, SUITES, BALANCE, MIX]),  # the same rows, decided anew
        ({"decontaminate": {"against": [{"path": "suite.jsonl"}], "action": "drop"}}, [CHECK, BESIDE, SCREENS, NEAR]),
        (
            {
                "screens": {
                    "personal_data": {"action": "redact"},
                    "repetition": {"on": "conversation", "threshold": 0.9},
                }
            },
            KEPT,
        ),
        ({"validate": {"fix": False}}, []),
    ],
)
def test_a_changed_recipe_redoes_what_depends_on_the_change(
    tmp_path: Path, said: Callable[[], list[str]], more: dict[str, Any], expected: list[str]
) -> None:
    build(write_recipe(tmp_path, records(), settings(tmp_path)))
    assert said() == []
    recipe = write_recipe(tmp_path, records(), settings(tmp_path, **more))
    changed = contents(build(recipe).output)
    told = said()
    assert set(expected) <= set(told)
    assert {CHECK, SUITES, NEAR} & set(told) == {CHECK, SUITES, NEAR} & set(expected)
    assert contents(build(recipe, output=tmp_path / "fresh").output) == changed


def test_duplicates_in_meaning_and_indexes_are_kept_too(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    pytest.importorskip("sentence_transformers")
    old = make_rows([chat("the first question of an earlier dataset about llamas", "yes", id="old")])
    create_index(tmp_path / "seen")
    add_rows(tmp_path / "seen", "v1", old)
    dedup = {"semantic": {}, "against": [{"name": "seen", "path": "seen"}]}
    again = chat("the first question of an earlier dataset about llamas", "no", id="again")
    recipe = write_recipe(tmp_path, [*records(), again], {"dedup": dedup})
    first = contents(build(recipe).output)
    reasons = {json.loads(line)["reason"] for line in first["rejected.jsonl"].splitlines()}
    assert "in-earlier-dataset" in reasons
    (tmp_path / "out" / "manifest.json").unlink()
    assert contents(build(recipe).output) == first
    assert said() == ["index", "near", "semantic"]
    write_recipe(tmp_path, [*records(), again], {"dedup": {**dedup, "semantic": {"threshold": 0.9}}})
    build(recipe)
    assert said() == ["index", "near"]
    add_rows(tmp_path / "seen", "v2", make_rows([chat("another question that nobody asked before", "x", id="v2")]))
    build(recipe)
    assert said() == ["near", "semantic"]  # the index is asked again, and leaves the same rows


def test_rows_that_repeat_an_earlier_dataset_are_kept_too(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    """They go because of rows that are in no table: an earlier dataset's, beside those that repeat each other."""
    old = [chat(LONG, "rainy", id="old"), chat("a question of an earlier dataset about llamas", id="older")]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in old))
    again = [chat("a question of an earlier dataset about llamas", "no", id="same"), *records()]
    twice = [chat("an id that two rows have", answer, id="r1") for answer in "ab"]
    near = [chat(f"who of us is next in the queue at the counter of this shop {n}", "me", id=f"n{n}") for n in "xy"]
    dedup = {"against": [{"name": "v1", "path": "old.jsonl"}], "threshold": 0.6}
    recipe = write_recipe(tmp_path, [*again, *twice, *near], {"dedup": dedup, "guards": {"max_cluster_share": 1}})
    first = contents(build(recipe).output)
    found = [json.loads(line) for line in first["rejected.jsonl"].splitlines()]
    assert {item["reason"] for item in found if item["stage"] == "near"} == {"in-earlier-dataset", "near-duplicate"}
    assert {item["because_of"]["id"] for item in found if item["reason"] == "in-earlier-dataset"} == {"old", "older"}
    (tmp_path / "out" / "manifest.json").unlink()
    assert contents(build(recipe).output) == first
    assert said() == ["near"]


def make_rows(found: list[dict[str, Any]]) -> list[Row]:
    return [msgspec.convert(item, Row) for item in found]


def test_force_redoes_everything(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    recipe = write_recipe(tmp_path, records(), settings(tmp_path))
    first = contents(build(recipe).output)
    again = build(recipe, force=True)
    assert said() == []
    assert contents(again.output) == first


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "other", "folder", "flipped"])
def test_damaged_files_cost_time_alone(
    tmp_path: Path, whole: dict[str, bytes], said: Callable[[], list[str]], damage: str
) -> None:
    recipe = write_recipe(tmp_path, records(), settings(tmp_path))
    out = build(recipe).output
    (out / "manifest.json").unlink()
    for path in [path for path in (out / KEPT_FOLDER).rglob("*") if path.is_file()]:
        data = path.read_bytes()
        made = {"empty": b"", "cut": data[:-3], "garbage": b"\xff\x00" * 50, "flipped": data[:-1] + b"\x07"}
        if damage == "folder":
            path.unlink()
            path.mkdir()
        elif damage == "other":
            path.write_bytes(b"sha256:0 sha256:0\n" + data.partition(b"\n")[2])
        else:
            path.write_bytes(made[damage])
    build(recipe)
    assert {CHECK, SUITES, NEAR, BALANCE, MIX} & set(said()) == set()
    assert contents(out) == whole


def test_nothing_grows_and_nothing_of_a_stage_that_is_gone_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(write_recipe(tmp_path, records(), settings(tmp_path)))
    names = kept_files(out)
    assert {"near.kept", "decontaminate.kept", "template-check.kept"} <= set(names)
    (out / KEPT_FOLDER / ".near.kept.abc.tmp").write_text("of a writer that was killed")
    (out / KEPT_FOLDER / "screens" / ".repetition.parquet.abc.tmp").write_text("another")
    build(write_recipe(tmp_path, records(), settings(tmp_path, dedup={"threshold": 0.8})))
    assert kept_files(out) == names
    other = {"personal_data": {"action": "redact"}, "repetition": {"on": "answer"}}
    build(write_recipe(tmp_path, records(), settings(tmp_path, screens=other)))
    assert len(kept_files(out)) == len(names)
    build(write_recipe(tmp_path, records()))
    assert kept_files(out) == ["near.kept"]


def test_no_text_that_the_dataset_does_not_show_is_kept(tmp_path: Path) -> None:
    out = build(write_recipe(tmp_path, records(), settings(tmp_path))).output
    for path in (out / KEPT_FOLDER).rglob("*"):
        assert path.is_dir() or b"jane.roe" not in path.read_bytes()


def test_what_a_function_makes_of_rows_is_looked_at(tmp_path: Path, said: Callable[[], list[str]]) -> None:
    """An adapter may read what no digest knows of: the rows that it made are what counts."""
    (tmp_path / "a.py").write_text(
        "from pathlib import Path\n"
        "def f(record):\n"
        "    mark = Path(__file__).with_name('mark').read_text()\n"
        "    record['messages'][0]['content'] += mark\n"
        "    return record\n"
    )
    (tmp_path / "mark").write_text(" one")
    source = {"sources": [{"name": "rows", "path": "rows.jsonl", "adapter": "a.py:f"}]}
    rows = [chat(f"question {n} about something else entirely", "yes", id=str(n)) for n in range(20)]
    recipe = write_recipe(tmp_path, rows, source)
    (build(recipe).output / "manifest.json").unlink()
    build(recipe)
    assert said() == ["near"]
    (tmp_path / "out" / "manifest.json").unlink()
    (tmp_path / "mark").write_text(" two")
    build(recipe)
    assert said() == []


def test_a_folder_that_cannot_be_written_to_costs_time_alone(
    tmp_path: Path, whole: dict[str, bytes], run_cli: Any
) -> None:
    recipe = write_recipe(tmp_path, records(), settings(tmp_path))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / KEPT_FOLDER).write_text("a file in the way")
    done = run_cli("curate", "build", recipe)
    assert done.returncode == 0, done.stderr
    assert "near: can't be kept for a later build" in done.stderr
    (tmp_path / "out" / KEPT_FOLDER).unlink()
    assert contents(tmp_path / "out") == whole


@pytest.mark.slow
def test_the_same_bytes_for_one_process_and_for_many(tmp_path: Path, run_cli: Any) -> None:
    """Enough bytes that reading takes processes; and what one build kept is good for the other."""
    rows = [chat(f"{n} " * 3000, f"it is {n}", id=f"r{n}") for n in range(1600)]
    recipe = write_recipe(tmp_path, [*rows, *rows[:100]])
    assert (tmp_path / "rows.jsonl").stat().st_size > 16 << 20
    alone = {min(os.sched_getaffinity(0))}
    one = run_cli("curate", "build", recipe, preexec_fn=lambda: os.sched_setaffinity(0, alone))
    assert one.returncode == 0, one.stderr
    first = contents(tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    many = run_cli("curate", "build", recipe)
    assert "near: kept from before" in many.stderr
    assert contents(tmp_path / "out") == first
    assert run_cli("curate", "build", recipe, "--force").returncode == 0
    assert contents(tmp_path / "out") == first
