"""Blind comparisons: nobody sees whose answer it is, and the report says what people said."""

import json
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.review.decisions import Journal
from curate.core.review.session import Session
from evalkit.cli.main import cli
from evalkit.report.files import write_results
from evalkit.results.folder import Results, read_results
from evalkit.review.blind import BAD, KEY_FILE, KIND, LEFT, RIGHT, TIE, Pairing, pair_answers, write_key
from evalkit.review.win_rate import revealed
from evalkit.stats.interval import difference_interval
from tests.evalkit.recorded_run import record_run

CHOICES = {choice.value: choice for choice in KIND.choices}
PAIR = ("base", "adapter")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = record_run(40)
    write_results(tmp_path, run.record(), run.items, run.generations, run.scores)
    return tmp_path


def session_of(pairing: Pairing, record: Callable[[object], object]) -> Session:
    return Session(pairing.deck, [], record, reviewer="x", clock=float, stamp=str)  # type: ignore[arg-type]


def compare(folder: Path, reviewer: str, say: Callable[[str], str], seed: int = 0) -> Pairing:
    """A reviewer who says of each item what `say` makes of it: a contender, a tie, both bad, or nothing."""
    pairing = pair_answers(read_results(folder), *PAIR, seed)
    write_key(folder, pairing, seed)
    with Journal(folder / f"preferences-{reviewer}.jsonl") as journal:
        session = session_of(pairing, lambda events: journal.append(*events))  # type: ignore[misc]  # events are a list
        while session.left:
            item = session.item
            assert item is not None
            wanted = say(item.key.item)
            left, right = pairing.sides[item.key.digest]
            if wanted == "":
                break
            session.decide(CHOICES[{left: LEFT, right: RIGHT}.get(wanted, wanted)])
    return pairing


def test_nothing_that_is_shown_says_whose_answer_it_is(folder: Path) -> None:
    pairing = pair_answers(read_results(folder), *PAIR, 0)
    for at in range(len(pairing.deck)):
        item = pairing.deck.item(at)
        assert not {"base", "adapter"} & set(str(item).replace("'", " ").split())
        assert all("says" in name for name, _ in item.after)
    on_left = [left for left, _ in pairing.sides.values()]
    assert 0.25 < on_left.count("adapter") / len(on_left) < 0.75
    assert pair_answers(read_results(folder), *reversed(PAIR), 0).sides == pairing.sides
    assert pair_answers(read_results(folder), *PAIR, 1).sides != pairing.sides


def test_the_journal_and_the_screen_hold_no_name_but_the_key_does(folder: Path) -> None:
    compare(folder, "ann", lambda _: "adapter")
    said = (folder / "preferences-ann.jsonl").read_text()
    assert "adapter" not in said
    assert "base" not in said
    assert "adapter" in (folder / KEY_FILE).read_text()


def test_figures(folder: Path) -> None:
    says = cycle(["adapter", "adapter", TIE, "base", BAD])
    pairing = compare(folder, "ann", lambda _: next(says))
    found = revealed(read_results(folder), folder, *PAIR)
    assert len(pairing.deck) == 40
    assert found["decisions"] == {"base": 8, "adapter": 16, TIE: 8, BAD: 8}
    assert found["win_rate"]["mean"] == pytest.approx((8 + 16 / 2) / 40)
    assert found["win_rate"]["low"] < found["win_rate"]["mean"] < found["win_rate"]["high"]
    assert (found["undecided"], found["items"]) == (0, 40)
    other = revealed(read_results(folder), folder, *reversed(PAIR))
    assert other["win_rate"]["mean"] == pytest.approx(1 - found["win_rate"]["mean"])
    assert other["win_rate"]["low"] == pytest.approx(1 - found["win_rate"]["high"], abs=1e-5)


def test_reviewers_agree_by_item_also_with_other_sides(folder: Path) -> None:
    compare(folder, "ann", lambda item: "adapter" if int(item[-1]) % 2 else "base")
    compare(folder, "bob", lambda item: "adapter" if int(item[-1]) % 2 else "base", seed=5)
    [agreed] = revealed(read_results(folder), folder, *PAIR)["reviewers"]
    assert agreed == {"a": "ann", "b": "bob", "items": 40, "agreed": 40, "kappa": 1.0}


def test_agreement_with_a_scorer_that_people_follow(folder: Path) -> None:
    results = read_results(folder)
    scores = [one for one in results.scores if (one.scorer, one.contender) == ("tool_call", "adapter")]
    right = {one.item for one in scores if one.value}
    compare(folder, "ann", lambda item: "adapter" if item in right else TIE)
    judges = {one["scorer"]: one for one in revealed(results, folder, *PAIR)["judges"]}
    assert judges["tool_call"]["agreed"] == judges["tool_call"]["both_clear"] == len(right)
    assert judges["tool_call"]["kappa"] == pytest.approx(1.0)


def test_what_is_missing_or_the_same_is_counted(folder: Path) -> None:
    results = read_results(folder)
    changed = [
        one if one.item != "simple_python_3" else type(one)(item=one.item, contender=one.contender, error="timeout")
        for one in results.generations
    ]
    same = {one.item: one.text for one in changed if one.contender == "base"}
    changed = [
        type(one)(item=one.item, contender=one.contender, text=same[one.item]) if one.item == "simple_python_4" else one
        for one in changed
    ]
    pairing = pair_answers(Results(results.result, results.items, changed, results.scores), *PAIR, 0)
    assert (pairing.unanswered, pairing.identical) == (["simple_python_3"], ["simple_python_4"])
    assert len(pairing.deck) == 38


def test_faults(folder: Path) -> None:
    results = read_results(folder)
    with pytest.raises(ConfigError, match="no contender is called nobody"):
        pair_answers(results, "base", "nobody", 0)
    with pytest.raises(ConfigError, match="with itself"):
        pair_answers(results, "base", "base", 0)
    with pytest.raises(DataError, match="nothing was compared"):
        revealed(results, folder, *PAIR)
    compare(folder, "ann", lambda _: "")
    with pytest.raises(DataError, match="nothing was decided"):
        revealed(results, folder, *PAIR)
    key = json.loads((folder / KEY_FILE).read_text())
    key["sides"] = {digest: sides[::-1] for digest, sides in key["sides"].items()}
    (folder / KEY_FILE).write_text(json.dumps(key))
    with pytest.raises(ProvenanceError):
        revealed(results, folder, *PAIR)


def test_the_interval_of_the_win_rate_covers_the_truth() -> None:
    """(1 + d) / 2 of wins, ties and losses: at 60 items an interval of 95 % covers at least 93 times in 100."""
    draw = np.random.default_rng(4)
    for wins, ties in ((0.5, 0.2), (0.7, 0.1), (0.9, 0.08)):
        truth = wins + ties / 2
        values = draw.choice([1.0, 0.0, -1.0], (400, 60), p=[wins, ties, 1 - wins - ties])
        ends = [difference_interval(one)[1:3] for one in values]
        assert np.mean([(1 + low) / 2 <= truth <= (1 + high) / 2 for low, high in ends]) >= 0.93


def test_the_command_reviews_and_reports(folder: Path) -> None:
    runner = CliRunner()
    arguments = ["review", str(folder), "--contenders", *PAIR, "--plain", "--reviewer", "ann", "--sample", "5"]
    done = runner.invoke(cli, arguments, input="1\n2\n0\n9\nn odd\nu\nU\nq\n")
    assert done.exit_code == 0, done.output
    assert "adapter" not in done.stdout
    lines = (folder / "preferences-ann.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event.get("value", "") for event in events[:4]] == [LEFT, RIGHT, TIE, BAD]
    shown = runner.invoke(cli, ["review", str(folder), "--contenders", *PAIR, "--report", "--json"])
    assert json.loads(shown.stdout)["items"] == 4
