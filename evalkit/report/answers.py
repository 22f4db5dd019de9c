"""The items as a report shows them: the question, the expected answer, and what each contender made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.core.rows import Row
from curate.core.visible import visible
from evalkit.records import Generation, Score

_SHOWN_CHARACTERS = 4000  # of one text; a longer one says how much is missing
_EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class Answer:
    """What one contender answered. `value` is the primary score, None where unscored; `notes` say what went wrong."""

    contender: str
    text: str
    value: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One item with every contender's answer, in climbing order."""

    id: str
    label: str
    prompt: str
    expected: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Examples:
    """A few items that `a` answers better than `b`, and a few that it answers worse, with how many there are."""

    a: str
    b: str
    fixed: tuple[Item, ...]
    broke: tuple[Item, ...]
    fixed_count: int
    broke_count: int


def collect(
    result: Mapping[str, Any], rows: Sequence[Row], generations: Sequence[Generation], scores: Sequence[Score]
) -> list[Item]:
    """Every item of the run, its texts made safe to look at."""
    names = [contender["name"] for contender in result["contenders"]]
    answers = {(answer.item, answer.contender): answer for answer in generations}
    marks: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        marks.setdefault((score.item, score.contender), []).append(score)
    return [
        Item(
            id=visible(row.id, _SHOWN_CHARACTERS),
            label=visible(row.label or "", _SHOWN_CHARACTERS),
            prompt=visible(_question(row), _SHOWN_CHARACTERS),
            expected=visible(row.answer, _SHOWN_CHARACTERS),
            answers=tuple(
                _answer(name, answers.get((row.id, name)), marks.get((row.id, name), []), result["primary"])
                for name in names
            ),
        )
        for row in rows
    ]


def examples(result: Mapping[str, Any], items: Sequence[Item]) -> Examples | None:
    """Examples of the comparison that matters most: the last step of the ladder. None with a single contender."""
    step = result["ladder"]["steps"][-1]
    if step["against"] is None:
        return None
    fixed: list[Item] = []
    broke: list[Item] = []
    for item in items:
        values = {answer.contender: answer.value for answer in item.answers}
        ours, theirs = values[step["contender"]], values[step["against"]]
        if ours is not None and theirs is not None and ours != theirs:
            (fixed if ours > theirs else broke).append(item)
    return Examples(
        step["contender"],
        step["against"],
        _spread(fixed),
        _spread(broke),
        fixed_count=len(fixed),
        broke_count=len(broke),
    )


def _spread(items: Sequence[Item]) -> tuple[Item, ...]:
    """A few items from the whole length of the list: neighbours are often alike."""
    count = min(_EXAMPLES, len(items))
    return tuple(items[index * len(items) // count] for index in range(count))


def _question(row: Row) -> str:
    """The last thing the user said; a system prompt is the same for every item and would hide it."""
    said = [message.text for message in row.prompt if message.role == "user"]
    return said[-1] if said else "\n".join(message.text for message in row.prompt)


def _answer(name: str, generation: Generation | None, scores: Sequence[Score], primary: str) -> Answer:
    value = next((score.value for score in scores if score.scorer == primary and score.unscored is None), None)
    notes = []
    if generation is None:
        notes.append("no answer")
    elif generation.error is not None:
        notes.append(f"error: {generation.error}")
    elif generation.finish_reason not in ("stop", "error"):
        notes.append(f"ended by {generation.finish_reason}")
    for score in scores:
        if score.unscored is not None or score.value is None:
            notes.append(f"{score.scorer}: unscored, {score.unscored or 'no value'}")
        elif score.value < 1:
            notes.append(f"{score.scorer}: {score.value:g}" + (f", {score.detail}" if score.detail else ""))
    text = generation.text if generation else ""
    return Answer(name, visible(text, _SHOWN_CHARACTERS), value, tuple(visible(note, 500) for note in notes))
