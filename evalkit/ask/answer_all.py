"""Every contender's answer to every item: from the cache, a file, a model in this process, or endpoints."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.core.console import Advance, progress, say, warn
from curate.core.errors import ServiceError
from curate.core.paths import find_path
from curate.core.spending import Budget, Purse
from evalkit.ask.adapter_check import check_local, check_served
from evalkit.ask.answer_cache import AnswerCache, open_cache
from evalkit.ask.answer_sheet import AnswerBook
from evalkit.ask.latency import quiet_latencies
from evalkit.ask.requests import Questions, ask_all, endpoint_body
from evalkit.backends.calls import Call, Calls
from evalkit.backends.types import Answer, Backend, Request
from evalkit.records.lines import Generation
from evalkit.results.result_record import AppliedAdapter
from evalkit.suite.contenders import Contender
from evalkit.suite.inputs import Inputs

if TYPE_CHECKING:
    from evalkit.backends.local_models import LocalModels
    from evalkit.backends.pool import Keep

_OFFLINE = "not asked: --offline, and no answer is kept"
_AT_ONCE = 500  # kept answers that are looked up together
_SHOWN = 3  # unreadable documents in a message; all are counted, and more of them stand in result.json
_MOST_EMPTY = 0.05  # of a contender's answers; more are worth a word, since a cut answer and a shy model look alike


@dataclass(frozen=True, slots=True)
class AllAnswers:
    """Answers in the order of contenders, items and repeats, and what asking for them showed."""

    questions: list[Questions]
    generations: Sequence[Generation]
    template: str | None
    """The digest of the chat template; None where no model is asked in this process."""
    canaries: dict[str, AppliedAdapter]
    alone_ms: dict[str, list[float]]
    """By contender, latencies of requests that were asked one at a time."""
    stopped: str | None
    """Why the run ended before everything was asked."""
    asked: int
    """Answers that were asked for now, not found."""
    unanswered: int
    """Answers that endpoints owe, and that another run may ask for again."""
    served: dict[str, dict[str, int]]
    """By contender, the names that its endpoint gave the model, with how often."""

    def measured(self) -> dict[str, Any]:
        """What differs from run to run, for the record's `environment`."""
        return {"asked": self.asked, "unanswered": self.unanswered, "served": self.served}


def answer_all(inputs: Inputs, cache_folder: Path, *, fresh: bool, offline: bool) -> AllAnswers:
    """Ask everything that isn't kept in `cache_folder`, or everything where `fresh`; `offline`: no endpoint."""
    if inputs.embedder:
        say("finding what goes before each item's question")
    all_questions, template = ask_all(inputs, cache_folder)
    _warn_of_unreadable(all_questions)
    with open_cache(cache_folder) as cache:
        session = AnswerSession(inputs, cache, fresh=fresh)
        local = [questions for questions in all_questions if not questions.contender.endpoint]
        remote = [questions for questions in all_questions if questions.contender.endpoint]
        canaries = session.check_adapters(all_questions, remote if not offline else ())
        for questions in all_questions:
            session.take_known(questions)
        for questions in local:
            session.ask_local(questions)
        if offline:
            session.book.fail_rest(remote, _OFFLINE)
        else:
            session.ask_remote(remote)
        alone_ms = session.quiet_pass(local if offline or session.stopped else all_questions)
    generations, served = session.book.generations(inputs.items), session.book.served()
    _warn_of_oddities(generations)
    for name, models in served.items():
        if len(models) > 1:
            warn(f"{name}: answered by models of different names, {', '.join(sorted(models))}: is that one contender?")
    return AllAnswers(
        questions=all_questions,
        generations=generations,
        template=template,
        canaries=canaries,
        alone_ms=alone_ms,
        stopped=session.stopped,
        asked=session.asked,
        unanswered=session.book.unanswered,
        served=served,
    )


class AnswerSession:
    """Asks for what isn't kept: models in this process, files and endpoints. The book holds what came of it."""

    def __init__(self, inputs: Inputs, cache: AnswerCache, *, fresh: bool) -> None:
        self._inputs = inputs
        self._cache = cache
        self._fresh = fresh
        self._backends = _Backends(inputs)
        self._purse = Purse(inputs.suite.budget or Budget())
        self._paid: set[str] = set()
        """Keys of the answers that the purse knows of: it counts each once, whoever is given it."""
        self.book = AnswerBook()
        self.asked = 0
        self.stopped: str | None = None

    def check_adapters(
        self, all_questions: Sequence[Questions], remote: Sequence[Questions]
    ) -> dict[str, AppliedAdapter]:
        """What the canary found for each adapter that is called, by contender. Recorded answers call none."""
        runs = self._inputs.runs
        found = {
            questions.contender.name: check_local(questions, run, self._backends.models, self._cache)
            for questions in all_questions
            if questions.contender.is_local and (run := runs.get(questions.contender.name))
        }
        found |= check_served(remote, self._inputs, self._ask_again)
        for name, finding in found.items():
            if not finding.probes:
                warn(f"{name}: nobody knows whether the adapter is applied: {finding.because or 'no prompt'}")
        return found

    def take_known(self, questions: Questions) -> None:
        """Begin a contender's sheet with the answers that are kept."""
        endpoint = questions.contender.endpoint
        self.book.open(questions)
        for first in range(0, len(questions.requests), _AT_ONCE):
            some = questions.requests[first : first + _AT_ONCE]
            kept = self._known(request.key for request in some)
            for request in some:
                if (answer := kept.get(request.key)) is not None:
                    self.book.note(request, answer)
                    if endpoint and request.key not in self._paid:
                        self._paid.add(request.key)
                        self._purse.count((answer.prompt_tokens, answer.completion_tokens), endpoint.price)

    def ask_local(self, questions: Questions) -> None:
        """Ask a model in this process, or a file."""
        missing = list(self.book.missing(questions))
        if not missing:
            return
        name = questions.contender.name
        with self._backends.backend(questions.contender) as backend, progress(name, len(missing)) as advance:
            max_tokens = self._inputs.suite.generation.max_tokens
            for made in backend.generate(missing, max_tokens=max_tokens, advance=advance):
                self._take([made])

    def ask_remote(self, all_questions: Sequence[Questions]) -> None:
        """Ask endpoints, all contenders mixed; of equal requests one is asked."""
        wanted = Calls()
        keys: set[str] = set()
        for questions in all_questions:
            for request in self.book.missing(questions):
                if request.key in keys:
                    self.book.share(request)
                elif questions.contender.endpoint:
                    keys.add(request.key)
                    wanted.add(questions.requests, request.place, questions.contender.endpoint)
        if not wanted:
            return
        del keys
        say(wanted.described(self._inputs.suite.running))
        with progress("asking", len(wanted)) as advance:
            self.stopped = self._ask_endpoints(wanted, self._take, advance)
        if self.stopped:
            warn(f"{self.stopped}; what was not asked counts as unscored")
            self.book.fail_rest(all_questions, f"not asked: {self.stopped.partition(':')[0]}")

    def quiet_pass(self, all_questions: Sequence[Questions]) -> dict[str, list[float]]:
        """Latencies of single requests, by contender."""
        suite = self._inputs.suite
        return quiet_latencies(
            all_questions, suite.running.latency_items, suite.seed, self._ask_alone, self._cache, fresh=self._fresh
        )

    def _ask_alone(self, questions: Questions, request: Request) -> Answer | None:
        if questions.contender.endpoint:
            try:
                return self._ask_now([Call(request, questions.contender.endpoint)]).get(request.key)
            except ServiceError as error:  # all answers are there: their worth doesn't depend on this
                warn(f"{questions.contender.name}: its latency can't be measured: {error.what}")
                return None
        with self._backends.backend(questions.contender) as backend:
            max_tokens = self._inputs.suite.generation.max_tokens
            return next(backend.generate([request], max_tokens=max_tokens, advance=_unseen))[1]

    def _ask_again(self, wanted: Sequence[Call]) -> dict[str, Answer]:
        """Answers of endpoints by the requests' keys: those that are known, and the others asked for now."""
        answers = self._known(call.request.key for call in wanted)
        missing = [call for call in wanted if call.request.key not in answers]
        return answers | self._ask_now(missing) if missing else answers

    def _ask_now(self, wanted: Sequence[Call]) -> dict[str, Answer]:
        """Answers of endpoints by the requests' keys, those that there are."""
        answers: dict[str, Answer] = {}

        def keep(made: Sequence[tuple[Request, Answer]]) -> None:
            self._put(made)
            answers.update((request.key, answer) for request, answer in made if answer.error is None)

        self._ask_endpoints(wanted, keep, _unseen)
        return answers

    def _ask_endpoints(self, wanted: Sequence[Call], keep: "Keep", advance: Advance) -> str | None:
        from evalkit.backends.pool import ask_endpoints

        suite = self._inputs.suite
        return ask_endpoints(
            wanted,
            lambda call: endpoint_body(call.endpoint, call.request, suite),
            suite.running,
            self._purse,
            seed=suite.seed,
            keep=keep,
            advance=advance,
        )

    def _known(self, keys: Iterable[str]) -> dict[str, Answer]:
        """Answers that need no asking; where all is to be asked again, those that this run has asked for already."""
        return self._cache.get(key for key in keys if key in self._paid or not self._fresh)

    def _put(self, made: Sequence[tuple[Request, Answer]]) -> None:
        """Count what was asked, and put it where another run finds it."""
        self._cache.put_all((request.key, answer) for request, answer in made)
        self._paid.update(request.key for request, answer in made if answer.error is None)
        self.asked += len(made)

    def _take(self, made: Sequence[tuple[Request, Answer]]) -> None:
        self._put(made)
        for request, answer in made:
            self.book.note(request, answer)


def _unseen(steps: float = 1, note: str = "") -> None:
    """For work too short to show."""


def _warn_of_unreadable(all_questions: Sequence[Questions]) -> None:
    for questions in all_questions:
        unreadable = questions.retrieved.unreadable if questions.retrieved else ()
        if unreadable:
            told = "; ".join(f"{item.file}: {item.why}" for item in unreadable[:_SHOWN])
            more = " and more" if len(unreadable) > _SHOWN else ""
            warn(f"{questions.contender.name}: {len(unreadable)} documents can't be read: {told}{more}")


def _warn_of_oddities(generations: Sequence[Generation]) -> None:
    """Say what looks like trouble, though each answer by itself may be meant so."""
    estimated: set[str] = set()
    answered, empty = Counter[str](), Counter[str]()
    for generation in generations:
        if generation.estimated:
            estimated.add(generation.contender)
        if generation.error is None:
            answered[generation.contender] += 1
            empty[generation.contender] += not generation.text
    if estimated:
        names = ", ".join(sorted(estimated))
        warn(f"{names}: the endpoint doesn't report usage; tokens are estimated from the texts' length")
    for name, count in empty.items():
        if count > _MOST_EMPTY * answered[name]:
            warn(
                f"{name}: {count:,} of {answered[name]:,} answers are empty; a model that thinks before it answers may"
                " need a larger generation.max_tokens"
            )


class _Backends:
    """The backend of each contender; models are loaded when the first answer is needed, not before."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._models: LocalModels | None = None

    @contextmanager
    def backend(self, contender: Contender) -> Iterator[Backend]:
        """The backend that answers for this contender."""
        inputs = self._inputs
        if contender.replay:
            from evalkit.backends.replay import Replay

            yield Replay(find_path(contender.replay, inputs.folder))
            return
        with self.models().backend(contender.name, inputs.runs.get(contender.name)) as backend:
            yield backend

    def models(self) -> "LocalModels":
        """The models in this process."""
        from evalkit.backends.local_models import LocalModels

        inputs = self._inputs
        if inputs.base is None:
            raise ValueError("no contender is answered in this process")
        if self._models is None:
            self._models = LocalModels(inputs.base, inputs.quantisation, inputs.suite.generation.threads)
        return self._models
