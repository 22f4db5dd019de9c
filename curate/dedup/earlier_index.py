"""Rows that an index of earlier datasets knows: the recipe names it in `dedup: {against: ...}`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from curate.files.curated_folders import index_folder
from curate.recipe.recipe import Dedup
from curate.table.row_ref import Because, Context, Entry, Outcome, Rejection, Rows, reject

STAGE = "index"


def names_index(settings: Dedup | None, folder: Path) -> bool:
    """Is one of the earlier datasets an index?"""
    return settings is not None and any(
        index_folder(path, folder) is not None for source in settings.against for path in source.paths
    )


def drop_known(entries: Sequence[Entry], context: Context) -> Outcome:
    """The rows that no index knows; the others go because of the most similar row of the first that does.

    Raises: DataError or ProvenanceError for an index that is missing or damaged, ServiceError for Redis.
    """
    from curate.dedup.index import find_rows

    settings = context.recipe.dedup
    assert settings is not None
    kept, rejections = list(entries), list[Rejection]()
    found: Counter[str] = Counter()
    for path in [path for source in settings.against for path in source.paths]:
        folder = index_folder(path, context.folder)
        if folder is None:
            continue
        left = []
        for entry, match in zip(kept, find_rows(folder, Rows(kept)), strict=True):
            if match is None:
                left.append(entry)
                continue
            found[match.dataset] += 1
            detail = f"Jaccard similarity {match.similarity:.4f} with {match.id} of {match.dataset}"
            because = Because(match.id, match.similarity, match.dataset)
            rejections.append(reject(entry, STAGE, "in-earlier-dataset", detail, because))
        kept = left
    return Outcome(kept, rejections, counts={"against": dict(sorted(found.items()))})
