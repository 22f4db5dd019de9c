"""The files that stages read beside the sources: suites, word lists, functions. The dataset depends on them too."""

from curate.core.digests import digest_file
from curate.core.paths import find_path
from curate.files.records import Input, find_inputs
from curate.read.sources import InputFile
from curate.table.row_ref import Context


def find_stage_files(context: Context) -> list[InputFile]:
    """Every file that the recipe's stages name, with its digest. Raises: DataError where one is missing."""
    recipe, folder = context.recipe, context.folder
    found: list[tuple[str, str, Input]] = []
    if recipe.decontaminate is not None:
        found += [
            (against.name or against.path, "suite", one)
            for against in recipe.decontaminate.against
            for one in find_inputs(against.path, folder)
        ]
    screens = recipe.screens
    if screens.toxicity is not None:
        found += [("toxicity", "words", Input(path, find_path(path, folder))) for path in screens.toxicity.words]
    functions = [(custom.name, custom.function) for custom in screens.custom]
    if screens.toxicity is not None and screens.toxicity.classifier is not None:
        functions.append(("toxicity", screens.toxicity.classifier))
    for name, function in functions:
        file = function.rpartition(":")[0]
        found.append((name, "function", Input(file, find_path(file, folder))))
    return [InputFile(name, kind, one, digest_file(one.path)) for name, kind, one in found]
