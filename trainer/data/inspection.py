"""`trainer inspect`: rows as the model will see them, and what is wrong with those that can't be trained on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from curate.core.chat.base_model import BaseModel, find_base
from curate.core.chat.chat_format import ChatFormat, Encoded, TemplateFault
from curate.core.chat.history import History, samples_of
from curate.core.config_file import load_config
from curate.core.console import progress
from curate.core.errors import ConfigError, DataError
from curate.core.files import read_lines
from curate.core.paths import find_path
from curate.core.rows.row import Row
from curate.core.visible import visible
from trainer.config import TrainConfig
from trainer.data.dataset import read_rows

_SHOWN_TEXT = 2000  # of a row that has no tokens: enough to recognise it

# Rules of `curate.core.chat.chat_format` that the summary names by what they mean for training.
_NO_STOP, _ALL_MASKED = "no-stop-token", ("nothing-supervised", "no-answer")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as text. `stops`: it ends a turn that the loss counts."""

    id: int
    text: str
    supervised: bool
    stops: bool


@dataclass(frozen=True, slots=True)
class InspectedRow:
    """A row as the model sees it. With a `fault` it can't be trained on: no tokens then, and `text` as far as known."""

    row: str
    tokens: list[Token]
    fault: str | None = None
    text: str | None = None

    @property
    def supervised(self) -> int:
        """How many tokens the loss counts. The first is never predicted."""
        return sum(token.supervised for token in self.tokens[1:])


@dataclass(frozen=True, slots=True)
class Summary:
    """A file in numbers. `over_length`: rows longer than `max_length`; `faults`: rows by the rule they break."""

    path: str
    rows: int
    tokens: int
    supervised: int
    longest: int
    max_length: int
    over_length: int
    without_stop: int
    all_masked: int
    faults: dict[str, int]


@dataclass(frozen=True, slots=True)
class InspectedFile:
    """A file's summary, and those of its rows that were asked for."""

    summary: Summary
    rows: list[InspectedRow]


@dataclass(frozen=True, slots=True)
class _EncodedRow:
    place: int
    name: str
    row: Row | None
    encoded: Encoded | TemplateFault


@dataclass(frozen=True, slots=True)
class Target:
    """What to inspect, and the settings of the training that it is for."""

    base: BaseModel
    paths: list[Path]
    max_length: int = TrainConfig.model_fields["max_length"].default
    history: History = "error"


def what_to_inspect(target: Path, base: str | None) -> Target:
    """The files that `target`, a training file or a dataset, stands for, with base and settings.

    Raises: ConfigError where a dataset comes without a base.
    """
    if target.suffix in (".yaml", ".yml"):
        config = load_config(target, TrainConfig)
        folder = target.absolute().parent
        place, named = find_path(config.dataset, folder), config.held_out and find_path(config.held_out, folder)
        files = [*_files(place), *([named] if named else [])]
        model = find_base(base or config.base, folder, config.chat_template_kwargs)
        return Target(model, files, config.max_length, config.history)
    if not base:
        raise ConfigError("a dataset needs --base", where=target, fix="name a base, or give the training file instead")
    return Target(find_base(base, Path.cwd()), _files(target))


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    parts = [place / f"{name}.jsonl" for name in ("train", "val", "test")]
    return [path for path in parts if path.is_file()] or parts[:1]


def inspect_files(
    paths: Sequence[Path],
    chat: ChatFormat,
    max_length: int,
    *,
    ids: Sequence[str] = (),
    first: int = 0,
    history: History = "error",
) -> list[InspectedFile]:
    """Each file's numbers, and the rows called `ids`, or without any the `first` ones of the first file.

    A row with a fault is shown with it; of one that becomes several samples, each is.

    Raises: DataError for a missing file, or an id that no row has.
    """
    found: list[InspectedFile] = []
    for path in paths:
        found.append(
            _inspect(
                _read_all(path, chat, history), path, chat, max_length, frozenset(ids), 0 if ids or found else first
            )
        )
    shown = {seen.row for inspected in found for seen in inspected.rows}
    if missing := [name for name in ids if name not in shown]:
        raise DataError(f"no row is called {', '.join(missing)}", where=", ".join(map(str, paths)))
    return found


def _inspect(
    rows: Iterable[_EncodedRow], path: Path, chat: ChatFormat, max_length: int, ids: frozenset[str], first: int
) -> InspectedFile:
    lengths: list[int] = []
    supervised, faults, shown = 0, Counter[str](), []
    for read in rows:
        if isinstance(read.encoded, Encoded):
            lengths.append(len(read.encoded.ids))
            supervised += sum(read.encoded.supervised[1:])
        else:
            faults[read.encoded.rule] += 1
        if read.name in ids or read.place < first:
            shown.append(_seen(read, chat))
    summary = Summary(
        path=str(path),
        rows=len(lengths) + faults.total(),
        tokens=sum(lengths),
        supervised=supervised,
        longest=max(lengths, default=0),
        max_length=max_length,
        over_length=sum(length > max_length for length in lengths),
        without_stop=faults[_NO_STOP],
        all_masked=sum(faults[rule] for rule in _ALL_MASKED),
        faults=dict(sorted(faults.items())),
    )
    return InspectedFile(summary, shown)


def _read_all(path: Path, chat: ChatFormat, history: History) -> Iterator[_EncodedRow]:
    if not path.is_file():
        raise DataError("no such file of rows", where=path, fix="build it first: curate build RECIPE.yaml")
    with progress(f"tokenising {path.name}", sum(1 for _ in read_lines(path))) as advance:
        for place, (name, row) in enumerate(read_rows(path)):
            if isinstance(row, TemplateFault):
                yield _EncodedRow(
                    place, name.replace(f"{path}:", "line "), None, row
                )  # the file is named beside them all
            else:
                found = samples_of(chat.encode(row.messages, row.tools), chat, row.messages, row.tools, history)
                for encoded in found if isinstance(found, list) else [found]:
                    yield _EncodedRow(place, name, row, encoded)
            advance()


def _seen(read: _EncodedRow, chat: ChatFormat) -> InspectedRow:
    encoded = read.encoded
    if isinstance(encoded, Encoded):
        return InspectedRow(read.name, list(_tokens(encoded, chat)))
    return InspectedRow(read.name, [], f"{encoded.rule}: {encoded.detail}", _text(read.row, chat) if read.row else None)


def _tokens(encoded: Encoded, chat: ChatFormat) -> Iterator[Token]:
    """The tokens as pieces of the text: what lies between two goes to the later, a split character to the first."""
    offsets = chat.tokenizer(encoded.text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    before = 0
    for token, counts, (_, end) in zip(encoded.ids, encoded.supervised, offsets, strict=True):
        yield Token(token, encoded.text[before:end], counts, counts and token in chat.stop_ids)
        before = max(before, end)


def _text(row: Row, chat: ChatFormat) -> str:
    """The row as the template renders it, or where it refuses, its messages."""
    try:
        return chat.render(row.messages, row.tools)
    except Exception:  # noqa: BLE001 - a template can raise anything for messages that it does not take
        return "\n".join(f"{message.role}: {message.text}" for message in row.messages)


def lines(inspected: InspectedFile) -> Iterator[str]:
    """The rows and the file's numbers for people: styled for a terminal, readable where the styles are taken away."""
    for seen in inspected.rows:
        yield from _row_lines(seen)
        yield ""
    summary = inspected.summary
    yield (
        f"{summary.path}: {summary.rows:,} rows, {summary.tokens:,} tokens, {summary.supervised:,} of them in the loss,"
        f" longest row {summary.longest:,}"
    )
    yield f"  longer than max_length {summary.max_length:,}: {summary.over_length:,} rows"
    yield f"  without a stop token: {summary.without_stop:,} rows"
    yield f"  nothing in the loss: {summary.all_masked:,} rows"
    for rule, count in summary.faults.items():
        if rule not in (_NO_STOP, *_ALL_MASKED):
            yield f"  {rule}: {count:,} rows"


def _row_lines(seen: InspectedRow) -> Iterator[str]:
    if seen.fault:
        yield f"{visible(seen.row)}: can't be trained on: {visible(seen.fault)}"
        yield from (f"  ? {line}" for line in visible(seen.text or "", _SHOWN_TEXT).split("\n"))
        return
    turns = sum(token.stops for token in seen.tokens)
    yield f"{visible(seen.row)}: {len(seen.tokens):,} tokens, {seen.supervised:,} in the loss (>), {turns} stops"
    line, counts = "", False
    for number, token in enumerate(seen.tokens):
        if line and token.supervised != counts:
            yield _gutter(line, counts=counts)
            line = ""
        counts = token.supervised
        *ended, rest = visible(token.text).split("\n")
        for piece in ended:
            yield _gutter(line + _styled(f"{piece}↵", token, number), counts=counts)
            line = ""
        line += _styled(rest, token, number) if rest else ""
        if token.stops:
            yield _gutter(line + " <- stops", counts=counts)
            line = ""
    if line:
        yield _gutter(line, counts=counts)


def _gutter(line: str, *, counts: bool) -> str:
    return f"  {'>' if counts else '|'} {line}"


def _styled(text: str, token: Token, number: int) -> str:
    """Neighbouring tokens differ in shade, those in the loss are green, a stop token stands out."""
    if token.stops:
        return click.style(text, fg="green", reverse=True)
    if token.supervised:
        return click.style(text, fg="bright_green" if number % 2 else "green")
    return click.style(text, dim=bool(number % 2))
