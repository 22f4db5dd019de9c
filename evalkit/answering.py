"""Every contender's answer to every item: from the cache, a file, a model in this process, or endpoints."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.core.console import Advance, progress, say, warn
from curate.core.errors import ServiceError
from curate.core.paths import find_path
from curate.core.spending import Budget, Purse
from evalkit.answer_sheet import AnswerSheet
from evalkit.cache import AnswerCache, open_cache
from evalkit.calls import Call, Calls
from evalkit.canary import Asking, check_local, check_served
from evalkit.generate import Answer, Backend, Request, failed
from evalkit.inputs import Inputs
from evalkit.latency import quiet_latencies
from evalkit.prompts import Questions, ask_all, endpoint_body
from evalkit.records import Generation
from evalkit.spool import Spool
from evalkit.suite import Contender

if TYPE_CHECKING:
    from evalkit.backends.local_models import LocalModels
    from evalkit.backends.pool import Keep

_OFFLINE = "not asked: --offline, and no answer is kept"
_AT_ONCE = 500  # kept answers that are looked up together
_SHOWN = 3  # unreadable documents in a message; all are counted, and more of them stand in result.json
_MOST_EMPTY = 0.05  # of a contender's answers; more are worth a word, since a cut answer and a shy model look alike


@dataclass(slots=True)
class Answered:
    """Answers in the order of contenders, items and repeats.

    `measured`: how many were `asked` now, and how many endpoints left `unanswered`, which another run may ask again.
    """

    questions: list[Questions]
    generations: Sequence[Generation]
    template: str | None
    canaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    alone_ms: dict[str, list[float]] = field(default_factory=dict)
    stopped: str | None = None
    """Why the run ended before everything was asked."""
    measured: dict[str, Any] = field(default_factory=dict)


def answer_all(inputs: Inputs, cache_folder: Path, *, fresh: bool, offline: bool) -> Answered:
    """Ask everything that isn't kept in `cache_folder`, or everything where `fresh`; `offline`: no endpoint."""
    if inputs.embedder:
        say("finding what goes before each item's question")
    all_questions, template = ask_all(inputs, cache_folder)
    _warn_of_unreadable(all_questions)
    with open_cache(cache_folder) as cache:
        desk = _Desk(inputs, cache, fresh=fresh)
        local = [questions for questions in all_questions if not questions.contender.endpoint]
        remote = [questions for questions in all_questions if questions.contender.endpoint]
        canaries = desk.check_adapters(all_questions, remote if not offline else ())
        for questions in all_questions:
            desk.take_known(questions)
        for questions in local:
            desk.ask_local(questions)
        if offline:
            desk.fail_rest(remote, _OFFLINE)
        else:
            desk.ask_remote(remote)
        alone_ms = desk.quiet_pass(local if offline or desk.stopped else all_questions)
    sheets = (desk.sheets[questions.contender.name] for questions in all_questions)
    generations = Spool(Generation, chain.from_iterable(sheet.generations(inputs.items) for sheet in sheets))
    answered = Answered(all_questions, generations, template, canaries, alone_ms, desk.stopped)
    answered.measured = {"asked": desk.asked, "unanswered": desk.unanswered, "served": desk.served()}
    _warn_of_oddities(answered.generations)
    for name, models in desk.served().items():
        if len(models) > 1:
            warn(f"{name}: answered by models of different names, {', '.join(sorted(models))}: is that one contender?")
    return answered


class _Desk:
    """The answers there are, and who to ask for the others."""

    def __init__(self, inputs: Inputs, cache: AnswerCache, *, fresh: bool) -> None:
        self._inputs = inputs
        self._cache = cache
        self._fresh = fresh
        self._backends = _Backends(inputs)
        self._purse = Purse(inputs.suite.budget or Budget())
        self._served: dict[str, Counter[str]] = {}
        self._alike: dict[str, list[tuple[str, int]]] = {}
        """By key, who asks an endpoint the same as another request: contender and place. They share one answer."""
        self._counted: set[str] = set()
        """Keys of the answers that the purse knows of: it counts each once, whoever is given it."""
        self.sheets: dict[str, AnswerSheet] = {}
        self.asked = self.unanswered = 0
        self.stopped: str | None = None

    def check_adapters(
        self, all_questions: Sequence[Questions], remote: Sequence[Questions]
    ) -> dict[str, dict[str, Any]]:
        """What the canary found for each adapter that is called, by contender. Recorded answers call none."""
        runs = self._inputs.runs
        found = {
            questions.contender.name: check_local(questions, run, self._backends.models, self._cache)
            for questions in all_questions
            if not questions.contender.replay and (run := runs.get(questions.contender.name))
        }
        found |= check_served(remote, self._inputs, self._ask_again)
        for name, finding in found.items():
            if not finding["probes"]:
                warn(f"{name}: nobody knows whether the adapter is applied: {finding.get('because', 'no prompt')}")
        return found

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

    def _ask_again(self, wanted: Sequence[Asking]) -> dict[str, Answer]:
        """Answers of endpoints by the requests' keys: those that are known, and the others asked for now."""
        answers = self._known(request.key for request, _ in wanted)
        missing = [Call(request, endpoint) for request, endpoint in wanted if request.key not in answers]
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
        return self._cache.get(key for key in keys if key in self._counted or not self._fresh)

    def take_known(self, questions: Questions) -> None:
        """What needs no asking: faults, and answers that are kept."""
        endpoint = questions.contender.endpoint
        self.sheets[questions.contender.name] = AnswerSheet(questions)
        for first in range(0, len(questions.requests), _AT_ONCE):
            some = questions.requests[first : first + _AT_ONCE]
            kept = self._known(request.key for request in some)
            for request in some:
                if (answer := kept.get(request.key)) is not None:
                    self._note(request, answer)
                    if endpoint and request.key not in self._counted:
                        self._counted.add(request.key)
                        self._purse.count((answer.prompt_tokens, answer.completion_tokens), endpoint.price)

    def ask_local(self, questions: Questions) -> None:
        """Ask a model in this process, or a file."""
        missing = list(self._missing(questions))
        if not missing:
            return
        name = questions.contender.name
        with self._backends.backend(questions.contender) as backend, progress(name, len(missing)) as advance:
            max_tokens = self._inputs.suite.generation.max_tokens
            for request, made in backend.generate(missing, max_tokens=max_tokens, advance=advance):
                self._keep([(request, made)])

    def ask_remote(self, all_questions: Sequence[Questions]) -> None:
        """Ask endpoints, all contenders mixed."""
        wanted = Calls()
        keys: set[str] = set()
        for questions in all_questions:
            for request in self._missing(questions):
                if request.key in keys:
                    self._alike.setdefault(request.key, []).append((request.contender, request.place))
                else:
                    keys.add(request.key)
                    wanted.add(questions, request)
        if not wanted:
            return
        del keys
        say(wanted.described(self._inputs.suite.running))
        with progress("asking", len(wanted)) as advance:
            self.stopped = self._ask_endpoints(wanted, self._keep, advance)
        if self.stopped:
            warn(f"{self.stopped}; what was not asked counts as unscored")
            self.fail_rest(all_questions, f"not asked: {self.stopped.partition(':')[0]}")

    def fail_rest(self, all_questions: Iterable[Questions], reason: str) -> None:
        """Give what has no answer a failed one: neither right nor wrong."""
        for questions in all_questions:
            for request in self._missing(questions):
                self._note(request, failed(reason))

    def served(self) -> dict[str, dict[str, int]]:
        """For each contender the names that its endpoint gave the model, with how often."""
        return {name: dict(counted) for name, counted in self._served.items()}

    def _missing(self, questions: Questions) -> Iterator[Request]:
        return self.sheets[questions.contender.name].missing()

    def _put(self, made: Sequence[tuple[Request, Answer]]) -> None:
        """Count what was asked, and put it where another run finds it."""
        self._cache.put_all((request.key, answer) for request, answer in made)
        self._counted.update(request.key for request, answer in made if answer.error is None)
        self.asked += len(made)

    def _keep(self, made: Sequence[tuple[Request, Answer]]) -> None:
        self._put(made)
        for request, answer in made:
            self._note(request, answer)
            for contender, place in self._alike.pop(request.key, ()):
                self._note(self.sheets[contender].questions.requests[place], answer)

    def _note(self, request: Request, answer: Answer) -> None:
        self.sheets[request.contender].note(request, answer)
        if answer.model:
            self._served.setdefault(request.contender, Counter())[answer.model] += 1
        if answer.error is not None and request.key and not request.prompt_ids:  # local errors come again
            self.unanswered += 1


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
