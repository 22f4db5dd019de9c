"""A row as tokens of a base model, for reviewers."""

from collections.abc import Sequence
from pathlib import Path

from curate.core.chat.chat_format import TemplateFault
from curate.core.errors import AcidtestError
from curate.core.review.layout import Tokens
from curate.core.review.safe_text import Span, shown
from curate.core.rows.row import Row
from curate.validate.rules.template import chat_format


def token_view(base: str, folder: Path) -> Tokens:
    """What shows a row as tokens of the base model, those that count in the loss between ⟦ and ⟧."""

    def spans(row: Row) -> Sequence[Span]:
        try:
            chat = chat_format(base, folder)
            encoded = chat.encode(row.messages, row.tools)
        except AcidtestError as error:
            return [(str(error), "fault")]
        if isinstance(encoded, TemplateFault):
            return [(f"{encoded.rule}: {encoded.detail}", "fault")]
        made: list[Span] = [(f"{len(encoded.ids):,} tokens, {encoded.supervised_count:,} count\n", "key")]
        was = False
        for text, counts in zip(chat.token_texts(encoded.ids), encoded.supervised, strict=True):
            if counts is not was:
                made.append(("⟦" if counts else "⟧", "sign"))
            made.append((shown(text) + "·", "string" if counts else "text"))
            was = counts
        return [*made, ("⟧", "sign")] if was else made

    return spans
