"""Results folders of recorded answers, right and wrong as a test says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.core.rows.row import Message, Row
from evalkit.run import RunOptions, evaluate
from tests.evalkit.judge.recorded import write
from tests.evalkit.tiny_world import write_plain_suite


def item(number: int) -> Row:
    """A question of one of two kinds; every fifth is about refunds."""
    refund = number % 5 == 0
    text = f"question {number} about {'a refund for my order' if refund else 'the weather in Oslo'}"
    return Row(
        id=f"i{number:03}",
        messages=[Message("user", text), Message("assistant", f"right {number}")],
        label="refund" if refund else "weather",
    )


def results(folder: Path, right: Mapping[str, Sequence[bool | None]], *, name: str = "results", **changes: Any) -> Path:
    """A results folder in which each contender's answers are right, wrong, or (None) missing."""
    count = len(next(iter(right.values())))
    items = [item(number) for number in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    answers = [
        {
            "item": items[number].id,
            "contender": contender,
            "text": "" if was is None else f"right {number}" if was else "wrong",
            "error": "the server was down" if was is None else None,
            "latency_ms": 100.0 + number,
            "prompt_tokens": 10,
            "completion_tokens": 5,
        }
        for contender, marks in right.items()
        for number, was in enumerate(marks)
    ]
    write(folder / f"{name}.jsonl", answers)
    rungs = {"base": "base"}
    contenders = [
        {"name": contender, "replay": f"{name}.jsonl", "rung": rungs.get(contender, "fine-tune")} for contender in right
    ]
    evaluate(write_plain_suite(folder, items, **{"output": name, "contenders": contenders, **changes}), RunOptions())
    return folder / name
