"""Rules: small functions from an item and an answer to a mark. Each kind is here once, with the version it is at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from curate.core.config_file import Config
from curate.core.digests import digest_file
from curate.core.paths import find_path
from evalkit.rules.canary import CanaryConfig, canary
from evalkit.rules.coherent import CoherentConfig, coherent
from evalkit.rules.constraints import ConstraintsConfig, constraints
from evalkit.rules.effort import CostConfig, LatencyConfig, cost, latency
from evalkit.rules.exact import ExactConfig, exact
from evalkit.rules.fields import FieldsConfig, fields
from evalkit.rules.json_object import JsonSchemaConfig, JsonValidConfig, json_schema, json_valid
from evalkit.rules.label import LabelConfig, label
from evalkit.rules.manner import ForbiddenConfig, LanguageConfig, forbidden, language
from evalkit.rules.number import NumberConfig, number
from evalkit.rules.outcome import Mark, OfGeneration, Rule, Together, Unscored
from evalkit.rules.refusal import RefusalConfig, refusal
from evalkit.rules.semantic import SemanticConfig, semantic
from evalkit.rules.tool_call import ToolCallConfig, tool_call
from evalkit.rules.tool_policy import ToolPolicyConfig, tool_policy
from evalkit.rules.user_function import FunctionConfig, user_function
from evalkit.rules.wording import (
    ContainsConfig,
    LengthConfig,
    NormalisedConfig,
    PatternConfig,
    TokenF1Config,
    contains,
    length,
    normalised_match,
    pattern,
    token_f1,
)

__all__ = ["Mark", "OfGeneration", "Rule", "RuleConfig", "Together", "Unscored", "make_rule", "rule_version"]

RuleConfig = Annotated[
    ExactConfig
    | NormalisedConfig
    | NumberConfig
    | ContainsConfig
    | ForbiddenConfig
    | PatternConfig
    | LengthConfig
    | LanguageConfig
    | RefusalConfig
    | TokenF1Config
    | SemanticConfig
    | LabelConfig
    | FieldsConfig
    | JsonValidConfig
    | JsonSchemaConfig
    | ToolCallConfig
    | LatencyConfig
    | CostConfig
    | ConstraintsConfig
    | ToolPolicyConfig
    | CanaryConfig
    | CoherentConfig
    | FunctionConfig,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind of rule is made, and its version: it changes with every change of what it says about an answer."""

    make: Callable[..., Rule]
    version: int = 1
    in_folder: bool = False


_KINDS: dict[type[Config], _Kind] = {
    ExactConfig: _Kind(exact),
    NormalisedConfig: _Kind(normalised_match),
    NumberConfig: _Kind(number),
    ContainsConfig: _Kind(contains),
    ForbiddenConfig: _Kind(forbidden),
    PatternConfig: _Kind(pattern),
    LengthConfig: _Kind(length),
    LanguageConfig: _Kind(language),
    RefusalConfig: _Kind(refusal),
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


def make_rule(config: RuleConfig, folder: Path) -> Rule:
    """The rule that a suite's scorer names; its paths are relative to `folder`."""
    kind = _KINDS[type(config)]
    return kind.make(config, folder) if kind.in_folder else kind.make(config)


def rule_version(config: RuleConfig, folder: Path) -> str:
    """The version of the rule that a scorer names: ours by number, a user's function by its file's digest."""
    if isinstance(config, FunctionConfig):
        return f"function {digest_file(find_path(config.function.rpartition(':')[0], folder))}"
    return f"{config.kind} {_KINDS[type(config)].version}"
