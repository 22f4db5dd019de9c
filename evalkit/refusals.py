"""Whether an answer declines to do what was asked, by how it opens."""

from functools import cache
from typing import Any

import regex  # type: ignore[import-untyped]  # ships no types

from curate.core.refusals import REFUSALS

_LIMIT_S = 0.5  # for one pattern on one answer


def is_refusal(answer: str) -> bool:
    """Whether the answer declines. An empty answer doesn't: it is no answer.

    Raises: TimeoutError where a pattern takes too long on it.
    """
    return any(pattern.search(answer, timeout=_LIMIT_S) for pattern in _patterns())


@cache
def _patterns() -> list[Any]:
    return [regex.compile(pattern) for pattern in REFUSALS.values()]
