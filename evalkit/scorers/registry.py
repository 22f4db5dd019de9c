"""Every kind of scorer, once: its settings, how it is made of them, and the version it is at.

A new kind is a file with its settings and its function, and a line in `_KINDS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from curate.core.digests import digest_file
from curate.core.paths import find_path
from evalkit.scorers.canary import CanaryConfig, canary
from evalkit.scorers.coherent import CoherentConfig, coherent
from evalkit.scorers.constraints import ConstraintsConfig, constraints
from evalkit.scorers.effort import CostConfig, LatencyConfig, cost, latency
from evalkit.scorers.fields import FieldsConfig, fields
from evalkit.scorers.function import FunctionConfig, user_function
from evalkit.scorers.json_object import JsonSchemaConfig, JsonValidConfig, json_schema, json_valid
from evalkit.scorers.label import LabelConfig, label
from evalkit.scorers.manner import ForbiddenConfig, LanguageConfig, forbidden, language
from evalkit.scorers.number import NumberConfig, number
from evalkit.scorers.refusal import RefusalConfig, refusal
from evalkit.scorers.semantic import SemanticConfig, semantic
from evalkit.scorers.text import (
    ContainsConfig,
    ExactConfig,
    LengthConfig,
    NormalisedConfig,
    PatternConfig,
    TokenF1Config,
    contains,
    exact,
    length,
    normalised_match,
    pattern,
    token_f1,
)
from evalkit.scorers.tool_call import ToolCallConfig, tool_call
from evalkit.scorers.tool_policy import ToolPolicyConfig, tool_policy
from evalkit.scorers.types import Scorer, ScorerConfig


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind of scorer is made, and its version, which changes whenever it would mark an answer otherwise.

    `in_folder`: it reads files, and is made with the folder that paths in the suite are relative to.
    """

    make: Callable[..., Scorer]
    version: int = 1
    in_folder: bool = False


_KINDS: dict[type[ScorerConfig], _Kind] = {
    ExactConfig: _Kind(exact),
    NormalisedConfig: _Kind(normalised_match),
    NumberConfig: _Kind(number),
    ContainsConfig: _Kind(contains),
    ForbiddenConfig: _Kind(forbidden),
    PatternConfig: _Kind(pattern),
    LengthConfig: _Kind(length),
    LanguageConfig: _Kind(language, version=2),
    RefusalConfig: _Kind(refusal, version=2),
    TokenF1Config: _Kind(token_f1),
    SemanticConfig: _Kind(semantic, in_folder=True),
    LabelConfig: _Kind(label),
    FieldsConfig: _Kind(fields),
    JsonValidConfig: _Kind(json_valid),
    JsonSchemaConfig: _Kind(json_schema),
    ToolCallConfig: _Kind(tool_call),
    LatencyConfig: _Kind(latency),
    CostConfig: _Kind(cost),
    ConstraintsConfig: _Kind(constraints),
    ToolPolicyConfig: _Kind(tool_policy),
    CanaryConfig: _Kind(canary, in_folder=True),
    CoherentConfig: _Kind(coherent),
    FunctionConfig: _Kind(user_function, in_folder=True),
}


if TYPE_CHECKING:
    AnyScorerConfig = ScorerConfig
else:
    AnyScorerConfig = Annotated[reduce(or_, _KINDS), Field(discriminator="kind")]
"""The settings of any of these kinds, told apart by `kind`."""


def make_scorer(config: AnyScorerConfig, folder: Path) -> Scorer:
    """The scorer of these settings; paths in them are relative to `folder`."""
    kind = _KINDS[type(config)]
    return kind.make(config, folder) if kind.in_folder else kind.make(config)


def scorer_version(config: AnyScorerConfig, folder: Path) -> str:
    """The version of the scorer of these settings: ours by number, a user's function by its file's digest."""
    if isinstance(config, FunctionConfig):
        return f"function {digest_file(find_path(config.function.rpartition(':')[0], folder))}"
    return f"{config.kind} {_KINDS[type(config)].version}"
