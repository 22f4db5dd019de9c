"""The stages of a build, in their order. A new stage is a file with its object, and a line here."""

from curate.compose.balance import Balancing
from curate.compose.growing import Openings
from curate.compose.mix import Mixing
from curate.compose.split import OrderDraw, SideDraw
from curate.decontaminate.stage import Decontamination
from curate.dedup.earlier_index import EarlierIndex
from curate.dedup.exact import ExactDuplicates
from curate.dedup.near import NearDuplicates
from curate.dedup.semantic import SemanticDuplicates
from curate.screen.stage import Screening
from curate.table.chunk import Makers
from curate.table.stage import Context, Stage
from curate.validate.stage import Validation

STAGES: tuple[Stage, ...] = (
    Validation(),
    ExactDuplicates(),
    Screening(),
    Decontamination(),
    EarlierIndex(),
    NearDuplicates(),
    SemanticDuplicates(),
    Balancing(),
    Mixing(),
)
COMPOSING = frozenset(stage.name for stage in STAGES if stage.composes)
"""The stages that take out good rows on purpose: what they leave is no sign that something is wrong."""
DUPLICATES = tuple(stage.name for stage in STAGES if stage.finds_duplicates)
"""The stages whose rejections repeat another row, and say which."""


def wanted_stages(context: Context) -> list[Stage]:
    """The stages that the recipe asks for."""
    return [stage for stage in STAGES if stage.is_wanted(context.recipe, context.folder)]


def all_makers(context: Context) -> Makers:
    """What the stages and the split want to know of every row that is read."""
    recipe = context.recipe
    given = [stage.makers(recipe, context.folder) for stage in wanted_stages(context)]
    draws = SideDraw(recipe.split, recipe.seed), OrderDraw(recipe.split, recipe.seed)
    columns = (*(maker for each in given for maker in each.columns), *draws, Openings())
    return Makers(columns, tuple(packer for each in given for packer in each.packs))
