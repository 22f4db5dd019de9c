"""Answers by a user's function: `path/to/file.py:function`, called with the messages, returns the answer's text."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from curate.core.console import Advance
from curate.core.paths import load_function
from evalkit.backends.types import Answer, Request, failed


class FunctionBackend:
    """Backend that calls a function. What it raises makes the answer a failed one."""

    def __init__(self, function: str, folder: Path) -> None:
        self._function = load_function(function, folder)

    def generate(
        self,
        requests: Sequence[Request],
        *,
        max_tokens: int,  # noqa: ARG002 - the protocol's
        advance: Advance,
    ) -> Iterator[tuple[Request, Answer]]:
        """Each request with its answer."""
        for request in requests:
            try:
                answer = Answer(text=str(self._function(request.messages)))
            except Exception as error:  # noqa: BLE001 - a user's function can raise anything; the others are asked
                answer = failed(f"{type(error).__name__}: {error}")
            advance(1)
            yield request, answer
