"""Rules: small pure functions from an item and an answer to a mark. Each kind has a file; this is their list."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from evalkit.rules.exact import ExactConfig, exact
from evalkit.rules.json_object import JsonSchemaConfig, JsonValidConfig, json_schema, json_valid
from evalkit.rules.outcome import Mark, Rule, Unscored
from evalkit.rules.tool_call import ToolCallConfig, tool_call
from evalkit.rules.user_function import FunctionConfig, user_function

__all__ = ["Mark", "Rule", "RuleConfig", "Unscored", "make_rule"]

RuleConfig = Annotated[
    ExactConfig | JsonValidConfig | JsonSchemaConfig | ToolCallConfig | FunctionConfig, Field(discriminator="kind")
]


def make_rule(config: RuleConfig, folder: Path) -> Rule:
    """The rule that a suite's scorer names; its paths are relative to `folder`."""
    match config:
        case ExactConfig():
            return exact(config)
        case JsonValidConfig():
            return json_valid(config)
        case JsonSchemaConfig():
            return json_schema(config)
        case ToolCallConfig():
            return tool_call(config)
        case FunctionConfig():
            return user_function(config, folder)
