"""How long rows are in tokens of the recipe's base: counted once, and kept for later builds."""

from curate.table.selection import RowSelection
from curate.table.stage import Context


def count_tokens(rows: RowSelection, context: Context, stage: str) -> dict[str, int]:
    """Row id -> its length in tokens of the recipe's base; empty without one. Rows that don't render count 1."""
    base, cache = context.recipe.base, context.cache
    if base is None:
        return {}
    from curate.validate.rules.template import token_counts

    def make() -> list[int]:
        return token_counts(rows.rows, context)

    counts = make() if cache is None else cache.of_part(f"{stage} tokens", base, frozenset({"base"}), make)
    return dict(zip(rows.ids(), counts, strict=True))
