"""A row as the model sees it: tokens, which of them the loss counts, and how much."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from curate.core.chat.chat_format import ChatFormat, TemplateFault
from curate.core.rows.row import SCENE, Message, Row


@dataclass(frozen=True, slots=True)
class Sample:
    """A tokenised row. `supervised[i]`: the loss counts how well token i is predicted from those before it.

    `weights[i]` says how much it counts; None where all count alike. Where preferences are trained, `rejected` is the
    other answer behind the same prompt; where a row's only answer is judged, `desirable` is the judgement. `reference`
    are the log-probabilities of its answers in the model before training.
    """

    row: str
    ids: list[int]
    supervised: list[bool]
    weights: list[float] | None = None
    rejected: "Sample | None" = None
    reference: tuple[float, ...] | None = None
    desirable: bool = True

    @property
    def rows(self) -> tuple["Sample", ...]:
        """What is computed for it: itself, or both answers."""
        return (self, self.rejected) if self.rejected else (self,)

    @property
    def size(self) -> int:
        """How many tokens it has, both answers together."""
        return sum(len(row.ids) for row in self.rows)

    @property
    def longest(self) -> int:
        """How many tokens its longer answer's row has."""
        return max(len(row.ids) for row in self.rows)

    @property
    def inputs(self) -> list[int]:
        """The tokens that anything is predicted from: what follows them, the last that counts included, is not."""
        return self.ids[: max((at for at, counts in enumerate(self.supervised) if counts), default=0) or 1]

    @property
    def supervised_count(self) -> int:
        """How many tokens the loss counts. The first token is never predicted, so it never counts."""
        return sum(self.supervised[1:])

    @property
    def loss_weight(self) -> float:
        """How much the row's tokens count in all."""
        return self.supervised_count if self.weights is None else sum(self.weights[1:])

    def cut(self, length: int) -> "Sample":
        """The first `length` tokens, of both answers."""
        weights = None if self.weights is None else self.weights[:length]
        rejected = self.rejected and self.rejected.cut(length)
        ids, supervised = self.ids[:length], self.supervised[:length]
        return Sample(self.row, ids, supervised, weights, rejected, desirable=self.desirable)

    def glimpse(self, tokens: int) -> "Sample":
        """A row to try things on: `tokens` of its tokens at most, its first and those up to the last that counts."""
        end, half = len(self.inputs) + 1, tokens // 2
        if end <= tokens:
            return self
        kept = [*range(half), *range(end - half, end)]
        ids, supervised = ([column[at] for at in kept] for column in (self.ids, self.supervised))
        weights = None if self.weights is None else [self.weights[at] for at in kept]
        rejected = self.rejected and self.rejected.glimpse(tokens)
        return Sample(self.row, ids, supervised, weights, rejected, desirable=self.desirable)

    def is_cut_within_an_answer(self, length: int) -> bool:
        """Whether the last token that `cut` leaves and the first that it loses are both part of an answer."""
        return any(len(row.ids) > length and row.supervised[length - 1] and row.supervised[length] for row in self.rows)


def tokenised(chat: ChatFormat, row: Row) -> Sample | TemplateFault:
    """The row as a sample, or why it can't be one."""
    encoded = chat.encode(row.messages, row.tools)
    if isinstance(encoded, TemplateFault):
        return encoded
    uneven = {message.weight for message in row.messages if message.role == "assistant"} - {None, 0, 1}
    if not uneven:
        return Sample(row.id, encoded.ids, encoded.supervised)
    if not all(weight is not None and 0 < weight < math.inf for weight in uneven):
        return TemplateFault("bad-weight", "a message's weight is a number from 0 up")
    weights = [float(counts) for counts in encoded.supervised]
    for weight in uneven:
        # The answers that have this weight are those that count where all others don't.
        alone = [replace(message, weight=None if message.weight == weight else 0) for message in row.messages]
        marked = chat.encode(alone, row.tools)
        if isinstance(marked, TemplateFault):
            return marked
        weights = [weight or 0.0 if here else known for here, known in zip(marked.supervised, weights, strict=True)]
    return Sample(row.id, encoded.ids, encoded.supervised, weights)


def tokenised_pair(chat: ChatFormat, row: Row) -> Sample | TemplateFault:
    """The row as a sample with its rejected answer, which `meta.rejected` holds, or why it can't be one.

    Of both conversations only what follows their common start counts.
    """
    try:
        other = _other_conversation(row)
    except (msgspec.MsgspecError, TypeError) as error:
        return TemplateFault("no-rejected-answer", f"meta.rejected is neither text nor messages: {error}")
    if not other:
        return TemplateFault("no-rejected-answer", "preferences need `chosen` and `rejected`, or meta.rejected")
    if other == row.messages:
        return TemplateFault("same-answers", "the chosen and the rejected answer are the same")
    pairs = zip(row.messages, other, strict=False)
    common = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(other), len(row.messages)))
    start = [replace(message, weight=0) if message.role == "assistant" else message for message in other[:common]]
    chosen = tokenised(chat, replace(row, messages=[*start, *row.messages[common:]]))
    rejected = tokenised(chat, replace(row, messages=[*start, *other[common:]]))
    if isinstance(chosen, TemplateFault):
        return chosen
    if isinstance(rejected, TemplateFault):
        return TemplateFault(rejected.rule, f"the rejected answer: {rejected.detail}")
    return Sample(chosen.row, chosen.ids, chosen.supervised, chosen.weights, rejected)


def tokenised_judged(chat: ChatFormat, row: Row) -> Sample | TemplateFault:
    """The row as a sample with both its answers, or the one it has and whether `meta.desirable` says it is good."""
    desirable = row.meta.get("desirable")
    if "rejected" in row.meta or not isinstance(desirable, bool):
        made = tokenised_pair(chat, row)
        if isinstance(made, TemplateFault) and made.rule == "no-rejected-answer":
            return TemplateFault("no-judgement", "kto needs meta.rejected, or meta.desirable: true or false")
        return made
    sample = tokenised(chat, row)
    return sample if isinstance(sample, TemplateFault) else dataclasses.replace(sample, desirable=desirable)


def _other_conversation(row: Row) -> list[Message]:
    """The messages with the rejected answer: given as its text, as messages of its own, or as a whole conversation."""
    rejected: Any = row.meta.get("rejected")
    if isinstance(rejected, str):
        return [*row.prompt, Message("assistant", rejected)]
    messages = msgspec.convert(rejected or [], list[Message])
    if not messages or messages[0].role in ("assistant", "tool"):
        return [*row.prompt, *messages] if messages else []
    scene = [] if messages[0].role in SCENE else [message for message in row.messages[:1] if message.role in SCENE]
    return [*scene, *messages]
