"""Rules: small pure functions from an item and an answer to a mark. Each kind has a file; this is their list."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from curate.core.config_file import Config
from evalkit.rules.canary import CanaryConfig, canary
from evalkit.rules.coherent import CoherentConfig, coherent
from evalkit.rules.constraints import ConstraintsConfig, constraints
from evalkit.rules.exact import ExactConfig, exact
from evalkit.rules.fields import FieldsConfig, fields
from evalkit.rules.json_object import JsonSchemaConfig, JsonValidConfig, json_schema, json_valid
from evalkit.rules.number import NumberConfig, number
from evalkit.rules.outcome import Mark, Rule, Unscored
from evalkit.rules.refusal import RefusalConfig, refusal
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

__all__ = ["Mark", "Rule", "RuleConfig", "Unscored", "make_rule"]

RuleConfig = Annotated[
    ExactConfig
    | NormalisedConfig
    | NumberConfig
    | ContainsConfig
    | PatternConfig
    | LengthConfig
    | TokenF1Config
    | FieldsConfig
    | JsonValidConfig
    | JsonSchemaConfig
    | ToolCallConfig
    | ConstraintsConfig
    | RefusalConfig
    | ToolPolicyConfig
    | CanaryConfig
    | CoherentConfig
    | FunctionConfig,
    Field(discriminator="kind"),
]
# Kinds that need nothing but their settings; functions and files are found from the suite's folder.
_MAKERS: dict[type[Config], Callable[..., Rule]] = {
    ExactConfig: exact,
    NormalisedConfig: normalised_match,
    NumberConfig: number,
    ContainsConfig: contains,
    PatternConfig: pattern,
    LengthConfig: length,
    TokenF1Config: token_f1,
    FieldsConfig: fields,
    JsonValidConfig: json_valid,
    JsonSchemaConfig: json_schema,
    ToolCallConfig: tool_call,
    ConstraintsConfig: constraints,
    RefusalConfig: refusal,
    ToolPolicyConfig: tool_policy,
    CoherentConfig: coherent,
}


def make_rule(config: RuleConfig, folder: Path) -> Rule:
    """The rule that a suite's scorer names; its paths are relative to `folder`."""
    if isinstance(config, FunctionConfig):
        return user_function(config, folder)
    if isinstance(config, CanaryConfig):
        return canary(config, folder)
    return _MAKERS[type(config)](config)
