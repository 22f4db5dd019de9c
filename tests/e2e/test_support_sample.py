"""The support sample from labels to a release and back, as its README shows it, on a random base of two layers."""

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.conftest import ROOT, Run
from tests.models import tiny_base

RESULTS, STORE = "demo/support/results", ("--store", "demo/releases")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sample with a small base in the embedded one's place: answers are recorded, so the verdict is the same."""
    shutil.copytree(ROOT / "samples" / "support", tmp_path / "samples" / "support")
    shutil.copytree(ROOT / "rubrics", tmp_path / "rubrics")
    tiny_base(tmp_path / "base")
    for name in ("train.yaml", "suite.yaml"):
        path = tmp_path / "samples" / "support" / name
        text = path.read_text()
        assert "embedded:smollm2-135m" in text
        path.write_text(text.replace("embedded:smollm2-135m", str(tmp_path / "base")))
    return tmp_path


def test_from_labels_to_a_release_and_back(folder: Path, run_cli: Run) -> None:
    def command(program: str, *words: str, code: int = 0) -> CompletedProcess[str]:
        ended = run_cli(program, *words, cwd=folder)
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended

    def release() -> str:
        command("trainer", "fit", "samples/support/train.yaml")
        command("evalkit", "run", "samples/support/suite.yaml")
        decided = command("evalkit", "gate", RESULTS, "--rules", "samples/support/gate.yaml")
        assert "pass: all 7 rules pass" in decided.stdout
        promote = ("evalkit", "release", "promote", "demo/support/run", "--results", RESULTS)
        promote += ("--verdict", f"{RESULTS}/verdict.json", *STORE)
        assert "recorded earlier" in command(*promote, code=4).stderr
        return str(json.loads(command(*promote, "--allow-recorded", "--json").stdout)["digest"])

    command("curate", "build", "samples/support/recipe.yaml")
    files = ("--judgments", "samples/support/judgments.jsonl", "--labels", "samples/support/labels.jsonl")
    card = ("--rubric", "rubrics/tone.yaml", "--output", "demo/support/voice.json")
    assert "voting: a gate may take" in command("evalkit", "judge", "calibrate", *files, *card).stdout
    first = release()
    path = folder / "samples" / "support" / "train.yaml"
    path.write_text(path.read_text().replace("epochs: 2", "epochs: 1"))
    second = release()

    assert first != second
    assert "epochs" in command("evalkit", "release", "diff", "previous", "current", *STORE, code=1).stdout
    command("evalkit", "release", "rollback", *STORE)
    assert json.loads(command("evalkit", "release", "show", "--json", *STORE).stdout)["digest"] == first
    command("evalkit", "release", "verify", *STORE)
    drift = command("evalkit", "drift", "samples/support/tickets.jsonl", "--dataset", "demo/support/dataset",
                    "--embedded", "0", "--json")  # fmt: skip
    assert json.loads(drift.stdout)["advice"] in ("steady", "watch")

    scores = folder / RESULTS / "scores.jsonl"
    scores.write_text(scores.read_text().replace('"value":0.0', '"value":1.0', 1))
    edited = ("evalkit", "gate", RESULTS, "--rules", "samples/support/gate.yaml")
    command(*edited, code=4)
