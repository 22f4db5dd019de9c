"""What reading found out of sources whose format the recipe does not name."""

from curate.core.manifest import Manifest
from curate.core.sources.row_readers import UNKNOWN
from curate.recipe.recipe import recipe_of


def detected_formats(manifest: Manifest) -> list[str]:
    """A sentence for each source whose format was found out and not named: what to pin in the recipe."""
    sources = recipe_of(manifest).sources
    open_sources = {source.name for source in sources if not (source.adapter or source.format or source.map)}
    files = [item for item in manifest.inputs if item.kind == "source" and item.name in open_sources]
    found = dict.fromkeys((item.name, item.format) for item in files)
    return [
        f"{name}: no known format fits its first records: rejected.jsonl says which `map` reads them"
        if form == UNKNOWN
        else f"{name}: read as {form}; pin it with `format: {form}`"
        for name, form in found
    ]
