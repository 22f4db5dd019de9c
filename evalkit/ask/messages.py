"""From a contender and an item to the messages that are sent: pure, and the same for every backend."""

from collections.abc import Sequence

import msgspec

from curate.core.rows.row import Message, Row
from curate.core.seeding import stable_seed
from evalkit.documents.passages import Passage
from evalkit.suite.contenders import Contender
from evalkit.suite.items import split_system

_PASSAGES = "Passages from the documents, the best match last:"


def messages_for(
    contender: Contender, item: Row, examples: Sequence[Row] = (), passages: Sequence[Passage] = ()
) -> list[Message]:
    """The messages that a contender is sent for an item.

        system      the contender's own, else the item's
        user        question of the first example       the examples' system messages are left out
        assistant   its answer
        ...
        user        passages, the best last, next to the item's question

    Args:
        examples: solved rows.
        passages: what retrieval found, the best first.
    """
    system, question = split_system(item.prompt)
    if contender.system is not None:
        system = [Message("system", contender.system)]
    turns: list[Message] = []
    for example in examples:
        turns += [*split_system(example.prompt)[1], Message("assistant", example.answer)]
    return [*system, *turns, *(_after_passages(question, passages) if passages else question)]


def covering_examples(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """`count` solved rows, one label after the other, each label's rows in an order that the seed decides."""
    by_label: dict[str, list[Row]] = {}
    for row in sorted(solved(rows), key=lambda row: stable_seed(seed, row.id)):
        by_label.setdefault(row.label or "", []).append(row)
    chosen: list[Row] = []
    depth = 0
    while len(chosen) < count and any(len(rows) > depth for rows in by_label.values()):
        chosen += [by_label[label][depth] for label in sorted(by_label) if len(by_label[label]) > depth]
        depth += 1
    return chosen[:count]


def solved(rows: Sequence[Row]) -> list[Row]:
    """The rows that can be examples: those with an answer."""
    return [row for row in rows if row.answer.strip()]


def _after_passages(question: list[Message], passages: Sequence[Passage]) -> list[Message]:
    """The question's turns with the passages, each under its source, at the start of the last of the user's."""
    shown = [f"[{passage.source}]\n{passage.text}" if passage.source else passage.text for passage in passages]
    text = "\n\n".join([_PASSAGES, *reversed(shown)]) + "\n\n"
    last = max((index for index, message in enumerate(question) if message.role == "user"), default=None)
    if last is None:
        return [Message("user", text.rstrip()), *question]
    message = question[last]
    if isinstance(message.content, list):
        message = msgspec.structs.replace(message, content=[{"type": "text", "text": text}, *message.content])
    else:
        message = msgspec.structs.replace(message, content=text + (message.content or ""))
    return [*question[:last], message, *question[last + 1 :]]
