"""A scorer of the user's own: a Python function in a file."""

from pathlib import Path
from typing import Any, Literal

from curate.core.paths import load_function
from curate.core.rows.row import Row
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored


class FunctionConfig(ScorerConfig):
    """`function`, written as `path/to/file.py:function`, gets the item (a `Row`) and the answer's text.

    It returns a number from 0 to 1 or a boolean, a pair of that and a word on why, or None where the item can't be
    scored. What it raises makes the answer unscored, with the reason.
    """

    kind: Literal["function"]
    function: str


def user_function(config: FunctionConfig, folder: Path) -> TextScorer:
    """The scorer. Raises: ConfigError where the file or the function can't be had."""
    function = load_function(config.function, folder)

    def rule(item: Row, answer: str) -> Mark | Unscored:
        result = function(item, answer)
        value, detail = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        if value is None:
            return Unscored(str(detail or "the scorer gave no value"))
        return Mark(_number(value), None if detail is None else str(detail))

    return rule


def _number(value: Any) -> float:
    if not isinstance(value, bool | int | float):
        raise TypeError(f"the scorer gave a {type(value).__name__}, not a number")
    if not 0 <= value <= 1:
        raise ValueError(f"the scorer gave {value}, not a number from 0 to 1")
    return float(value)
