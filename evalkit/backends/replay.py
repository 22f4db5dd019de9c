"""Recorded answers from a file instead of a model: for tests, and for answers that were made elsewhere."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from curate.core.console import Advance
from curate.core.errors import DataError
from curate.core.files import decode_lines
from evalkit.backends.types import Answer, Request, failed
from evalkit.records.lines import Generation


class Replay:
    """Backend that answers from `Generation` lines, by item id.

    Lines with the asking contender's name win over lines without one, so one file can hold several contenders.
    """

    def __init__(self, path: Path) -> None:
        self._answers: dict[tuple[str, str], Answer] = {}
        for line in decode_lines(path, Generation):
            key = (line.contender, line.item)
            if key in self._answers:
                raise DataError("two recorded answers for the same item and contender", where=f"{path}: {line.item}")
            self._answers[key] = Answer(
                text=line.text,
                finish_reason=line.finish_reason,
                error=line.error,
                prompt_tokens=line.prompt_tokens,
                completion_tokens=line.completion_tokens,
                latency_ms=line.latency_ms,
            )

    def generate(
        self,
        requests: Sequence[Request],
        *,
        max_tokens: int,  # noqa: ARG002 - the protocol's
        advance: Advance,
    ) -> Iterator[tuple[Request, Answer]]:
        """Each request with its recorded answer, or a failed one where none was recorded."""
        for request in requests:
            recorded = self._answers.get((request.contender, request.item)) or self._answers.get(("", request.item))
            advance(1)
            yield request, recorded or failed("no recorded answer")
