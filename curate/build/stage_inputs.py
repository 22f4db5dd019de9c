"""The files that a dataset depends on: its sources, and what stages read beside them."""

from collections.abc import Iterator

from curate.build.stages import STAGES
from curate.core.digests import digest_file
from curate.core.paths import find_path, load_function
from curate.core.sources.known_folders import INDEX_RECORD, index_folder
from curate.core.sources.records import Input, find_inputs
from curate.core.sources.row_readers import pinned
from curate.core.sources.source import Source
from curate.recipe.recipe import Recipe
from curate.table.stage import Context, InputFile

# The stages whose files come last: the order of files is part of what a dataset's digest is made of.
_LAST = ("decontaminate", "screen")


def find_files(context: Context) -> list[InputFile]:
    """Every file that the recipe names, with its digest. Raises: DataError where one is missing or unreadable."""
    recipe = context.recipe
    against = recipe.dedup.against if recipe.dedup is not None else []
    named = [file for source in recipe.sources for file in _of_source("source", source, context)]
    named += [file for source in against for file in _of_source("against", source, context)]
    first = [stage for stage in STAGES if stage.name not in _LAST]
    last = sorted((stage for stage in STAGES if stage.name in _LAST), key=lambda stage: _LAST.index(stage.name))
    named += [file for stage in (*first, *last) for file in stage.inputs(context)]
    return [InputFile(name, kind, found, digest_file(found.path)) for name, kind, found in named]


def find_functions(recipe: Recipe) -> list[str]:
    """The Python functions that the recipe names, each as `file.py:function`."""
    sources = [*recipe.sources, *(recipe.dedup.against if recipe.dedup is not None else [])]
    toxicity, custom = recipe.screens.toxicity, recipe.screens.custom
    named = [source.adapter for source in sources] + [screen.function for screen in custom]
    named.append(toxicity.classifier if toxicity is not None else None)
    return list(dict.fromkeys(name for name in named if name is not None))


def _of_source(kind: str, source: Source, context: Context) -> Iterator[tuple[str, str, Input]]:
    folder = context.folder
    indexes = [path for path in source.paths if kind == "against" and index_folder(path, folder) is not None]
    for path in indexes:
        yield source.name, "index", _index_record(path, context)
    found = [found for path in source.paths if path not in indexes for found in find_inputs(path, folder)]
    # By name, so that it makes no difference in which order a recipe or a folder lists them.
    for item in sorted(found, key=lambda item: item.shown):
        yield source.name, kind, pinned(source, item)
    for join in source.join.values():
        yield source.name, "join", Input(join.path, find_path(join.path, folder))
    if source.adapter is not None:
        load_function(source.adapter, folder)
        file = source.adapter.rpartition(":")[0]
        yield source.name, "adapter", Input(file, find_path(file, folder))


def _index_record(path: str, context: Context) -> Input:
    """The record of an index: it has the digests of all that the index holds."""
    shown = f"{path.rstrip('/')}/{INDEX_RECORD}"
    return Input(shown, find_path(shown, context.folder))
