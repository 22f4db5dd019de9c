"""A row as the model sees it: tokens, which of them the loss counts, and how much."""

import dataclasses
import math
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from curate.core.chat.chat_format import ChatFormat, TemplateFault
from curate.core.chat.history import History, parts_instead
from curate.core.rows.preference_pair import compared_sides, rejected_conversation
from curate.core.rows.row import DESIRABLE, REJECTED, Row


@dataclass(frozen=True, slots=True)
class TokenizedRow:
    """A row as token ids.

    Attributes:
        name: the row's id, or its file and line.
        supervised: for token i, whether the loss counts how well it is predicted from those before it.
        weights: how much token i counts; None where all count alike.
        rejected: where preferences are trained, the other answer behind the same prompt.
        reference: the log-probabilities of its answers in the model before training.
        desirable: the judgement, where the row's only answer is judged.
    """

    name: str
    ids: list[int]
    supervised: list[bool]
    weights: list[float] | None = None
    rejected: "TokenizedRow | None" = None
    reference: tuple[float, ...] | None = None
    desirable: bool = True

    @property
    def sequences(self) -> tuple["TokenizedRow", ...]:
        """What is computed for it: itself, or both answers."""
        return (self, self.rejected) if self.rejected else (self,)

    @property
    def size(self) -> int:
        """How many tokens it has, both answers together."""
        return sum(len(one.ids) for one in self.sequences)

    @property
    def longest(self) -> int:
        """How many tokens its longer answer's row has."""
        return max(len(one.ids) for one in self.sequences)

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

    def cut(self, length: int) -> "TokenizedRow":
        """The first `length` tokens, of both answers."""
        weights = None if self.weights is None else self.weights[:length]
        rejected = self.rejected and self.rejected.cut(length)
        ids, supervised = self.ids[:length], self.supervised[:length]
        return TokenizedRow(self.name, ids, supervised, weights, rejected, desirable=self.desirable)

    def glimpse(self, tokens: int) -> "TokenizedRow":
        """A row to try things on: `tokens` of its tokens at most, its first and those up to the last that counts."""
        end, half = len(self.inputs) + 1, tokens // 2
        if end <= tokens:
            return self
        kept = [*range(half), *range(end - half, end)]
        ids, supervised = ([column[at] for at in kept] for column in (self.ids, self.supervised))
        weights = None if self.weights is None else [self.weights[at] for at in kept]
        rejected = self.rejected and self.rejected.glimpse(tokens)
        return TokenizedRow(self.name, ids, supervised, weights, rejected, desirable=self.desirable)

    def is_cut_within_an_answer(self, length: int) -> bool:
        """Whether the last token that `cut` leaves and the first that it loses are both part of an answer."""
        longer = [one.supervised for one in self.sequences if len(one.ids) > length]
        return any(counts[length - 1] and counts[length] for counts in longer)


def tokenize(chat: ChatFormat, row: Row) -> TokenizedRow | TemplateFault:
    """The row as tokens; what the loss counts are the assistant's answers. Or why it can't be trained on."""
    encoded = chat.encode(row.messages, row.tools)
    if isinstance(encoded, TemplateFault):
        return encoded
    uneven = {message.weight for message in row.messages if message.role == "assistant"} - {None, 0, 1}
    if not uneven:
        return TokenizedRow(row.id, encoded.ids, encoded.supervised)
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
    return TokenizedRow(row.id, encoded.ids, encoded.supervised, weights)


def tokenize_samples(chat: ChatFormat, row: Row, history: History) -> list[TokenizedRow] | TemplateFault:
    """The row as one sample or, where the template rewrites its earlier turns, as `history` says.

    A sample of one answer among several is called `ID#N` where N is the answer's place among the messages. An answer
    that people found bad is none to learn.
    """
    if row.meta.get(DESIRABLE) is False and REJECTED not in row.meta:
        return TemplateFault("undesirable-answer", "people found the answer bad: train with `objective: kto`")
    whole = tokenize(chat, row)
    if isinstance(whole, TokenizedRow):
        return [whole]
    samples: list[TokenizedRow] = []
    for messages in parts_instead(whole, row.messages, history):
        sample = tokenize(chat, replace(row, id=f"{row.id}#{len(messages) - 1}", messages=messages))
        if isinstance(sample, TemplateFault):
            return sample
        samples.append(sample)
    return samples or whole


def tokenize_pair(chat: ChatFormat, row: Row) -> TokenizedRow | TemplateFault:
    """The row as tokens, with its rejected answer, which `meta.rejected` holds. Or why it can't be trained on.

    Of both conversations only what follows their common start counts.
    """
    try:
        other = rejected_conversation(row)
    except (msgspec.MsgspecError, TypeError) as error:
        return TemplateFault("no-rejected-answer", f"meta.rejected is neither text nor messages: {error}")
    if not other:
        return TemplateFault("no-rejected-answer", "preferences need `chosen` and `rejected`, or meta.rejected")
    if other == row.messages:
        return TemplateFault("same-answers", "the chosen and the rejected answer are the same")
    chosen, rejected = (tokenize(chat, replace(row, messages=side)) for side in compared_sides(row, other))
    if isinstance(chosen, TemplateFault):
        return chosen
    if isinstance(rejected, TemplateFault):
        return TemplateFault(rejected.rule, f"the rejected answer: {rejected.detail}")
    return TokenizedRow(chosen.name, chosen.ids, chosen.supervised, chosen.weights, rejected)


def tokenize_judged(chat: ChatFormat, row: Row) -> TokenizedRow | TemplateFault:
    """The row as tokens, with both its answers, or with one and whether `meta.desirable` says that it is good."""
    desirable = row.meta.get(DESIRABLE)
    if REJECTED in row.meta or not isinstance(desirable, bool):
        made = tokenize_pair(chat, row)
        if isinstance(made, TemplateFault) and made.rule == "no-rejected-answer":
            return TemplateFault("no-judgement", "kto needs meta.rejected, or meta.desirable: true or false")
        return made
    made = tokenize(chat, row)
    return made if isinstance(made, TemplateFault) else dataclasses.replace(made, desirable=desirable)
