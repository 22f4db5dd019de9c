import json
from pathlib import Path

import pytest

from curate.core.errors import DataError
from tests.conftest import Run
from tests.trainer.conftest import MakeInputs, make_row, write_rows
from trainer.fit import fit
from trainer.run.list_diff import compare, find_runs, table


@pytest.fixture
def three(make_inputs: MakeInputs, tmp_path: Path) -> Path:
    """A folder with two finished runs, at different depths, and one that was stopped."""
    fit(make_inputs(output="runs/a", max_steps=2))
    fit(make_inputs(output="runs/deep/b", max_steps=4, lora={"r": 2, "alpha": 8}, learning_rate=2e-2))
    stopped = tmp_path / "runs" / "c"
    stopped.mkdir()
    (stopped / "steps.jsonl").write_text('{"step":1}\n{"step":2}\n{"st')
    return tmp_path / "runs"


def test_every_run_is_listed_with_what_tells_it_from_the_others(three: Path) -> None:
    a, c, b = find_runs([three])
    assert (a.state, b.state, c.state) == ("finished", "finished", "unfinished")
    assert c.trouble == "2 steps so far"
    one, two = a.summary(), b.summary()
    assert (one["steps"], two["steps"]) == (2, 4)
    assert one["train_rows"] == 20
    assert one["adapter_parameters"] == 2 * two["adapter_parameters"]
    assert one["adapter_bytes"] == sum(path.stat().st_size for path in (three / "a" / "adapter").iterdir())
    assert one["held_out_before"] == two["held_out_before"]
    assert one["held_out_kept"] < one["held_out_before"]
    # A folder that is named twice, or is itself a run, is listed once.
    assert [run.folder for run in find_runs([three / "a", three])] == [three / "a", three / "c", three / "deep" / "b"]


def test_the_table_has_a_line_for_each(three: Path) -> None:
    head, *lines = table(find_runs([three]))
    assert head.replace("held-out before", "before").split() == [
        "run",
        "base",
        "method",
        "rows",
        "steps",
        "before",
        "kept",
        "adapter",
        "finished",
    ]
    assert len(lines) == 3
    assert lines[1].endswith("unfinished: 2 steps so far")


def test_a_damaged_run_is_listed_as_such_and_the_others_too(three: Path, run_cli: Run) -> None:
    template = three / "a" / "adapter" / "chat_template.jinja"
    assert run_cli("trainer", "list", three).returncode == 0
    template.write_text("{{ messages }}")
    run = run_cli("trainer", "list", three, "--json")
    assert run.returncode == 1, run.stderr
    assert [found["state"] for found in json.loads(run.stdout)] == ["damaged", "unfinished", "finished"]
    with pytest.raises(DataError, match="no such folder"):
        find_runs([three / "nowhere"])


def test_a_model_trained_as_a_whole_is_listed_with_the_size_of_its_weights(make_inputs: MakeInputs) -> None:
    fitted = fit(make_inputs(method="full", max_steps=1))
    (listed,) = find_runs([fitted.run.folder])
    sizes = [path.stat().st_size for path in (fitted.run.folder / "model").iterdir()]
    assert listed.summary()["adapter_bytes"] == sum(sizes) > 0


def test_two_runs_differ_in_what_was_changed_and_in_nothing_else(three: Path, run_cli: Run) -> None:
    a, b = three / "a", three / "deep" / "b"
    found = compare(a, b)
    assert set(found.changed) == {
        "config.lora.r",
        "config.max_steps",
        "config.learning_rate",
        "adapter.initial",
        "adapter.parameters",
        "adapter.step",
        "ending.of",
        "ending.step",
        "stream",
    }
    assert found.changed["config.learning_rate"] == (1e-2, 2e-2)
    assert found.comparable
    run = run_cli("trainer", "diff", a, b)
    assert run.returncode == 1, run.stderr
    assert "config.lora.r         4 -> 2" in run.stdout
    assert "can't be compared" not in run.stdout


def test_a_run_does_not_differ_from_its_repetition(make_inputs: MakeInputs, run_cli: Run) -> None:
    one, two = make_inputs(output="one", max_steps=1), make_inputs(output="two", max_steps=1)
    fit(one)
    fit(two)
    run = run_cli("trainer", "diff", one.output, two.output)
    assert run.returncode == 0, run.stderr
    assert "are the same" in run.stdout


def test_losses_on_other_rows_are_not_compared(make_inputs: MakeInputs, tmp_path: Path, run_cli: Run) -> None:
    one = make_inputs(output="one", max_steps=1)
    fit(one)
    write_rows(tmp_path / "data" / "val.jsonl", [make_row(i) for i in range(200, 203)])
    two = make_inputs(output="two", max_steps=1)
    fit(two)
    found = compare(one.output, two.output)
    assert not found.comparable
    assert found.changed["dataset.val.rows"] == (4, 3)
    assert "of different rows" in run_cli("trainer", "diff", one.output, two.output).stdout
