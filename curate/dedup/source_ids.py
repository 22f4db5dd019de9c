"""Ids belong to their source: a row with the id of one from an earlier source gets another, made of both names."""

from collections.abc import Iterable

import numpy as np
from msgspec.structs import replace

from curate.core.sources.record_to_row import kept_in_meta
from curate.table.selection import RowSelection

_SHOWN = 3


def rename_ids(rows: RowSelection) -> tuple[RowSelection, dict[int, int]]:
    """The rows with ids that no two sources share, and the numbers of those with a new id, by what they were before.

    A row `7` of `faq` becomes `faq/7`, and its `meta.id` is `7`. Rows of one source that share an id share the new one.
    """
    firsts = rows.first_with_id()
    later = np.flatnonzero(firsts != np.arange(firsts.size))
    sources, files = rows.table.sources, rows.column("file")
    of = [sources[file] for file in files[later].tolist()]
    first_of = [sources[file] for file in files[firsts[later]].tolist()]
    at = later[[one != other for one, other in zip(of, first_of, strict=True)]] if later.size else later
    if not at.size:
        return rows, {}
    known = [(sources[file], name) for file, name in zip(files[at].tolist(), rows.take(at).ids(), strict=True)]
    names = _free_names(rows, dict.fromkeys(known))
    changed = [
        replace(row, id=names[key], meta=kept_in_meta(row.meta, "id", row.id))
        for key, row in zip(known, rows.take(at).rows, strict=True)
    ]
    renamed = rows.changed(at.tolist(), changed, own_record=False)
    return renamed, dict(zip(rows.numbers[at].tolist(), renamed.numbers[at].tolist(), strict=True))


def told_ids(rows: RowSelection) -> str:
    """A sentence on rows that were renamed."""
    names = ", ".join(rows[:_SHOWN].ids()) + (", ..." if len(rows) > _SHOWN else "")
    return (
        f"{len(rows)} rows have an id that a row of an earlier source has; their source's name stands before it now,"
        f" and meta.id is what they came with: {names}"
    )


def _free_names(rows: RowSelection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A name for each source and id that no row has, and no two of these."""
    names: dict[tuple[str, str], str] = {}
    waiting = {key: "/".join(key) for key in keys}
    while waiting:
        taken = {*names.values(), *rows.take(rows.find(set(waiting.values()))).ids()}
        for key, name in list(waiting.items()):
            if name in taken:
                waiting[key] = f"{name}~"
            else:
                taken.add(name)
                names[key] = waiting.pop(key)
    return names
