"""Facts need retrieval: the handbook sample, whose verdict is known beforehand."""

import shutil
from pathlib import Path

import pytest
import yaml

from curate.build.build import build
from curate.core.files import decode_lines
from curate.core.rows.row import Row
from evalkit.records.lines import Generation
from evalkit.run import RunOptions, evaluate
from tests.evalkit.control_suites import QUIET, rate
from trainer.config import TrainConfig
from trainer.fit import fit
from trainer.inputs import find_inputs

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "handbook"


def copied(folder: Path, name: str) -> Path:
    """The sample's suite of this name with its paths led into `folder`, where its dataset is built."""
    place = folder / "samples" / "handbook"
    shutil.copytree(SAMPLE, place)
    build(place / "recipe.yaml")
    settings = yaml.safe_load((place / name).read_text())
    (place / name).write_text(yaml.safe_dump({**settings, "running": QUIET}))
    return place / name


def test_recorded_answers_about_the_handbook_say_that_retrieval_suffices(tmp_path: Path) -> None:
    """The answers of a real run of the embedded model, evaluated anew."""
    result = evaluate(copied(tmp_path, "recorded.yaml"), RunOptions()).result
    assert result.ladder.verdict == "rag-suffices"
    assert result.ladder.winner == "base+rag"
    assert all(contender.unscored == 0 for contender in result.contenders)
    assert rate(result, "adapter") < 0.1
    assert rate(result, "adapter+rag") < rate(result, "base+rag") - 0.2


def test_the_handbook_and_its_questions_belong_together() -> None:
    questions = list(decode_lines(SAMPLE / "questions.jsonl", Row))
    text = {path.name: path.read_text() for path in (SAMPLE / "documents").iterdir()}
    assert len(questions) == 120
    assert sum(page.count("\n## ") for page in text.values()) == 62
    for row in questions:
        file, _, heading = str(row.meta["source_passage"]).partition("#")
        passage = text[file].split(f"\n## {heading}\n")[1].split("\n## ")[0]
        assert row.answer.casefold() in passage.casefold(), row.id
    recorded = list(decode_lines(SAMPLE / "recorded.jsonl", Generation))
    assert {line.item for line in recorded} <= {row.id for row in questions}


@pytest.mark.slow
def test_the_embedded_model_needs_retrieval_for_the_handbook(tmp_path: Path) -> None:
    """An adapter that was trained on the handbook's questions knows nothing of the others, passages or not."""
    path = copied(tmp_path, "suite.yaml")
    training = yaml.safe_load((path.parent / "train.yaml").read_text())
    fit(find_inputs(TrainConfig(**training), path.parent))

    result = evaluate(path, RunOptions(limit=40)).result

    assert result.ladder.verdict == "rag-suffices"
    assert rate(result, "base+rag") > 0.25
    assert rate(result, "adapter") < 0.15
    assert rate(result, "adapter+rag") < rate(result, "base+rag")
    [rag] = [contender for contender in result.contenders if contender.rung == "rag"]
    assert rag.retrieval.recall["2"] > 0.9
    assert rag.retrieval.answer.score_with > rag.retrieval.answer.score_without
