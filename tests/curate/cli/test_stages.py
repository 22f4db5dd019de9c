"""The recipe's further stages in a build, the guards that stop it, and each stage as a command of its own."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.build import one_stage
from curate.build.build import build
from curate.build.dataset_folder import verify_dataset
from curate.core.errors import DataError
from curate.core.files import decode_lines
from curate.core.manifest import FactCount, Manifest
from curate.core.rows.row import Row
from curate.core.text.leaks.evidence import Evidence
from curate.report.statistics import measure
from curate.table.rejections import Rejection
from curate.table.ties import merge_ties
from tests.curate.row_makers import chat, write_recipe

Run = Callable[..., subprocess.CompletedProcess[str]]
KEY = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
ITEM = (
    "A farmer has seventeen sheep and buys five more on Monday, then sells nine; how many sheep does the farmer have?"
)
WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "haven",
    "inlet",
    "jetty",
    "knoll",
    "lagoon",
    "marsh",
    "north",
    "ocean",
    "prairie",
]


def question(number: int) -> str:
    """Texts that share few words in a row with each other."""
    picked = random.Random(number).sample(WORDS, 8)
    return f"{' '.join(picked)} {number}?"


def plain_rows(count: int = 80) -> list[object]:
    return [
        chat(question(n), f"answer {n} about {question(n + 500)}", id=f"r{n}", label=f"l{n % 2}") for n in range(count)
    ]


def test_ids_with_personal_data_are_in_no_report(tmp_path: Path) -> None:
    asked = "how long does it take until the parcel that I ordered on Monday is here"
    rows = [chat(f"question {n}", f"answer {n}", id=f"row-{n}") for n in range(20)]
    rows += [chat(asked, "two days", id="jane.doe@bigcorp.com"), chat(asked, "two days", id="john.roe@bigcorp.com")]
    rows += [
        chat("which of them", "this", id="jim.poe@bigcorp.com"),
        chat("which of them", "that", id="joe.coe@bigcorp.com"),
    ]
    rows += [
        chat(ITEM, "thirteen", id="jill.loe@bigcorp.com"),
        chat("Who wrote the play Hamlet?", "William Shakespeare.", id="jack.moe@bigcorp.com"),
        chat("Who painted the Night Watch?", "Rembrandt van Rijn.", id="fact"),
    ]
    (tmp_path / "suite.jsonl").write_text(json.dumps({"id": "q1", "question": ITEM, "answer": "13"}) + "\n")
    recipe = {
        "screens": {"personal_data": {"action": "redact"}},
        "decontaminate": {"against": [{"path": "suite.jsonl"}]},
        "guards": {"max_cluster_share": 1, "min_cluster_rows": 2},
    }
    built = build(write_recipe(tmp_path, rows, recipe))
    told = [path for path in built.output.iterdir() if path.is_file() and path.stem not in ("train", "val", "test")]
    assert {"contamination.jsonl", "manifest.json", "card.md", "report.html", "rejected.jsonl"} < {p.name for p in told}
    assert [path.name for path in told if b"bigcorp" in path.read_bytes()] == []
    (repeated, leak) = decode_lines(built.output / "rejected.jsonl", Rejection)
    (evidence,) = decode_lines(built.output / "contamination.jsonl", Evidence)
    assert repeated.because_of is not None
    assert evidence.row == leak.id
    assert built.manifest.fit == FactCount(looked_at=25, facts=2, share=0.08, listed=["fact"])
    assert sum("are duplicates of one, [" in text for text in built.manifest.warnings) == 1
    clusters = pl.read_parquet(built.output / "clusters.parquet")
    assert repeated.id in clusters["id"].to_list()
    assert not clusters.select(pl.any_horizontal(pl.col("cluster", "id", "kept").str.contains("bigcorp")).any()).item()
    assert len(built.manifest.conflicts) == 1


def all_text(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def rows_of(folder: Path, side: str) -> list[Row]:
    return list(decode_lines(folder / f"{side}.jsonl", Row))


def test_every_stage_of_a_recipe_leaves_an_account(tmp_path: Path) -> None:
    (tmp_path / "suite.jsonl").write_text(json.dumps({"id": "q1", "question": ITEM, "answer": "13"}) + "\n")
    rows = [
        *plain_rows(),
        chat(ITEM, "thirteen", id="leak", label="l0"),
        chat("my token please", f"it is {KEY}", id="secret", label="l0"),
        chat("mail me", "write to jane.doe@bigcorp.com today", id="mail", label="l0"),
        *[chat(question(1000 + n), f"made up {n}", id=f"s{n}", origin="synthetic", label="l1") for n in range(40)],
    ]
    recipe = {
        "screens": {"secrets": {"action": "reject"}, "personal_data": {"action": "redact"}},
        "decontaminate": {"against": [{"path": "suite.jsonl"}]},
        "balance": {"rules": [{"by": "label", "cap": 50}]},
        "mix": {"synthetic": 0.2, "epochs": {"rows": 1.5}},
        "canaries": {"count": 2, "copies": [1, 3]},
        "dedup": {"threshold": 0.95},
    }
    built = build(write_recipe(tmp_path, rows, recipe))
    manifest, out = built.manifest, built.output
    verify_dataset(out)
    names = [stage.name for stage in manifest.stages]
    assert names == ["read", "validate", "exact", "screen", "decontaminate", "near", "balance", "mix"]
    stages = {stage.name: stage for stage in manifest.stages}
    assert stages["screen"].reasons == {"secrets": 1}
    assert stages["decontaminate"].reasons == {"quarantined": 1}
    assert set(manifest.reports) == {"screen", "decontaminate", "balance", "mix"}
    rejected = list(decode_lines(out / "rejected.jsonl", Rejection))
    sides = {side: rows_of(out, side) for side in ("train", "val", "test")}
    added = manifest.added
    assert added
    assert sum(map(len, sides.values())) - sum(added.values()) + len(rejected) == len(rows)
    assert added["canaries"] == 4
    assert added["repeats"] > 0
    assert not [
        row for side in ("val", "test") for row in sides[side] if "repeat_of" in row.meta or "canary" in row.meta
    ]
    assert {"suite"} <= {item.kind for item in manifest.inputs}
    touched = [json.loads(line) for line in (out / "touched_items.jsonl").read_text().splitlines()]
    assert [item["item"] for item in touched] == ["q1"]
    text = all_text(out)
    assert KEY.encode() not in text
    assert b"jane.doe@" not in text
    secret = next(item for item in rejected if item.id == "secret")
    assert secret.detail.endswith("raw is redacted")
    assert json.loads(secret.raw)["id"] == "secret"
    card = (out / "card.md").read_text()
    for head in ("## Screens", "## Decontamination", "## Balance", "## Mix", "## Canaries"):
        assert head in card
    before = out.joinpath("train.jsonl").read_bytes()
    assert build(tmp_path / "recipe.yaml").up_to_date
    assert build(tmp_path / "recipe.yaml", force=True).manifest.digest == manifest.digest
    assert out.joinpath("train.jsonl").read_bytes() == before
    (tmp_path / "suite.jsonl").write_text(
        json.dumps({"id": "q2", "question": "something else entirely, is it?"}) + "\n"
    )
    assert not build(tmp_path / "recipe.yaml").up_to_date


def test_secrets_of_rows_that_other_stages_reject_are_in_no_file(tmp_path: Path) -> None:
    broken = json.dumps(chat("a", f"key {KEY}")).encode()[:-3]
    rows = [*plain_rows(20), broken, chat("", f"empty prompt {KEY}"), chat("in meta", "", note={"deep": [KEY]})]
    built = build(write_recipe(tmp_path, rows, {"screens": {"secrets": {"action": "reject"}}}))
    assert built.manifest.stages[0].rejected == 1
    assert KEY.encode() not in all_text(built.output)
    reported = build(write_recipe(tmp_path, rows, {"screens": {"secrets": {"action": "report"}}}))
    assert KEY.encode() in (reported.output / "rejected.jsonl").read_bytes()


def test_files_of_stages_that_are_gone_are_removed(tmp_path: Path) -> None:
    out = build(write_recipe(tmp_path, plain_rows(), {"canaries": {"count": 1}})).output
    assert (out / "canaries.jsonl").is_file()
    build(write_recipe(tmp_path, plain_rows()))
    assert not (out / "canaries.jsonl").exists()


def test_a_source_that_loses_most_rows_stops_the_build_unless_allowed(tmp_path: Path) -> None:
    rows = [*plain_rows(60), *[chat("", f"nothing asked {n}") for n in range(70)]]
    with pytest.raises(DataError, match=r"source rows loses 70 of 130 rows \(54%\): validate: empty-turn 70"):
        build(write_recipe(tmp_path, rows))
    # Only what a later build can go on from is kept, in a hidden folder.
    assert not [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")]
    built = build(write_recipe(tmp_path, rows, {"guards": {"max_source_loss": 0.6}}))
    assert any("loses 70 of 130" in text for text in built.warnings)


def test_a_large_cluster_stops_the_build_unless_allowed(tmp_path: Path) -> None:
    rows = [*plain_rows(80), *[chat("the same text again", "yes") for _ in range(60)]]
    with pytest.raises(DataError, match=r"60 rows .* are duplicates of one"):
        build(write_recipe(tmp_path, rows))
    assert build(write_recipe(tmp_path, rows, {"guards": {"max_cluster_share": 0.5}})).warnings


def test_a_stage_that_drops_everything_is_named(tmp_path: Path) -> None:
    recipe = write_recipe(
        tmp_path, plain_rows(5), {"screens": {"low_information": {"action": "reject", "min_words": 99}}}
    )
    with pytest.raises(DataError, match="no row is left after stage screen"):
        build(recipe)


def test_filters_that_leave_out_nothing_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "suite.jsonl").write_text(json.dumps({"question": ITEM}) + "\n")
    recipe = {
        "screens": {"secrets": {"action": "reject"}, "personal_data": {"action": "report"}},
        "decontaminate": {"against": [{"path": "suite.jsonl"}]},
        "dedup": {"threshold": 0.99},
        "balance": {"rules": [{"by": "label", "cap": 900}]},
    }
    idle = (
        "these filters leave out nothing: screen secrets, decontaminate, near, balance; do they look where they should?"
    )
    assert idle in build(write_recipe(tmp_path, plain_rows(120), recipe)).warnings
    assert not [text for text in build(write_recipe(tmp_path, plain_rows(60), recipe)).warnings if "filters" in text]
    caught = [*plain_rows(120), chat("a token", f"it is {KEY}"), chat(ITEM, "13")]
    assert not [text for text in build(write_recipe(tmp_path, caught, recipe)).warnings if "secrets" in text]
    silent = {"dedup": {"threshold": 0.99}, "guards": {"min_rows": 200}}
    assert not [text for text in build(write_recipe(tmp_path, plain_rows(120), silent)).warnings if "filters" in text]


def test_one_class_is_warned_of(tmp_path: Path) -> None:
    rows = [chat(question(n), f"answer {n}", label="same") for n in range(40)]
    assert any("same" in text for text in build(write_recipe(tmp_path, rows)).warnings)


@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), max_size=3))
@settings(max_examples=60)
def test_merged_ties_hold_together_what_any_tie_does(several: list[dict[str, str]]) -> None:
    merged = merge_ties(*several)
    assert set(merged) == {row for ties in several for row in ties}
    for ties in several:
        for one in ties:
            for other in ties:
                if ties[one] == ties[other]:
                    assert merged[one] == merged[other]
    if not any(several):
        assert merged == {}


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.slow
def test_each_stage_runs_alone(tmp_path: Path, run_cli: Run) -> None:
    rows = write_rows(
        tmp_path / "rows.jsonl",
        [*plain_rows(30), chat("", "x"), *[chat("twice said", "yes", id=f"d{n}") for n in range(2)],
         chat("secret", KEY, id="key"), chat(ITEM, "13", id="leak")],
    )  # fmt: skip
    suite = write_rows(tmp_path / "suite.jsonl", [{"id": "q1", "question": ITEM}])
    cases: list[tuple[list[object], int, str]] = [
        (["validate", rows], 1, "empty-turn 1"),
        (["dedup", rows, "--threshold", "0.95"], 1, "exact-duplicate 1"),
        (["decontaminate", rows, "--against", suite], 1, "quarantined 1"),
        (["decontaminate", rows, "--against", suite, "--output", tmp_path / "clean"], 1, "quarantined 1"),
        (["decontaminate", rows, "--against", suite, "--action", "report"], 1, "touched"),
        (["screen", rows, "--reject", "secrets"], 1, "secrets 1"),
        (["balance", rows, "--by", "label", "--cap", "10"], 0, "over-cap 10"),
        (["mix", rows, "--size", "20"], 0, "over-size"),
        (["split", rows.with_name("unique.jsonl")], 0, "train"),
        (["stats", rows], 0, "for a domain"),
    ]
    write_rows(rows.with_name("unique.jsonl"), plain_rows(30))
    for arguments, code, shown in cases:
        result = run_cli("curate", *arguments)
        assert result.returncode == code, (arguments, result.stderr)
        assert shown in result.stdout, arguments


def counted_alone(run_cli: Run, *arguments: object) -> dict[str, Any]:
    """What a command counts, by stage."""
    result = run_cli("curate", *arguments, "--json")
    assert result.returncode in (0, 1), result.stderr
    return {stage["name"]: stage for stage in json.loads(result.stdout)["stages"]}


def counted(manifest: Manifest) -> dict[str, Any]:
    return {stage.name: msgspec.to_builtins(stage) for stage in manifest.stages}


def reasons(path: Path) -> set[tuple[object, ...]]:
    return {(one.id, one.stage, one.reason, one.because_of) for one in decode_lines(path, Rejection)}


def repeating_rows() -> list[object]:
    asked = "how long does it take until the parcel that I ordered on Monday is here"
    rows = [
        chat(asked, "two days", id="kept"),
        chat(asked.upper(), "two  days", id="exact"),
        chat(f"{asked} please", "two days", id="near"),
        chat(question(7), "a week", id="conflict"),
        chat(question(3), "another answer", id="r5"),
    ]
    return [*plain_rows(40), *rows, b"{broken", b"[1]"]


def test_a_build_and_dedup_count_the_same_in_one_file(tmp_path: Path, run_cli: Run) -> None:
    recipe = write_recipe(tmp_path, repeating_rows(), {"dedup": {"threshold": 0.6}})
    built = counted(build(recipe).manifest)
    assert [built[name]["rejected"] for name in ("read", "validate", "exact", "near")] == [2, 0, 2, 1]
    alone = counted_alone(run_cli, "dedup", tmp_path / "rows.jsonl", "--threshold", "0.6")
    assert alone == {name: built[name] for name in ("read", "exact", "near")}
    exact = counted_alone(run_cli, "dedup", tmp_path / "rows.jsonl", "--exact", "--recipe", recipe)
    assert exact == {name: built[name] for name in ("read", "exact")}


def test_a_build_counts_what_the_commands_of_its_stages_count_one_after_the_other(tmp_path: Path, run_cli: Run) -> None:
    faulty = [chat("", "x", id="empty"), chat("a \ufffd", "y", id="lost"), chat("z  ", "{{name}}", id="hole")]
    held = [chat(ITEM, "13", id="leak"), chat("a token", f"it is {KEY}", id="key")]
    write_rows(tmp_path / "suite.jsonl", [{"id": "q1", "question": ITEM}])
    settings_ = {
        "validate": {"fix": True},
        "screens": {"secrets": {"action": "reject"}},
        "decontaminate": {"against": [{"path": "suite.jsonl"}]},
        "dedup": {"threshold": 0.6},
        "split": {"shares": {"train": 1, "val": 0, "test": 0}},
    }
    recipe = write_recipe(tmp_path, [*repeating_rows(), *faulty, *held], settings_)
    built = build(recipe)
    counts = counted(built.manifest)
    assert [stage["rejected"] for stage in counts.values()] == [2, 2, 2, 1, 1, 1]
    assert counts["validate"]["repairs"] == {"trailing-whitespace": 1}
    assert counts["validate"]["warnings"] == {"lost-characters": 1}
    left, gone = tmp_path / "rows.jsonl", set[tuple[object, ...]]()
    commands = {"validate": [], "exact": ["--exact"], "screen": [], "decontaminate": [], "near": []}
    for name, more in commands.items():
        command, out = {"exact": "dedup", "near": "dedup"}.get(name, name), tmp_path / f"after {name}"
        found = counted_alone(run_cli, command, left, *more, "--recipe", recipe, "--output", out)
        assert found[name] == counts[name]
        assert name != "validate" or found["read"] == counts["read"]
        left, gone = out / "kept.jsonl", gone | reasons(out / "rejected.jsonl")
    assert gone == reasons(built.output / "rejected.jsonl")
    kept, train = ({row.id: row.messages for row in decode_lines(path, Row)}
                   for path in (left, built.output / "train.jsonl"))  # fmt: skip
    assert kept == train


def test_a_stage_reads_standard_input_and_writes_what_it_keeps(tmp_path: Path, run_cli: Run) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in [*plain_rows(4), chat("", "x")])
    arguments = ["validate", "-", "--output", tmp_path / "out"]
    dry = run_cli("curate", *arguments, "--dry-run", input=lines)
    assert dry.returncode == 0, dry.stderr
    assert not (tmp_path / "out").exists()
    result = run_cli("curate", *arguments, "--json", input=lines)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["kept"] == 4
    assert len((tmp_path / "out" / "kept.jsonl").read_text().splitlines()) == 4
    assert "empty-turn" in (tmp_path / "out" / "rejected.jsonl").read_text()


def test_diff_tells_added_removed_changed_and_moved_rows(tmp_path: Path, run_cli: Run) -> None:
    old = write_rows(tmp_path / "old.jsonl", [chat("one", id="1"), chat("two", id="2"), chat("three", id="3")])
    new = write_rows(
        tmp_path / "new.jsonl", [chat("one", id="1"), chat("2!", id="2"), chat("three", id="4"), chat("five", id="5")]
    )
    assert run_cli("curate", "diff", old, old).returncode == 0
    result = run_cli("curate", "diff", old, new, "--json")
    assert result.returncode == 1, result.stderr
    found = json.loads(result.stdout)
    assert (found["added"], found["removed"], found["changed"], found["renamed"]) == (["5"], [], ["2"], ["3 -> 4"])
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = build(write_recipe(tmp_path / "a", plain_rows())).output
    two = build(write_recipe(tmp_path / "b", plain_rows(), {"seed": 9})).output
    moved = json.loads(run_cli("curate", "diff", one, two, "--json").stdout)
    assert moved["moved"]
    assert [moved[name] for name in ("added", "removed", "changed")] == [[], [], []]


def test_options_that_make_no_sense_are_refused(tmp_path: Path, run_cli: Run) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", plain_rows(3))
    for arguments in (["dedup", rows, "--threshold", "7"], ["balance", rows], ["decontaminate", rows], ["mix"]):
        result = run_cli("curate", *arguments)
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr


def test_stats_says_why_nothing_could_be_read(tmp_path: Path, run_cli: Run) -> None:
    unknown = {"riddle": "What sings at night?", "told": "A nightingale."}
    rows = write_rows(tmp_path / "rows.jsonl", [unknown, unknown, 3])
    shown = run_cli("curate", "stats", rows)
    assert shown.returncode == 1
    assert "1 file in no known format" in shown.stdout
    assert f"unknown-format 2: {rows}:1: the keys riddle, told" in shown.stdout
    assert "`map: {prompt: riddle, answer: told}`" in shown.stdout
    assert "more to reach" not in shown.stdout


def test_what_could_not_be_read_is_counted_by_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.jsonl", [{"riddle": "What sings at night?", "told": "A nightingale."}, {"x": 1}, 3])
    found = measure(one_stage.read_rows(["rows.jsonl"], {"dedup": {"on": "conversation"}}))
    assert (found["rows"], found["unreadable"], found["formats"], found["advice"]) == (0, 3, {"unknown": 1}, [])
    assert [(why["reason"], why["records"]) for why in found["unread"]] == [("unknown-format", 2), ("not-an-object", 1)]
