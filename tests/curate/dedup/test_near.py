"""Duplicates against brute force: what is dropped repeats what is kept, and nothing else is dropped."""

import itertools
import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.build.run_stages import check_account
from curate.build.stages import DUPLICATES, all_makers
from curate.core.errors import DataError
from curate.core.parquet import parquet_bytes
from curate.core.rows.row import Message, Row, encode_row
from curate.core.rows.row_text import text_key
from curate.core.sources.records import find_inputs
from curate.dedup.cluster_table import ClusterTable, expected_recall, recall_curve
from curate.dedup.exact import ExactDuplicates
from curate.dedup.minhash import Banding, sketch
from curate.dedup.near import NearDuplicates
from curate.dedup.which_stays import in_order, ranking
from curate.read.chunks import reading
from curate.recipe.recipe import Dedup
from curate.table.rejections import Because, Rejections
from curate.table.selection import RowSelection
from curate.table.stage import Context, Stage, StageResult
from tests.curate.row_makers import make_context, make_row, select

pytestmark = pytest.mark.usefixtures("each_way_to_compare")
WORDS = [f"w{n}" for n in range(40)]


def similarity(a: str, b: str, ngram: int = 3) -> float:
    first, second = (
        {tuple(words[at : at + ngram]) for at in range(len(words) - ngram + 1)} for words in (a.split(), b.split())
    )
    return len(first & second) / len(first | second) if first | second else 0.0


def noisy_texts(seed: int, count: int) -> list[str]:
    """Texts of which many are edited copies of others, with similarities all over the range."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(count // 3)]
    while len(texts) < count:
        words = draw.choice(texts).split()
        for _ in range(draw.randint(0, 3)):
            words[draw.randrange(len(words))] = draw.choice(WORDS)
        texts.append(" ".join(words))
    return texts


def by_id(rows: RowSelection) -> dict[str, Row]:
    return {row.id: row for row in rows.rows}


def run(stage: Stage, rows: RowSelection, context: Context) -> StageResult:
    result = stage.run(rows, context, {})
    check_account(stage.name, rows, result)
    return result


def run_near(made: list[Row], /, **dedup: Any) -> StageResult:
    return run(NearDuplicates(), select(made), make_context(dedup=dedup))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [0.3, 0.7, 1.0])
def test_near_duplicates_against_all_pairs(seed: int, threshold: float) -> None:
    texts = list(dict.fromkeys(noisy_texts(seed, 150)))
    rows = [make_row(text, "same", id=str(n)) for n, text in enumerate(texts)]
    result = run_near(rows, threshold=threshold, bands=128, rows=1)
    kept = by_id(result.kept)
    for rejection in result.rejections:
        assert rejection.because_of is not None
        assert rejection.id is not None
        text, instead = texts[int(rejection.id)], kept[rejection.because_of.id].messages[0].text
        exact = similarity(text, instead)
        assert exact >= threshold
        assert rejection.because_of.similarity == pytest.approx(exact, abs=1e-4)
    # With 128 bands of one row a pair at 0.3 is missed once in 10^19, so no similar pair may be left.
    for a, b in itertools.combinations(kept.values(), 2):
        assert similarity(a.messages[0].text, b.messages[0].text) < threshold


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=7).map(" ".join), max_size=25), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_does_not_matter(texts: list[str], shuffle: random.Random) -> None:
    rows = [make_row(text, f"answer {n % 2}", id=str(n)) for n, text in enumerate(texts)]
    shuffled = rows.copy()
    shuffle.shuffle(shuffled)
    for stage in (ExactDuplicates(), NearDuplicates()):
        one = run(stage, select(rows), make_context())
        other = run(stage, select(shuffled), make_context())
        assert by_id(one.kept) == by_id(other.kept)
        assert {(r.id, r.reason, r.because_of) for r in one.rejections} == {
            (r.id, r.reason, r.because_of) for r in other.rejections
        }
        assert one.ties == other.ties


def test_a_chain_keeps_both_ends_and_ties_them() -> None:
    words = [f"c{n}" for n in range(30)]
    ends = [" ".join(words[:25]), " ".join(words[5:])]
    middle = " ".join(words)
    assert similarity(ends[0], ends[1]) < 0.7 <= min(similarity(middle, end) for end in ends)
    # The middle is longest: it is kept and both ends go.
    result = run_near([make_row(text, id=text[:3]) for text in (*ends, middle)])
    assert [row.messages[0].text for row in result.kept.rows] == [middle]
    # The shortest are preferred: the ends stay, are not similar to each other, and are tied through the middle.
    result = run_near([make_row(text, id=text[:3] + text[-3:]) for text in (*ends, middle)], prefer=["shortest"])
    assert {row.messages[0].text for row in result.kept.rows} == set(ends)
    assert len(set(result.ties.values())) == 1
    assert len(result.ties) == 2


@pytest.mark.parametrize("seed", range(5))
def test_gold_never_goes_for_synthetic(seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        make_row(text, "same", id=str(n), origin=draw.choice(["gold", "synthetic"]))
        for n, text in enumerate(noisy_texts(seed, 150))
    ]
    for stage in (ExactDuplicates(), NearDuplicates()):
        result = run(stage, select(rows), make_context())
        origins = {row.id: row.origin for row in rows}
        for rejection in result.rejections:
            assert rejection.because_of is not None
            assert rejection.id is not None
            assert origins[rejection.id] == "synthetic" or origins[rejection.because_of.id] == "gold"


def test_like_prompts_with_different_answers_are_a_conflict_and_stay() -> None:
    text = " ".join(WORDS[:20])
    rows = [make_row(text, "yes", id="a"), make_row(text, "no", id="b"), make_row(f"{text} w1", "yes", id="c")]
    result = run_near(rows, prefer=["shortest"])
    assert set(by_id(result.kept)) == {"a", "b"}
    assert result.conflicts == [["a", "b"]]
    assert result.ties == {"a": "a", "b": "a"}
    assert result.counts["alike"] == {"other answers": 1, "other numbers": 0}
    assert result.report["conflicts"] == [{"rows": ["a", "b"], "similarity": 1.0, "differs": "answer"}]
    dropped = run_near(rows, prefer=["shortest"], conflicts="drop")
    assert set(by_id(dropped.kept)) == {"b"}
    assert dropped.conflicts == []
    with pytest.raises(DataError, match=r"a and b are alike .* differ in the answer"):
        run_near(rows, prefer=["shortest"], conflicts="error")


LONG = "open the settings, choose the second tab and press the button at the very end of the page"
IMAGE = {"type": "image", "url": "a"}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def asked(text: str | None, *, label: str | None = None, meta: dict[str, Any] | None = None, **more: Any) -> Row:
    """A row with a fixed prompt and this answer."""
    messages = [Message("user", " ".join(WORDS)), Message("assistant", text, **more)]
    return Row(id="x", messages=messages, label=label, meta=meta or {})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (asked(LONG), asked(f"{LONG} here"), True),
        (asked(LONG), asked(LONG.upper() + "."), True),
        (asked(LONG), asked(" ".join(reversed(LONG.split()))), False),
        (asked("yes "), asked("\nyes"), True),
        (asked("mill"), asked("MILL"), False),
        (asked("yes"), asked(f"yes, {LONG}"), False),
        (asked("for a in b:\n  c()\nd()"), asked("for a in b:\n  c()\n  d()"), False),
        (asked(f"x\n  {LONG}"), asked(f"x\n{LONG}"), False),
        (asked("yes", label="a"), asked("yes", label="b"), False),
        (asked("yes", label="a"), asked("yes", label="a"), True),
        (asked(LONG, meta={"rejected": "no"}), asked(LONG, meta={"rejected": "never"}), False),
        (asked("yes", reasoning_content="as it is"), asked("yes"), False),
        (asked(None, tool_calls=[CALL]), asked(None, tool_calls=[{**CALL, "id": "2"}]), True),
        (asked(None, tool_calls=[CALL]), asked(None, tool_calls=[{**CALL, "function": {"name": "g"}}]), False),
    ],
)
@pytest.mark.parametrize("more", ["", " w1"], ids=["same prompt", "near prompt"])
def test_what_of_answers_must_be_equal(one: Row, other: Row, same: bool, more: str) -> None:
    first, *rest = other.messages
    second = msgspec.structs.replace(other, id="y", messages=[Message("user", first.text + more), *rest])
    left = run(NearDuplicates(), run(ExactDuplicates(), select([one, second]), make_context()).kept, make_context())
    assert len(left.kept) == 2 - same
    assert left.ties == ({} if same else {"x": "x", "y": "x"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"messages": [Message("system", "Be kind.")]}, {"messages": [Message("system", "Be quick.")]}),
        ({"messages": [Message("system", "Be kind.")]}, {}),
        ({"tools": [CALL]}, {}),
        (
            {"messages": [Message("user", [{"type": "image", "url": "a"}])]},
            {"messages": [Message("user", [{"type": "image", "url": "b"}])]},
        ),
    ],
)
def test_rows_of_different_scenes_are_not_compared(one: dict[str, Any], other: dict[str, Any]) -> None:
    def row(id: str, messages: list[Message] = [], **fields: Any) -> Row:  # noqa: B006 - as Row has it
        return Row(id=id, messages=[*messages, Message("user", " ".join(WORDS)), Message("assistant", "ok")], **fields)

    rows = select([row("a", **one), row("b", **other), row("c", **one)])
    result = run(ExactDuplicates(), rows, make_context())
    assert len(result.rejections) == 1
    left = run(NearDuplicates(), result.kept, make_context())
    assert len(left.kept) == 2
    assert not left.ties
    assert not left.conflicts
    assert len(run(NearDuplicates(), rows, make_context()).rejections) == 1


@pytest.mark.parametrize(("one", "other"), [("5", "6"), ("-5", "5"), ("1.5", "1,5"), ("", "7"), ("٣", "٤")])
def test_rows_whose_numbers_differ_stay_together(one: str, other: str) -> None:
    text = " ".join(WORDS)
    result = run_near([make_row(f"{text} {number}", "same", id=number or "none") for number in (one, other)])
    assert len(result.kept) == 2
    assert len(set(result.ties.values())) == 1
    assert not result.conflicts
    assert result.counts["alike"] == {"other answers": 0, "other numbers": 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [("Has it failed?", "has it failed"), ("(see) the “note”!", "see the note."), ("Hi!", "hi"), ("你好。", "你好！")],
)
def test_sentence_marks_at_the_ends_of_words_do_not_count(one: str, other: str) -> None:
    assert len(run_near([make_row(one, "a", id="1"), make_row(other, "a", id="2")]).kept) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("x > 5", "x < 5"), ("C++", "C"), ("C#", "C"), ("$5", "5"), ("a.b", "a b"), ("f()", "f[]"), ("-x", "x")],
)
def test_marks_that_mean_something_count(one: str, other: str) -> None:
    assert len(run_near([make_row(one, "a", id="1"), make_row(other, "a", id="2")]).kept) == 2


def test_many_answers_to_one_prompt_take_little_time() -> None:
    result = run_near([make_row("write something funny about cats", f"joke {n}", id=str(n)) for n in range(1000)])
    assert len(result.kept) == 1000
    assert len(set(result.ties.values())) == 1
    assert len(result.conflicts) == 1


@pytest.mark.parametrize(("on", "left"), [("prompt", 2), ("answer", 1), ("conversation", 2)])
def test_what_is_compared(on: str, left: int) -> None:
    rows = [make_row(prompt, "a long answer that is the same", id=prompt) for prompt in ("hello there", "good bye now")]
    assert len(run_near(rows, on=on).kept) == left


def test_dedup_null_turns_near_duplicates_off() -> None:
    rows = select([make_row("a b c d e f", id="1"), make_row("a b c d e f", id="2")])
    assert len(run(NearDuplicates(), rows, make_context(dedup=None)).kept) == 2


@given(st.lists(st.tuples(st.sampled_from(["a", "A ", " b\n", "b", "c"]), st.sampled_from("xyX")), max_size=20))
def test_exact_keeps_one_of_each(pairs: list[tuple[str, str]]) -> None:
    rows = select([make_row(prompt, answer, id=str(n)) for n, (prompt, answer) in enumerate(pairs)])
    result = run(ExactDuplicates(), rows, make_context())
    keys = [(text_key(row.messages[0].text), text_key(row.answer)) for row in result.kept.rows]
    assert len(keys) == len({(p.strip().lower(), a) for p, a in pairs})


def test_one_id_for_two_different_rows_leaves_one() -> None:
    result = run(ExactDuplicates(), select([make_row("p", id="x"), make_row("q", id="x")]), make_context())
    assert len(result.kept) == 1
    assert [rejection.reason for rejection in result.rejections] == ["duplicate-id"]


def test_the_ledger_refuses_a_stage_that_loses_a_row(tmp_path: Path) -> None:
    rows = select([make_row("p"), make_row("q")])
    with pytest.raises(RuntimeError, match="stage s: 2 rows went in, 1 kept"):
        check_account("s", rows, StageResult(rows[:1]))
    with pytest.raises(RuntimeError, match="2 kept"):
        check_account("s", rows, StageResult(rows.take([0, 0])))


def test_the_same_for_any_number_of_threads() -> None:
    rows = [make_row(text, "same", id=str(n)) for n, text in enumerate(noisy_texts(1, 400))]
    results = [run(NearDuplicates(), select(rows), make_context(threads=threads)) for threads in (1, 2, 5)]
    told = [(list(one.kept), list(one.rejections), one.ties, one.conflicts, one.counts) for one in results]
    assert told[0] == told[1] == told[2]
    assert results[0].rejections


@pytest.mark.parametrize("on", ["prompt", "conversation"])
@pytest.mark.parametrize("fast_bytes", [0, 1 << 50], ids=["by machine code", "row by row"])
def test_what_was_made_while_reading_finds_the_same(tmp_path: Path, fast_bytes: int, on: str) -> None:
    rows = [make_row(text, "same", id=str(n), source="made") for n, text in enumerate(noisy_texts(6, 200))]
    (tmp_path / "made.jsonl").write_bytes(b"".join(encode_row(row) + b"\n" for row in rows))
    (tmp_path / "old.jsonl").write_bytes(encode_row(make_row(rows[0].messages[0].text, "same", id="old")))
    context = make_context(tmp_path, dedup={"on": on, "against": [{"name": "v1", "path": "old.jsonl"}]})
    source = context.recipe.sources[0]
    with reading(context, all_makers(context), 1, chunk_bytes=5000, fast_bytes=fast_bytes) as reader:
        assert len(list(reader.read(source, find_inputs("made.jsonl", tmp_path)))) > 3
    told = []
    for table_rows in (RowSelection.all_of(reader.table), select(rows)):
        # Rows that went before, and one that a stage changed, whose chunk has sketches of its own.
        given = table_rows.changed([9], [make_row(rows[8].messages[0].text, "same", id="new")], own_record=True)
        given = given.take([*range(1, 200, 2), *range(0, 150, 2)])
        result = run(NearDuplicates(), given, context)
        gone = [(one.id, one.reason, one.because_of) for one in result.rejections]
        told.append((result.kept.ids(), result.ties, result.counts, gone))
    assert told[0] == told[1]
    assert len(told[0][-1]) > 40
    assert result.rejections.reasons()["near", "in-earlier-dataset"] > 0


def test_rows_of_an_earlier_dataset_make_rows_go(tmp_path: Path) -> None:
    words = WORDS[:25]
    earlier = [make_row(" ".join(words), "old", id="old-1"), make_row("hi", "there", id="old-2")]
    (tmp_path / "old.jsonl").write_bytes(b"".join(encode_row(row) + b"\n" for row in earlier) + b"{broken\n")
    near, other = " ".join([*words[:-1], "end"]), " ".join(WORDS[25:])
    rows = [
        make_row(near, "one", id="a"),
        make_row(near, "two", id="b"),  # a conflict stays among its own, and goes for an earlier row
        make_row("HI", "you", id="c"),  # too short for n-grams: the same text
        make_row(other, id="d"),
        make_row(f"{other} w1", id="e"),
    ]
    dedup = {"against": [{"name": "v1", "path": "old.jsonl"}]}
    result = run(NearDuplicates(), select(rows), make_context(tmp_path, dedup=dedup))
    assert set(by_id(result.kept)) == {"e"}
    because = {item.id: (item.reason, item.because_of) for item in result.rejections}
    alike = round(similarity(near, " ".join(words)), 4)
    assert because == {
        "a": ("in-earlier-dataset", Because("old-1", alike, "v1")),
        "b": ("in-earlier-dataset", Because("old-1", alike, "v1")),
        "c": ("in-earlier-dataset", Because("old-2", 1.0, "v1")),
        "d": ("near-duplicate", Because("e", round(similarity(other, f"{other} w1"), 4))),
    }
    assert result.conflicts == []
    assert result.counts["against"] == {"v1": 2, "v1 (unreadable)": 1}


@pytest.mark.parametrize("seed", range(4))
def test_against_brute_force(tmp_path: Path, seed: int) -> None:
    texts = list(dict.fromkeys(noisy_texts(seed, 120)))
    old, new = texts[::2], texts[1::2]
    lines = [encode_row(make_row(text, id=f"old-{n}")) + b"\n" for n, text in enumerate(old)]
    (tmp_path / "old.jsonl").write_bytes(b"".join(lines))
    dedup = {"against": [{"name": "v1", "path": "old.jsonl"}], "bands": 128, "rows": 1}
    rows = select([make_row(text, id=str(n)) for n, text in enumerate(new)])
    kept = by_id(run(NearDuplicates(), rows, make_context(tmp_path, dedup=dedup)).kept)
    touched = {n for n, text in enumerate(new) if any(similarity(text, other) >= 0.7 for other in old)}
    assert touched
    assert not touched & {int(name) for name in kept}
    for a, b in itertools.combinations(kept.values(), 2):
        assert similarity(a.messages[0].text, b.messages[0].text) < 0.7


def test_short_texts_are_compared_by_exact_match_only() -> None:
    rows = [make_row("one two three four five six", id="a"), make_row("six one two three four five", id="b")]
    assert len(run_near(rows, threshold=0.5).kept) == 1
    assert len(run_near(rows, threshold=0.5, min_shingles=5).kept) == 2
    same = [make_row("a b", id="a"), make_row("A  b", id="b")]
    assert len(run_near(same, min_shingles=5).kept) == 1


def test_a_template_does_not_glue_rows_together() -> None:
    template = " ".join(f"t{n}" for n in range(40))
    rows = [make_row(f"{template} first{n} second{n} third{n} fourth{n}", id=str(n)) for n in range(10)]
    assert len(run_near(rows).kept) == 1
    assert len(run_near(rows, ignored_share=0.5).kept) == 10


def test_text_that_most_rows_share_is_set_aside_and_named() -> None:
    template = (
        "You sort requests. Answer with one word, the team: billing, shipping or other, and say nothing more.\n\n"
    )
    draw = random.Random(3)
    own = [" ".join(draw.choices(WORDS, k=8)) for _ in range(120)]
    rows = [
        make_row(template + text, "other", id=str(n)) for n, text in enumerate([*own, f"{own[0]} w1", own[1].upper()])
    ]
    result = run_near(rows)
    assert len(result.kept) == 120
    assert not result.ties
    (shared,) = result.report["set_aside"]
    assert shared["text"].startswith("You sort requests.")
    assert shared["text"].endswith("say nothing more. ...")
    # Texts of nothing else are compared as a whole.
    bare = [make_row(template, "other", id="bare"), make_row(f"{template} ", "other", id="bare too")]
    assert len(run_near([*rows, *bare]).kept) == 121
    assert run_near([make_row(text, id=text) for text in own]).report is None


def test_a_language_without_spaces_is_compared_by_characters() -> None:
    text = "敏捷的棕色狐狸跳过了那只懒惰的狗然后回家睡觉了并且做了一个很长的梦"
    rows = [make_row(text, id="a"), make_row(f"{text}吧", id="b"), make_row(text[::-1], id="c")]
    assert set(by_id(run_near(rows).kept)) == {"b", "c"}
    assert len(run_near(rows, unit="word").kept) == 3
    english = [make_row("internationalization", id="a"), make_row("internationalizations", id="b")]
    assert len(run_near(english, unit="word").kept) == 2
    assert len(run_near(english, unit="character").kept) == 1


def test_what_is_preferred() -> None:
    text = " ".join(WORDS[:30])
    rows = [
        make_row(text, "same", id="old", meta={"date": "2024-01-31", "score": 0.9}),
        make_row(f"{text} w1", "same", id="new", meta={"date": "2025-06-01T12:00:00+02:00", "score": 0.2}),
        make_row(f"{text} w1 w2", "same", id="bare", meta={"date": "soon", "score": True}),
    ]
    kept = {name: set(by_id(run_near(rows, prefer=[name]).kept)) for name in ("newest", "score", "longest", "shortest")}
    assert kept == {"newest": {"new"}, "score": {"old"}, "longest": {"bare"}, "shortest": {"old"}}
    nested = [make_row(text, id="a", meta={"q": {"s": 1}}), make_row(f"{text} w1", id="b", meta={"q": {"s": 2}})]
    assert set(by_id(run_near(nested, prefer=["score"], score_by="meta.q.s").kept)) == {"b"}


def test_the_table_of_clusters_leads_from_each_dropped_row_to_one_that_stays() -> None:
    rows = [make_row(text, "same", id=f"{n:03}") for n, text in enumerate(noisy_texts(3, 300))]
    exact = run(ExactDuplicates(), select(rows), make_context())
    near = run(NearDuplicates(), exact.kept, make_context())
    rejections = exact.rejections + near.rejections
    made = ClusterTable(near.kept, rejections, near.ties, DUPLICATES)
    table = pl.concat(made.pieces())
    kept = by_id(near.kept)
    dropped = {item.id for item in rejections}
    assert exact.rejections
    assert near.rejections
    assert dropped == set(table.filter(table["id"] != table["kept"])["id"])
    standing = set(table.filter(table["id"] == table["kept"])["id"])
    assert standing <= set(kept)
    assert set(table["cluster"]) <= standing
    # Every cluster has one survivor, but for those that its own dropped rows tie together.
    for (name,), cluster in table.group_by("cluster"):
        survivors = cluster.filter(cluster["id"] == cluster["kept"])["id"].to_list()
        assert len(survivors) == 1 or {near.ties[survivor] for survivor in survivors} == {name}
    backwards = Rejections([block.taken(np.arange(len(block))[::-1]) for block in rejections.blocks[::-1]])
    assert list(backwards) == rejections[::-1]
    again = ClusterTable(near.kept[::-1], backwards, near.ties, DUPLICATES)
    assert parquet_bytes(again.pieces()) == parquet_bytes(made.pieces())
    assert pl.read_parquet(parquet_bytes(made.pieces())).equals(table)


def test_no_duplicates_make_an_empty_table() -> None:
    made = ClusterTable(select([make_row("p")]), Rejections(), {}, DUPLICATES)
    assert len(made) == 0
    assert pl.read_parquet(parquet_bytes(made.pieces())).shape == (0, 8)


def test_the_histogram_counts_every_duplicate_once() -> None:
    rows = [make_row(text, "same", id=str(n)) for n, text in enumerate(noisy_texts(5, 400))]
    result = run_near(rows)
    histogram = result.counts["similarities"]
    assert list(histogram) == ["0.70", "0.75", "0.80", "0.85", "0.90", "0.95", "1.00"]
    assert sum(histogram.values()) == len(result.rejections)
    same = sum(item.because_of is not None and item.because_of.similarity == 1 for item in result.rejections)
    assert histogram["1.00"] == same > 0


def test_the_curve_is_what_the_bands_find() -> None:
    settings = Dedup(bands=4, rows=2)
    assert expected_recall(Dedup()) == pytest.approx(0.99985, abs=1e-5)
    curve = dict(recall_curve(settings))
    assert curve[0.0] == 0
    assert curve[1.0] == 1
    draw = np.random.default_rng(4)
    words = [f"w{n}" for n in range(10**6)]
    found = 0
    for _ in range(400):  # pairs of sets of 100 of which 50 are common: similarity a third
        ids = draw.choice(len(words), 150, replace=False)
        pair = [" ".join(words[n] for n in part) for part in (ids[:100], ids[50:])]
        keys = sketch(pair, Banding(1, 4, 2, int(draw.integers(2**31)))).band_keys
        found += bool((keys[:, 0] == keys[:, 1]).any())
    chance = settings.chance(1 / 3)
    assert abs(found / 400 - chance) < 4 * (chance * (1 - chance) / 400) ** 0.5  # four standard errors


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.booleans(), st.sampled_from("xyz")), max_size=12)
)
def test_the_order_of_preference_is_that_of_its_key(made: list[tuple[str, int, bool, str]]) -> None:
    rows = [
        make_row("q" * size, answer, id=f"{name}{at if unique else 0}", origin="gold" if at % 3 else "synthetic")
        for at, (name, size, unique, answer) in enumerate(made)
    ]
    given, chosen = select(rows), Dedup(prefer=["shortest", "newest"])
    rank = ranking(chosen)
    wanted = sorted(range(len(rows)), key=lambda at: (*rank(rows[at]), rows[at].id, encode_row(rows[at]), at))
    assert in_order(given, chosen).tolist() == wanted
