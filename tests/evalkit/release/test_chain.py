"""What a release is refused for: every link of the chain, broken by itself."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from curate.core.errors import AcidtestError, DataError, ProvenanceError
from curate.core.records import write_record
from evalkit.gate.verdict_file import GateVerdict, VerdictRule, read_verdict, write_verdict
from evalkit.release.chain import check_links, read_chain
from evalkit.run import RunOptions, evaluate
from tests.conftest import Run
from tests.evalkit.release.conftest import Work
from tests.evalkit.tiny_world import row, write_dataset, write_suite


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


def _other_dataset(work: Work) -> None:
    write_dataset(work.folder / "dataset", [row(i, "other") for i in range(5)], [row(i, "held") for i in range(4)])


def _no_manifest(work: Work) -> None:
    """A run that was trained on rows without a manifest, sealed as a trainer would."""
    path = work.folder / "run" / "run.json"
    record = json.loads(path.read_text())
    record["dataset"]["manifest"] = None
    write_record(path, record)


def _other_results(work: Work) -> None:
    work.results("run").rename(work.folder / "old")
    work.results("second").rename(work.results("run"))


def _rendered_again(work: Work) -> None:
    """The scores are the same, but the file that was judged is not."""
    path = work.results() / "result.json"
    write_record(path, {**json.loads(path.read_text()), "environment": {"files": {}}})


BREAKS: dict[str, tuple[Callable[[Work], object], str]] = {
    "edited adapter": (lambda w: _append(w.folder / "run/adapter/adapter_config.json"), "not those that the run wrote"),
    "edited run record": (lambda w: _edit(w.folder / "run/run.json", '"seed": 0', '"seed": 1'), "digest"),
    "run without a manifest": (_no_manifest, "no manifest vouches"),
    "edited manifest": (lambda w: _edit(w.folder / "dataset/manifest.json", "tiny", "tony"), "digest"),
    "another dataset": (_other_dataset, "another dataset"),
    "edited scores": (lambda w: _edit(w.results() / "scores.jsonl", '"value":0.0', '"value":1.0'), "scores.jsonl"),
    "missing answers": (lambda w: (w.results() / "generations.jsonl").unlink(), "generations.jsonl"),
    "edited result": (lambda w: _edit(w.results() / "result.json", '"n": 9', '"n": 99'), "digest"),
    "results of another run": (_other_results, "not of this run"),
    "files that are not named": (_rendered_again, "no files are named"),
    "edited verdict": (lambda w: _edit(w.folder / "verdict-run.json", "as good", "better"), "digest"),
    "a verdict on other results": (lambda w: w.verdict(result_digest="sha256:" + "0" * 64), "other results"),
    "a verdict on another contender": (lambda w: w.verdict(contender="base"), "verdict is on base"),
    "a verdict without rules": (lambda w: w.verdict(rules=[]), "without a single rule"),
    "no verdict at all": (lambda w: (w.folder / "verdict-run.json").write_text("{}"), "digest"),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_link_is_refused(work: Work, broken: str) -> None:
    verdict = work.verdict()
    check_links(read_chain(work.folder / "run", work.results(), verdict))

    damage, words = BREAKS[broken]
    damage(work)

    with pytest.raises(ProvenanceError, match=words) as caught:
        check_links(read_chain(work.folder / "run", work.results(), verdict))
    assert caught.value.exit_code == 4
    assert caught.value.where
    assert caught.value.fix


@pytest.mark.parametrize(("outcome", "code"), [("fail", 1), ("inconclusive", 6)])
def test_what_did_not_pass_is_refused_with_its_own_code(work: Work, run_cli: Run, outcome: str, code: int) -> None:
    verdict = work.verdict(outcome=outcome, because="it lost 12 points")  # type: ignore[arg-type]

    ended = run_cli("evalkit", "release", "promote", "run", "--results", "results-run", "--verdict", verdict,
                    cwd=work.folder)  # fmt: skip

    assert ended.returncode == code
    assert "it lost 12 points" in ended.stderr
    assert not work.store.exists()


def test_a_dataset_that_moved_can_be_named(work: Work) -> None:
    verdict = work.verdict()
    moved = (work.folder / "dataset").rename(work.folder / "elsewhere")

    with pytest.raises(DataError, match="not here"):
        read_chain(work.folder / "run", work.results(), verdict)
    assert check_links(read_chain(work.folder / "run", work.results(), verdict, moved)) == "adapter"


def test_recorded_answers_are_released_only_where_someone_says_so(work: Work) -> None:
    answers = (work.results() / "generations.jsonl").read_bytes()
    (work.folder / "answers.jsonl").write_bytes(answers)
    contenders = [{"name": "base", "replay": "answers.jsonl"}, {"name": "adapter", "replay": "answers.jsonl"}]
    contenders[1]["run"] = "run"
    evaluate(write_suite(work.folder, contenders=contenders, output="results-run", cluster=None), RunOptions())
    chain = work.chain()

    with pytest.raises(ProvenanceError, match="recorded earlier"):
        check_links(chain)
    assert check_links(chain, allow_recorded=True) == "adapter"


def test_a_verdict_is_read_back_with_what_the_gate_adds(tmp_path: Path) -> None:
    verdict = GateVerdict(outcome="pass", result_digest="sha256:ab", because="why", rules=[VerdictRule(rule="x")])
    path = tmp_path / "verdict.json"
    written = write_verdict(path, verdict)

    assert read_verdict(path) == written
    assert msgspec.structs.replace(written, digest="") == verdict
    write_record(path, {"kind": "verdict", "schema": 1, "outcome": "maybe"})
    with pytest.raises(AcidtestError, match="not a verdict"):
        read_verdict(path)
