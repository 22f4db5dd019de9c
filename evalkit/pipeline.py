"""The evaluation: read and check, ask every contender, score, compare, write."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.core.console import progress, say, warn
from curate.core.digests import digest_text
from curate.core.places import find_path
from evalkit.cache import AnswerCache, open_cache, peek_cache
from evalkit.generate import Answer, Backend
from evalkit.inputs import Inputs, library_versions, read_inputs
from evalkit.outputs import current_result, write_results
from evalkit.records import Generation, Score
from evalkit.result import ContenderInfo, build_result
from evalkit.retrieval import measure
from evalkit.rules import Rule, make_rule
from evalkit.scoring import constant_answer, score_all
from evalkit.suite import Contender, CoveringExamples, FileExamples, NearestExamples

if TYPE_CHECKING:
    from evalkit.prompts import Questions

_SHOWN = 3  # unreadable documents in a message; all are counted, and more of them in result.json


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation came to, where it is, and whether it was there already."""

    result: dict[str, Any]
    folder: Path
    up_to_date: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line may narrow: where to write, how many items, which contenders; and `force`."""

    output: Path | None = None
    limit: int | None = None
    contenders: tuple[str, ...] = ()
    force: bool = False


def evaluate(path: Path, choice: Choice) -> Evaluated:
    """Run the suite at `path`, or find that its result is there already.

    Answers are kept one by one, so that the same call after an interruption goes on where it was.

    Raises: ConfigError, DataError, ProvenanceError, ServiceError.
    """
    started = time.monotonic()
    inputs = read_inputs(path, limit=choice.limit, only=choice.contenders)
    folder = _output(inputs, choice)
    input_digest = inputs.digest()
    if not choice.force and (result := current_result(folder, input_digest)) is not None:
        return Evaluated(result, folder, True)
    rules = {config.name: make_rule(config, inputs.folder) for config in inputs.suite.scorers}
    all_questions, template = _ask_all(inputs, folder)
    generations, asked = _answer_all(inputs, all_questions, folder, fresh=choice.force)
    body = _body(inputs, generations, rules, all_questions, template)
    scores = body.pop("scores")
    seconds = round(time.monotonic() - started, 3)
    result = write_results(
        folder, {**body, "input_digest": input_digest}, inputs.items, generations, scores, seconds=seconds, asked=asked
    )
    return Evaluated(result, folder, False)


def plan(path: Path, choice: Choice) -> dict[str, Any]:
    """What `evaluate` would do: items, and for each contender its prompts' tokens and how many answers are kept."""
    from evalkit.prompts import ask_all

    inputs = read_inputs(path, limit=choice.limit, only=choice.contenders)
    folder = _output(inputs, choice)
    contenders = []
    for questions in ask_all(inputs)[0]:
        lengths = [len(request.prompt_ids) for request in questions.requests]
        kept = {} if choice.force else peek_cache(folder, (request.key for request in questions.requests))
        contenders.append(
            {
                "name": questions.contender.name,
                "rung": questions.contender.place,
                "prompt_tokens": sum(lengths),
                "longest_prompt": max(lengths, default=0),
                "cannot_be_asked": len(questions.faults),
                "answers_kept": sum(request.key in kept for request in questions.requests),
            }
        )
    return {
        "suite": inputs.suite.name,
        "output": str(folder),
        "items": len(inputs.items),
        "up_to_date": not choice.force and current_result(folder, inputs.digest()) is not None,
        "max_tokens": inputs.suite.generation.max_tokens,
        "contenders": contenders,
    }


def _output(inputs: Inputs, choice: Choice) -> Path:
    return choice.output if choice.output is not None else find_path(inputs.suite.output, inputs.folder)


def _ask_all(inputs: Inputs, folder: Path) -> tuple[list["Questions"], str | None]:
    from evalkit.prompts import ask_all

    if inputs.embedder:
        say("finding what goes before each item's question")
    all_questions, template = ask_all(inputs, folder)
    for questions in all_questions:
        unreadable = questions.retrieved.unreadable if questions.retrieved else ()
        if unreadable:
            told = "; ".join(f"{item.file}: {item.why}" for item in unreadable[:_SHOWN])
            more = " and more" if len(unreadable) > _SHOWN else ""
            warn(f"{questions.contender.name}: {len(unreadable)} documents can't be read: {told}{more}")
    return all_questions, template


def _answer_all(
    inputs: Inputs, all_questions: Sequence["Questions"], folder: Path, *, fresh: bool
) -> tuple[list[Generation], int]:
    """Every answer in the order of contenders and items, and how many were not kept before."""
    backends = _Backends(inputs)
    answers: dict[str, dict[str, Answer]] = {}
    asked = 0

    def answer(questions: "Questions", cache: AnswerCache) -> dict[str, Answer]:
        nonlocal asked
        kept = {} if fresh else cache.get(request.key for request in questions.requests)
        found = {**questions.faults, **{r.item: kept[r.key] for r in questions.requests if r.key in kept}}
        missing = [request for request in questions.requests if request.item not in found]
        if not missing:
            return found
        name = questions.contender.name
        with backends.backend(questions.contender) as backend, progress(name, len(missing)) as advance:
            max_tokens = inputs.suite.generation.max_tokens
            for request, made in backend.generate(missing, max_tokens=max_tokens, advance=advance):
                if request.key:
                    cache.put(request.key, made)
                found[request.item] = made
                asked += 1
        return found

    with open_cache(folder) as cache:
        for questions in all_questions:
            answers[questions.contender.name] = answer(questions, cache)
    generations = [
        _generation(questions.contender.name, item.id, answers[questions.contender.name][item.id], prompts)
        for questions in all_questions
        for prompts in [{request.item: request.prompt for request in questions.requests}]
        for item in inputs.items
    ]
    return generations, asked


def _generation(contender: str, item: str, answer: Answer, prompts: dict[str, str]) -> Generation:
    prompt = prompts.get(item)
    return Generation(
        item=item,
        contender=contender,
        text=answer.text,
        finish_reason=answer.finish_reason,
        error=answer.error,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        prompt_digest=digest_text(prompt) if prompt else "",
        latency_ms=answer.latency_ms,
    )


class _Backends:
    """The backend of each contender; models are loaded when the first answer is needed, not before."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._models: Any = None

    @contextmanager
    def backend(self, contender: Contender) -> Iterator[Backend]:
        inputs = self._inputs
        with ExitStack() as stack:
            if contender.replay:
                from evalkit.backends.replay import Replay

                yield Replay(find_path(contender.replay, inputs.folder))
                return
            from evalkit.backends.local_models import LocalModels

            if self._models is None and inputs.base is not None:
                self._models = LocalModels(inputs.base, inputs.quantisation, inputs.suite.generation.threads)
            yield stack.enter_context(self._models.backend(contender.name, inputs.runs.get(contender.name)))


def _body(
    inputs: Inputs,
    generations: Sequence[Generation],
    rules: dict[str, Rule],
    all_questions: Sequence["Questions"],
    template: str | None,
) -> dict[str, Any]:
    """The result's body, with the scores under `scores`."""
    by_id = {item.id: item for item in inputs.items}
    scores = score_all(generations, by_id, rules)
    solved = inputs.train.rows if inputs.train else inputs.items
    body = build_result(
        suite=inputs.suite.facts(),
        items=inputs.items,
        generations=generations,
        scores=scores,
        chain={**inputs.chain(), "template": template},
        contenders=[_info(questions, inputs, scores) for questions in all_questions],
        constant=constant_answer(solved, inputs.items, rules[inputs.suite.primary]),
    )
    return {**body, "versions": library_versions(), "scores": scores}


def _info(questions: "Questions", inputs: Inputs, scores: Sequence[Score]) -> ContenderInfo:
    contender = questions.contender
    primary = {
        score.item: score.value
        for score in scores
        if score.contender == contender.name and score.scorer == inputs.suite.primary
    }
    run = inputs.runs.get(contender.name)
    seconds = run.record.get("environment", {}).get("seconds") if run else None
    return ContenderInfo(
        name=contender.name,
        rung=contender.place,
        description=contender.description or _description(contender),
        training_seconds=seconds,
        adapter=run is not None,
        retrieval=measure(inputs.items, questions.retrieved, primary) if questions.retrieved else None,
    )


def _description(contender: Contender) -> str:
    """What distinguishes the contender, from its configuration."""
    if contender.replay:
        return f"recorded answers: {contender.replay}"
    parts = []
    if contender.run:
        parts.append("the adapter")
    if contender.system is not None:
        parts.append("instructions")
    match contender.examples:
        case CoveringExamples(count=count):
            parts.append(f"{count} solved examples")
        case NearestExamples(count=count):
            parts.append(f"the {count} nearest solved rows")
        case FileExamples(path=path):
            parts.append(f"the examples of {path}")
        case None:
            pass
    if contender.documents:
        parts.append(f"the {contender.documents.top} best passages of the documents")
    return " and ".join(parts) or "the question alone"
