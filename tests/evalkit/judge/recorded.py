"""Recorded judgments and labels of a made-up judge, as lines of JSON."""

import json
import random
from pathlib import Path
from typing import Any


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def judged_and_labelled(
    folder: Path,
    *,
    items: int = 120,
    slips: float = 0.06,
    favour: float = 0.0,
    swapped: bool = True,
    annotators: tuple[str, ...] = ("ann", "bo"),
    contenders: tuple[str, ...] = ("base", "adapter"),
) -> tuple[Path, Path]:
    """A judge that slips now and then and passes `favour` of the adapter's fails; people who seldom differ."""
    draw = random.Random(1)
    judgments, labels = [], []
    for number in range(items):
        for contender in contenders:
            truth = int(draw.random() < 0.6)
            said = 1 - truth if draw.random() < slips else truth
            if contender == "adapter" and draw.random() < favour:
                said = 1
            line = {"item": f"q{number}", "contender": contender, "grade": said, "length": draw.randrange(50, 900)}
            judgments.append(line)
            if swapped:
                judgments.append({**line, "swapped": True})
            labels += [
                {"item": f"q{number}", "contender": contender, "annotator": name, "grade": truth} for name in annotators
            ]
    return write(folder / "j.jsonl", judgments), write(folder / "l.jsonl", labels)
