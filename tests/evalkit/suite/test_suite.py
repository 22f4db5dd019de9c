from pathlib import Path
from typing import Any

import pytest

from curate.core.config_file import load_config
from curate.core.errors import ConfigError
from evalkit.suite.suite import Suite
from tests.evalkit.tiny_world import SCORERS, SUITE, write_suite


def fault(tmp_path: Path, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write_suite(tmp_path, **changes), Suite)
    return str(caught.value)


def test_the_sample_suite_is_valid() -> None:
    path = Path(__file__).resolve().parents[3] / "samples" / "toolcalls" / "suite.yaml"
    suite = load_config(path, Suite)

    assert [contender.place for contender in suite.contenders] == ["base", "prompt", "rag", "fine-tune"]


def test_every_fault_is_reported_with_its_line(tmp_path: Path) -> None:
    path = write_suite(tmp_path, items=None, generation={"max_tokens": 0, "heat": 1}, useful_effect="much")
    lines = path.read_text().splitlines()
    with pytest.raises(ConfigError) as caught:
        load_config(path, Suite)
    message = str(caught.value)

    assert "items: missing" in message
    assert f"suite.yaml:{lines.index('  heat: 1') + 1}: generation.heat: unknown key" in message
    assert f"suite.yaml:{lines.index('  max_tokens: 0') + 1}: generation.max_tokens" in message
    assert f"suite.yaml:{lines.index('useful_effect: much') + 1}: useful_effect" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"primary": "nothing"}, "no scorer is called 'nothing'"),
        ({"scorers": [*SCORERS, SCORERS[0]]}, "two scorers are called 'correct'"),
        ({"contenders": [{"name": "a"}, {"name": "a"}]}, "two contenders are called 'a'"),
        ({"contenders": []}, "at least 1"),
        ({"contenders": [{"name": "a", "replay": "x.jsonl", "system": "s"}]}, "takes no system"),
        ({"contenders": [{"name": "a", "examples": {"choose": "best"}}]}, "contenders.0.examples"),
        ({"train": None}, "train: missing"),
        ({"scorers": [{"name": "x", "kind": "magic"}]}, "scorers.0"),
        ({"alpha": 0.7}, "alpha"),
    ],
)
def test_what_can_not_work_is_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    assert expected in fault(tmp_path, **changes)


def test_the_facts_of_a_suite_are_plain_data() -> None:
    facts = Suite.model_validate(SUITE).facts()

    assert facts["primary"] == "correct"
    assert facts["contenders"][2]["examples"] == {"choose": "nearest", "count": 2}


def test_a_family_names_contenders_and_scorers_that_are_there(tmp_path: Path) -> None:
    assert "no 'nobody'" in fault(tmp_path, family=[{"a": "adapter", "b": "nobody"}])
    assert "no 'kind'" in fault(tmp_path, family=[{"a": "adapter", "b": "base", "metric": "kind"}])
    assert "against itself" in fault(tmp_path, family=[{"a": "adapter", "b": "adapter"}])
