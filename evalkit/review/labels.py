"""Labels for a judge: people's grades of answers by a rubric, blind to whose answer it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from curate.core.digests import digest_json
from curate.core.errors import ConfigError, DataError
from curate.core.files import decode_lines, write_lines
from curate.core.review.decisions import Event, Key
from curate.core.review.items import FLAG, SKIP, Block, Choice, Item, Kind
from curate.core.review.layout import message_blocks
from curate.core.review.memory_deck import MadeDeck
from curate.core.review.merge import decided
from curate.core.rows.row import Row
from curate.core.seeding import stable_seed
from evalkit.judge.rubric import Criterion, Rubric
from evalkit.results.folder import Results

FILE = "labels.jsonl"


class LabelLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `labels.jsonl`: what a person said of one contender's answer to one item."""

    item: str
    contender: str
    annotator: str
    grade: int
    criterion: str


def choose_criterion(rubric: Rubric, name: str | None) -> Criterion:
    """The criterion to grade by. Raises: ConfigError where it is not there, or not named of several."""
    known = {criterion.id: criterion for criterion in rubric.criteria}
    if rubric.kind != "single":
        raise ConfigError("the rubric compares answers", where=rubric.name, fix="compare with `evalkit review`")
    if name is None and len(known) == 1:
        return rubric.criteria[0]
    if name not in known:
        what = "the rubric has several criteria" if name is None else f"the rubric has no criterion {name!r}"
        raise ConfigError(what, where=rubric.name, fix=f"name one with --criterion: {', '.join(known)}")
    if known[name].levels[-1].grade > 9:
        raise ConfigError("grades past 9 have no key", where=f"{rubric.name}: {name}", fix="use fewer levels")
    return known[name]


def label_deck(
    results: Results, rubric: Rubric, criterion: Criterion, contenders: Sequence[str], seed: int
) -> tuple[MadeDeck, dict[str, list[tuple[str, str]]]]:
    """The answers to grade in a drawn order, and by digest whose answers they are: equal answers are graded once."""
    rows = {row.id: row for row in results.items}
    known = results.result.names
    if strays := [name for name in contenders if name not in known]:
        raise ConfigError(f"no contender is called {', '.join(strays)}", fix=f"choose from {', '.join(known)}")
    owners: dict[str, list[tuple[str, str]]] = {}
    items: dict[str, Item] = {}
    for one in results.generations:
        if one.error is not None or (contenders and one.contender not in contenders) or one.item not in rows:
            continue
        item = _item(rows[one.item], one.text, rubric, criterion)
        items.setdefault(item.key.digest, item)
        owners.setdefault(item.key.digest, [])
        if (one.item, one.contender) not in owners[item.key.digest]:
            owners[item.key.digest].append((one.item, one.contender))
    order = sorted(items.values(), key=lambda item: stable_seed(seed, item.key.digest))
    fields = [{"id": item.key.item, "label": rows[item.key.item].label} for item in order]
    return MadeDeck(_kind(criterion), order, fields), owners


def write_labels(
    path: Path, annotator: str, criterion: str, events: Sequence[Event], owners: Mapping[str, Sequence[tuple[str, str]]]
) -> int:
    """Put this annotator's grades by this criterion into the file, in the place of earlier ones; returns how many.

    Raises: DataError for a file that holds something else.
    """
    made = [
        LabelLine(item=item, contender=contender, annotator=annotator, grade=int(event.value), criterion=criterion)
        for key, event in decided(events).items()
        if event.action == "grade"
        for item, contender in owners.get(key.digest, ())
    ]
    old = list(decode_lines(path, LabelLine)) if path.is_file() else []
    others = [label for label in old if (label.annotator, label.criterion) != (annotator, criterion)]
    write_lines(path, map(msgspec.json.encode, [*others, *made]))
    return len(made)


def _kind(criterion: Criterion) -> Kind:
    grades = [str(level.grade) for level in criterion.levels]
    return Kind("labels", "answers", (*(Choice(one, one, "grade", "grade", one) for one in grades), FLAG, SKIP))


def _item(row: Row, text: str, rubric: Rubric, criterion: Criterion) -> Item:
    question = message_blocks(row.prompt)
    blocks = (*question, Block("answer to grade", text, "assistant"))
    levels = tuple((str(level.grade), level.anchor) for level in criterion.levels)
    digest = digest_json([rubric.name, rubric.version, criterion.id, question, text])
    return Item(
        Key(row.id, digest), row.id, blocks, why=((criterion.id, criterion.question), *levels),
        metadata=(("reference", row.answer),) if row.answer else (), raw=text,
    )  # fmt: skip


def check_reviewer(name: str) -> str:
    """The name as a part of a file's name. Raises: DataError where it can't be one."""
    if not name or not all(character.isalnum() or character in "-_.@" for character in name):
        raise DataError(
            f"{name!r} can't be part of a file's name", fix="name yourself with --reviewer, in plain letters"
        )
    return name
