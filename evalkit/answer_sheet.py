"""One contender's questions with the answers that there are so far, on disk: what memory holds is which is where."""

from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby

from curate.core.rows.row import Row
from evalkit.generate import Answer, Request
from evalkit.prompts import Questions
from evalkit.records import Generation
from evalkit.spool import Spool

_NONE = -1  # the place of an answer that isn't there yet


class AnswerSheet:
    """The answers to one contender's questions, in any order as they come, read back in the order of the items."""

    def __init__(self, questions: Questions) -> None:
        self.questions = questions
        self._answers = Spool(Answer)
        self._places = array("q", [_NONE]) * len(questions.requests)

    def note(self, request: Request, answer: Answer) -> None:
        """Take down the answer to a request of this contender."""
        self._places[request.place] = len(self._answers)
        self._answers.append(answer)

    def missing(self) -> Iterator[Request]:
        """The requests without an answer."""
        return (self.questions.requests[at] for at, place in enumerate(self._places) if place == _NONE)

    def generations(self, items: Sequence[Row]) -> Iterator[Generation]:
        """The answers item by item, repeats in their order; an item that can't be asked has its fault."""
        questions = self.questions
        name = questions.contender.name
        asked = groupby(zip(questions.requests, self._places, strict=True), key=lambda pair: pair[0].item)
        for item in items:
            if (fault := questions.faults.get(item.id)) is not None:
                yield _generation(name, Request(item=item.id, contender=name, messages=[]), fault)
                continue
            for request, place in next(asked)[1]:
                if place != _NONE:
                    yield _generation(name, request, self._answers[place])


def _generation(contender: str, request: Request, answer: Answer) -> Generation:
    return Generation(
        item=request.item,
        contender=contender,
        text=answer.text,
        finish_reason=answer.finish_reason,
        error=answer.error,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        prompt_digest=request.prompt_digest,
        latency_ms=answer.latency_ms,
        estimated=answer.estimated,
        repeat=request.repeat,
    )
