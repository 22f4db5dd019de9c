"""Rows that an index of earlier datasets knows: the recipe names it in `dedup: {against: ...}`."""

from collections import Counter
from pathlib import Path

from curate.core.sources.known_folders import index_folder
from curate.recipe.recipe import Recipe
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection
from curate.table.stage import CacheKey, Context, Measured, Stage, StageResult


class EarlierIndex(Stage):
    """The rows that no index knows stay; the others go because of the most similar row of the first that does."""

    name = "index"
    finds_duplicates = True

    def is_wanted(self, recipe: Recipe, folder: Path) -> bool:
        """Is one of the earlier datasets an index?"""
        settings = recipe.dedup
        return settings is not None and any(
            index_folder(path, folder) is not None for source in settings.against for path in source.paths
        )

    def cache_key(self, context: Context) -> CacheKey:
        """The settings of near duplicates, and the indexes' records."""
        return duplicates_key(context, "index")

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are new. Raises: DataError or ProvenanceError for a damaged index, ServiceError for Redis."""
        from curate.dedup.index import find_rows

        settings = context.recipe.dedup
        assert settings is not None
        rejections, found = Rejections(), Counter[str]()
        for path in [path for source in settings.against for path in source.paths]:
            folder = index_folder(path, context.folder)
            if folder is None:
                continue
            known = {at: match for at, match in enumerate(find_rows(folder, rows.rows)) if match is not None}
            found.update(match.dataset for match in known.values())
            why = [
                ("in-earlier-dataset", f"Jaccard similarity {one.similarity:.4f} with {one.id} of {one.dataset}")
                for one in known.values()
            ]
            because = [(match.id, match.similarity, match.dataset) for match in known.values()]
            rejections += Rejections.of_rows(self.name, rows.take(list(known)), why, because)
            rows = rows.without(list(known))
        return StageResult(rows, rejections, counts={"against": dict(sorted(found.items()))})


def duplicates_key(context: Context, *kinds: str) -> CacheKey:
    """What stages that compare texts depend on: the settings of near duplicates, the seed, files of these kinds."""
    recipe = context.recipe
    dedup = recipe.dedup.model_dump(mode="json", by_alias=True, exclude={"semantic"}) if recipe.dedup else None
    return CacheKey([dedup, recipe.seed], frozenset(kinds))
