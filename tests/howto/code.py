"""Blocks of code in the text of a row."""

from curate.core.rows.row import Row
from curate.recipe.rule_ids import Fault


def check_code(row: Row) -> Fault | None:
    """The first message that opens a block of code and doesn't close it."""
    for number, message in enumerate(row.messages, start=1):
        if message.text.count("```") % 2:
            return "open-code", f"message {number} opens a block of code and doesn't close it"
    return None
