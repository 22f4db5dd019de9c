"""An item, and how far the review is, as lines of text: the same for the full screen and for plain output."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from rich.cells import cell_len

from curate.core.errors import ConfigError
from curate.core.review.decisions import Event
from curate.core.review.items import Block, Facts, Item
from curate.core.review.keymap import Key
from curate.core.review.safe_text import SHOWN, Line, Span, json_spans, laid_out, one_line, shown, word_diff, wrap
from curate.core.review.session import Session
from curate.core.rows.row import REJECTED, Message, Row

_RAW = 1_000_000  # characters of the raw view: no reviewer reads more, and laying them out takes a second
_BESIDE = 72  # cells from which two texts stand side by side
_SIGNS = {"keep": "+", "drop": "x", "edit": "e", "flag": "!", "skip": "-", "class": "=", "prefer": "=", "grade": "="}
_PARTS = ("raw", "metadata", "diff")
Tokens = Callable[[Row], Sequence[Span]]


@dataclass(frozen=True, slots=True)
class Look:
    """What is shown of an item beside its text."""

    raw: bool = False
    metadata: bool = False
    diff: bool = False
    tokens: Tokens | None = None


def toggled(look: Look, name: str, tokens: Tokens | None) -> Look:
    """The look with a part of it turned on or off."""
    if name == "tokens":
        if tokens is None:
            raise ConfigError("no base model is known, so there are no tokens to show", fix="name one with --base")
        return replace(look, tokens=None if look.tokens else tokens)
    return Look(**{**{one: getattr(look, one) for one in _PARTS}, name: not getattr(look, name)}, tokens=look.tokens)


def item_lines(item: Item, decision: Event | None, width: int, look: Look, label: str = "") -> Iterator[Line]:
    """The item in lines of at most `width` cells. `label` is the decision in words."""
    yield from wrap([(shown(item.title, 400), "title")], width)
    yield from _facts(item.why, width, "why")
    if decision is not None and decision.decides:
        yield from _facts((("decided", label), *item.after), width, "decided")
    if decision is not None and decision.note:
        yield from _facts((("note", decision.note),), width, "decided")
    edited = decision.row if decision is not None else None
    if look.raw:
        yield from _block(Block("raw", item.raw, "raw"), width)
    elif look.tokens is not None and (edited or item.row) is not None:
        yield ((_rule("tokens: those that count in the loss stand between ⟦ and ⟧", width), "role"),)
        yield from wrap(look.tokens(edited or item.row), width)  # type: ignore[arg-type]  # one of them is there
    else:
        yield from _texts(item, edited, width, look)
    if look.metadata:
        yield ((_rule("metadata", width), "role"),)
        yield from _facts(item.metadata or (("metadata", "none"),), width, "text")


def row_blocks(row: Row) -> tuple[Block, ...]:
    """A row's messages by role, tool calls and arguments laid out; of a preference row the rejected answer too."""
    return (*message_blocks(row.messages), *_rejected_blocks(row.meta.get(REJECTED)))


def blocks_text(blocks: Sequence[Block]) -> str:
    """Blocks as one text, to be compared with another."""
    return "\n".join(f"{block.title}: {block.text}" for block in blocks)


def _rejected_blocks(rejected: object) -> Iterator[Block]:
    title = "rejected answer"
    if isinstance(rejected, str):
        yield Block(title, rejected, "fault")
        return
    for message in rejected if isinstance(rejected, list) else [rejected]:
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        plain = isinstance(content, str) and message.keys() <= {"role", "content"}
        yield Block(title, content if isinstance(content, str) and plain else _json(message), "fault")


def message_blocks(messages: Sequence[Message]) -> tuple[Block, ...]:
    """The messages by role, tool calls and their arguments laid out."""
    blocks = []
    for message in messages:
        parts = [part for part in message.content or () if not isinstance(part, str) and part.get("type") != "text"]
        title = " ".join([message.role, *([message.name] if message.name else [])])
        weight = " (weight 0: not in the loss)" if message.weight == 0 else ""
        if message.reasoning_content:
            blocks.append(Block(f"{title} thinks", message.reasoning_content, message.role))
        if message.text or not message.tool_calls:
            blocks.append(Block(title + weight, message.text, message.role))
        blocks += [Block(f"{title}: a part that is no text", _json(part), "call") for part in parts]
        for call in message.tool_calls or ():
            name, arguments = _call(call)
            blocks.append(Block(f"{title} calls {name}", arguments, "call"))
    return tuple(blocks)


def status(session: Session, width: int) -> Line:
    """How far the review is: done, left, pace, what was decided, and what is shown."""
    place = f"{session.cursor + 1:,}/{len(session):,}" if len(session) else "nothing shown"
    here = f" ({session.left_here:,} here)" if session.filter else ""
    parts = [place, f"{session.done:,} done, {session.left:,} left{here}"]
    if (pace := session.seconds_each) is not None:
        parts.append(f"{60 / max(pace, 0.01):.0f}/min, {duration(pace * session.left)} to go")
    counted = [f"{name} {count:,}" for name, count in session.counts.most_common() if count]
    if session.filter:
        parts.append(f"filter {session.filter}")
    if session.sort != "order":
        parts.append(f"by {session.sort}")
    parts += [", ".join(counted)] if counted else []
    return ((one_line(" · ".join(parts), width), "status"),)


def duration(seconds: float) -> str:
    """A time in the two largest units: 1 h 20 min."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{left} min"


def queue_line(session: Session, place: int, width: int) -> Line:
    """An item in the list: a mark for the place of the reviewer, a sign for its decision, its heading."""
    at = session.position(place)
    held = session.decision(at)
    sign = "·" if held is None or not held.decides else _SIGNS.get(held.action, "=")
    pointer = ">" if place == session.cursor else " "
    style = "cursor" if place == session.cursor else "done" if sign != "·" else "text"
    text = one_line(session.deck.heading(at), width - 4)
    return ((f"{pointer}{sign} {text}", style),)


def footer(keys: Sequence[Key], width: int, digits: str = "") -> list[tuple[str, Key | None]]:
    """The keys that fit into a line, choices first, each with its text; the last is always the one for all keys.

    `digits` is said of the choices by digit, where they are not listed one by one.
    """
    last = next((one for one in keys if one.name == "help"), None)
    room = width - (cell_len(_footer_text(last)) if last else 0)
    made: list[tuple[str, Key | None]] = []
    for one in keys:
        if digits and one.choice is None and cell_len(digits) + 2 <= room:
            made.append((f" {digits} ", None))
            room -= cell_len(digits) + 2
            digits = ""
        text = _footer_text(one)
        if one is not last and one.in_footer and cell_len(text) <= room:
            made.append((text, one))
            room -= cell_len(text)
    return [*made, *([(_footer_text(last), last)] if last else [])]


def help_lines(keys: Sequence[Key], width: int) -> Iterator[Line]:
    """Every key with what it does."""
    for one in keys:
        both = f"{one.key} or {one.also}" if one.also else one.key
        yield from wrap([(f"{both:>10}  ", "key"), (one.help, "text")], width)


def _footer_text(key: Key) -> str:
    return f" {key.key} {key.label} "


def _texts(item: Item, edited: Row | None, width: int, look: Look) -> Iterator[Line]:
    if edited is not None:
        if look.diff:
            before, after = (_joined(blocks) for blocks in (item.blocks, row_blocks(edited)))
            yield from _compared((Block("before", before), Block("after the edit", after)), width, diff=True)
            return
        for block in row_blocks(edited):
            yield from _block(block, width)
        return
    for block in item.blocks:
        yield from _block(block, width)
    if item.sides is not None:
        yield from _compared(item.sides, width, diff=look.diff)


def _joined(blocks: Sequence[Block]) -> str:
    return "\n\n".join(f"{block.title}\n{block.text}" for block in blocks)


def _compared(sides: tuple[Block, Block], width: int, *, diff: bool) -> Iterator[Line]:
    texts = [shown(side.text) for side in sides]
    marked = word_diff(*texts) if diff else tuple(_spans(text) for text in texts)
    if width < _BESIDE:
        for side, spans in zip(sides, marked, strict=True):
            yield ((_rule(side.title, width), side.role),)
            yield from wrap(spans, width)
        return
    half = (width - 3) // 2
    columns = [
        [((_rule(side.title, half), side.role),), *wrap(spans, half)] for side, spans in zip(sides, marked, strict=True)
    ]
    empty: Line = ()
    for number in range(max(map(len, columns))):
        left, right = (column[number] if number < len(column) else empty for column in columns)
        gap = " " * (half - sum(cell_len(text) for text, _ in left))
        yield (*left, (f"{gap} │ ", "sign"), *right)


def _block(block: Block, width: int) -> Iterator[Line]:
    yield ((_rule(block.title, width), block.role),)
    is_raw = block.role == "raw"
    text = shown(block.text, _RAW if is_raw else SHOWN)
    yield from wrap([(text, "text")] if is_raw else _spans(text), width)


def _spans(text: str) -> list[Span]:
    pretty = laid_out(text)
    return [(text, "text")] if pretty is None else json_spans(pretty)


def _facts(facts: Facts, width: int, style: str) -> Iterator[Line]:
    for name, value in facts:
        yield from wrap([(f"{name}: ", "key"), (shown(value, 4000), style)], width)


def _rule(title: str, width: int) -> str:
    text = f"── {one_line(title, max(width - 8, 1))} "
    return text + "─" * (width - cell_len(text))


def _call(call: dict[str, Any]) -> tuple[str, str]:
    """The name of a tool call's function, and its arguments as JSON; all of the call where it has none."""
    function = call.get("function")
    inner = function if isinstance(function, dict) else call
    arguments = inner.get("arguments", inner)
    return str(inner.get("name", "?")), arguments if isinstance(arguments, str) else _json(arguments)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode("utf-8", "replace")
