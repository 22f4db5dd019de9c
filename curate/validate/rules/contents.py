"""What a row holds that can't be trained on: media, text under keys that no field takes, answers found bad."""

from curate.core.rows.contents import find_unread
from curate.core.rows.row import DESIRABLE, REJECTED, Row
from curate.recipe.rule_ids import RULES, Fault


def check_contents(row: Row) -> Fault | None:
    """The first thing that the model should see or learn, and that is no text, call or reasoning of a message."""
    found = find_unread(row)
    return None if found is None else (found[0], f"{found[1]}: {RULES[found[0]]}")


def check_judgement(row: Row) -> Fault | None:
    """Is the answer one that people found bad?"""
    if row.meta.get(DESIRABLE) is not False or REJECTED in row.meta:
        return None
    return "undesirable-answer", RULES["undesirable-answer"]
