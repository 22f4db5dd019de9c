"""The recipe that a dataset was built by, as far as it is found again: edited rows are checked as built ones were."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from curate.core.digests import digest_file
from curate.core.errors import AcidtestError
from curate.core.manifest import MANIFEST, Manifest, peek_manifest
from curate.core.paths import find_path
from curate.recipe.recipe import Recipe
from curate.table.stage import Context

_UNKNOWN = {"name": "unknown", "behaviour": "-", "output": "unknown", "sources": [{"name": "rows", "path": "rows"}]}


def built_by(dataset: Path | None) -> Context:
    """The recipe in the dataset's manifest and the folder that its paths start at.

    Without a manifest it is a recipe that says nothing. A schema or a base that is not found any more is left out: the
    next build, which has them, checks edits again.
    """
    manifest = peek_manifest(dataset / MANIFEST) if dataset is not None else None
    try:
        recipe = Recipe.model_validate(_UNKNOWN if manifest is None else manifest.recipe)
    except ValidationError:  # of a release that had other settings
        return Context(Recipe.model_validate(_UNKNOWN), Path())
    if manifest is None or dataset is None:
        return Context(recipe, Path())
    folder = next((one for one in _folders(recipe, dataset) if _has_schema(one, manifest)), None)
    schema = recipe.checks.target_schema
    if folder is None and schema is not None and schema.endswith(".json"):
        recipe = recipe.model_copy(update={"checks": recipe.checks.model_copy(update={"target_schema": None})})
    folder = folder or dataset
    if recipe.base is not None and not _finds(recipe.base, folder):
        recipe = recipe.model_copy(update={"base": None})
    return Context(recipe, folder)


def _folders(recipe: Recipe, dataset: Path) -> Iterator[Path]:
    """Where the recipe may stand: above the output that it names, else where the command runs."""
    output, here = Path(recipe.output), dataset.absolute()
    above = here.parents[len(output.parts) - 1] if 0 < len(output.parts) <= len(here.parents) else here
    if find_path(recipe.output, above) == find_path(".", here):
        yield above
    yield Path.cwd()


def _has_schema(folder: Path, manifest: Manifest) -> bool:
    """Does the schema that the dataset was built with stand where it would, if the recipe stood in this folder?"""
    for one in manifest.inputs:
        if one.kind == "schema":
            path = find_path(one.path, folder)
            if not path.is_file() or digest_file(path) != one.digest:
                return False
    return True


def _finds(base: str, folder: Path) -> bool:
    from curate.validate.rules.template import base_files

    try:
        return bool(list(base_files(base, folder)))
    except AcidtestError:
        return False
