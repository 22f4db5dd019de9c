"""The answers that there are so far: a sheet for each contender, and the book that holds all sheets and counts.

Answers come in any order and are kept on disk in that order; results are read item by item.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby

from curate.core.rows.row import Row
from evalkit.ask.requests import Questions
from evalkit.backends.types import Answer, Request, failed
from evalkit.records.disk_list import Spool
from evalkit.records.lines import Generation

_NONE = -1  # stands for an answer that isn't there yet


class AnswerSheet:
    """One contender's answers.

        requests   0: item A    1: item B    2: item B again    3: item C
        _places          1         none            0                2
        _answers   0: to item B again    1: to item A    2: to item C

    `_places` says for each request where its answer stands in `_answers`, which are on disk as they came.
    """

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
        """The answers item by item, repeats in their order; for an item that can't be asked, its fault.

        Args:
            items: all items, in the order in which the requests were made.
        """
        faults, name = self.questions.faults, self.questions.contender.name
        answered = zip(self.questions.requests, self._places, strict=True)
        by_item = groupby(answered, key=lambda pair: pair[0].item)
        for item in items:
            if item.id in faults:
                yield _generation(Request(item=item.id, contender=name, messages=[]), faults[item.id])
            else:
                _, pairs = next(by_item)
                yield from (_generation(request, self._answers[place]) for request, place in pairs if place != _NONE)


class AnswerBook:
    """The sheets of all contenders, by name. Requests of equal content to an endpoint share one answer."""

    def __init__(self) -> None:
        self._sheets: dict[str, AnswerSheet] = {}
        self._sharing: dict[str, list[Request]] = {}
        """By key, the requests that get the answer to another request of the same content."""
        self._served: dict[str, Counter[str]] = {}
        self.unanswered = 0
        """Answers that an endpoint owes, and that another run may ask for again."""

    def open(self, questions: Questions) -> None:
        """Begin the sheet of a contender."""
        self._sheets[questions.contender.name] = AnswerSheet(questions)

    def missing(self, questions: Questions) -> Iterator[Request]:
        """The contender's requests without an answer."""
        return self._sheets[questions.contender.name].missing()

    def share(self, request: Request) -> None:
        """Give this request the answer to the one of the same key that is asked."""
        self._sharing.setdefault(request.key, []).append(request)

    def note(self, request: Request, answer: Answer) -> None:
        """Take down an answer, for the request and for those that share it."""
        for one in (request, *self._sharing.pop(request.key, ())):
            self._sheets[one.contender].note(one, answer)
            if answer.model:
                self._served.setdefault(one.contender, Counter())[answer.model] += 1
            if answer.error is not None and one.key and not one.prompt_ids:  # local errors come again
                self.unanswered += 1

    def fail_rest(self, all_questions: Iterable[Questions], reason: str) -> None:
        """Give what has no answer a failed one: neither right nor wrong."""
        for questions in all_questions:
            for request in self.missing(questions):
                self.note(request, failed(reason))

    def served(self) -> dict[str, dict[str, int]]:
        """For each contender the names that its endpoint gave the model, with how often."""
        return {name: dict(counted) for name, counted in self._served.items()}

    def generations(self, items: Sequence[Row]) -> Spool[Generation]:
        """All answers, contender after contender, item by item."""
        return Spool(Generation, chain.from_iterable(sheet.generations(items) for sheet in self._sheets.values()))


def _generation(request: Request, answer: Answer) -> Generation:
    return Generation(
        item=request.item,
        contender=request.contender,
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
