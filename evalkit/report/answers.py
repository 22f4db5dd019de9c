"""The items as a report shows them: the question, the expected answer, and what each contender made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curate.core.rows.row import Row
from curate.core.visible import visible
from evalkit.records.by_item_and_contender import ByItemAndContender
from evalkit.records.lines import Generation, Score
from evalkit.results.result_record import ResultRecord

_SHOWN_CHARACTERS = 4000  # of one text; a longer one says how much is missing
_EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """What one contender answered. `value` is the primary score, None where unscored; `notes` say what went wrong."""

    contender: str
    text: str
    value: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One item with every contender's answer, in climbing order."""

    id: str
    label: str
    prompt: str
    expected: str
    answers: tuple[ShownAnswer, ...]


@dataclass(frozen=True, slots=True)
class ChangedItems:
    """A few items that `a` answers better than `b`, and a few that it answers worse, with how many there are."""

    a: str
    b: str
    fixed: tuple[ShownItem, ...]
    broke: tuple[ShownItem, ...]
    fixed_count: int
    broke_count: int


class ItemTable:
    """Every item of the run, its texts made safe to look at; each is put together when it is asked for."""

    def __init__(
        self, result: ResultRecord, rows: Sequence[Row], generations: Sequence[Generation], scores: Sequence[Score]
    ) -> None:
        self._names = result.names
        self._primary = result.primary
        self._rows = rows
        self._answers = ByItemAndContender(generations, rows, self._names)
        self._scores = ByItemAndContender(scores, rows, self._names)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[ShownItem]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, at: int) -> ShownItem:
        row = self._rows[at]
        return ShownItem(
            id=visible(row.id, _SHOWN_CHARACTERS),
            label=visible(row.label or "", _SHOWN_CHARACTERS),
            prompt=visible(_question(row), _SHOWN_CHARACTERS),
            expected=visible(row.answer, _SHOWN_CHARACTERS),
            answers=tuple(self._answer(at, name) for name in self._names),
        )

    def value(self, at: int, contender: str) -> float | None:
        """The primary score of a contender's answer."""
        return _value(self._scores.of(at, contender), self._primary)

    def _answer(self, at: int, name: str) -> ShownAnswer:
        answers = self._answers.of(at, name)
        return _answer(name, answers[-1] if answers else None, self._scores.of(at, name), self._primary)


def examples(result: ResultRecord, items: ItemTable) -> ChangedItems | None:
    """Examples of the comparison that matters most: the last step of the ladder. None with a single contender."""
    step = result.ladder.steps[-1]
    if step.against is None:
        return None
    fixed: list[int] = []
    broke: list[int] = []
    for place in range(len(items)):
        ours, theirs = items.value(place, step.contender), items.value(place, step.against)
        if ours is not None and theirs is not None and ours != theirs:
            (fixed if ours > theirs else broke).append(place)
    return ChangedItems(
        step.contender,
        step.against,
        tuple(items[place] for place in _spread(fixed)),
        tuple(items[place] for place in _spread(broke)),
        fixed_count=len(fixed),
        broke_count=len(broke),
    )


def _spread(places: Sequence[int]) -> list[int]:
    """A few places from the whole length of the list: neighbours are often alike."""
    count = min(_EXAMPLES, len(places))
    return [places[index * len(places) // count] for index in range(count)]


def _question(row: Row) -> str:
    """The last thing the user said; a system prompt is the same for every item and would hide it."""
    said = [message.text for message in row.prompt if message.role == "user"]
    return said[-1] if said else "\n".join(message.text for message in row.prompt)


def _answer(name: str, generation: Generation | None, scores: Sequence[Score], primary: str) -> ShownAnswer:
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
    shown = tuple(visible(note, 500) for note in notes)
    return ShownAnswer(name, visible(text, _SHOWN_CHARACTERS), _value(scores, primary), shown)


def _value(scores: Sequence[Score], primary: str) -> float | None:
    return next((score.value for score in scores if score.scorer == primary and score.unscored is None), None)
