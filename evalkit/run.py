"""The evaluation: read and check, ask every contender, score, compare, write."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from msgspec.structs import replace

from curate.core.console import say, warn
from curate.core.digests import digest_json
from curate.core.output_folder import check_contents
from curate.core.paths import find_path
from curate.core.visible import visible
from evalkit.ask.answer_all import AllAnswers, answer_all
from evalkit.ask.answer_cache import peek_cache
from evalkit.ask.noise_floor import NoiseRecord, noise_floor
from evalkit.ask.requests import Questions
from evalkit.ask.retrieval import measure
from evalkit.backends.types import Answer
from evalkit.judge.asking import ReplyCache
from evalkit.judge.plan import plan_judge
from evalkit.judge.scoring import Judge, JudgeScores, find_judges, judge_all
from evalkit.plan import plan_contender, plan_items, total
from evalkit.records.disk_list import ById, Spool
from evalkit.records.lines import Generation, Score
from evalkit.report.files import write_results
from evalkit.results.build_result import Beside, ContenderInfo, build_result
from evalkit.results.contamination import Overlap, find_copies, find_overlap
from evalkit.results.folder import current_result, peek_result
from evalkit.results.result_record import ResultRecord
from evalkit.scorers.registry import make_scorer
from evalkit.scorers.score_all import constant_answer, score_all
from evalkit.scorers.types import Scorer
from evalkit.suite.contenders import Contender, CoveringExamples, FileExamples, NearestExamples
from evalkit.suite.inputs import Inputs, library_versions, read_inputs
from trainer.run.record import trained_tokens


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation came to, where it is, and whether it was there already."""

    result: ResultRecord
    folder: Path
    up_to_date: bool


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line may narrow: where to write, how many items, which contenders, the seed.

    `force` asks everything again, `offline` asks no endpoint, `cache` is the folder where answers are kept.
    """

    output: Path | None = None
    limit: int | None = None
    contenders: tuple[str, ...] = ()
    force: bool = False
    seed: int | None = None
    offline: bool = False
    cache: Path | None = None


def evaluate(path: Path, choice: RunOptions) -> Evaluation:
    """Run the suite at `path`, or find that its result is there already.

    Answers are kept one by one, so that the same call after an interruption goes on where it was.

    Raises: ConfigError, DataError, ProvenanceError, ServiceError.
    """
    started = time.monotonic()
    inputs = read_inputs(path, limit=choice.limit, only=choice.contenders, seed=choice.seed)
    folder = _output(inputs, choice)
    check_contents(folder, [path, *inputs.files()])
    judges = find_judges(inputs)
    input_digest = _input_digest(inputs, judges)
    if not choice.force and (result := current_result(folder, input_digest)) is not None:
        return Evaluation(result, folder, True)
    rules = {config.name: make_scorer(config, inputs.folder) for config in inputs.suite.plain_scorers}
    answered = answer_all(inputs, choice.cache or folder, fresh=choice.force, offline=choice.offline)
    kept = ReplyCache(choice.cache or folder, fresh=choice.force, offline=choice.offline)
    judged = judge_all(judges, inputs, answered.generations, kept) if judges else JudgeScores([], [], {})
    scores = _scores(inputs, answered, rules, judged)
    record = replace(
        _record(inputs, answered, rules, scores),
        versions=library_versions(),
        input_digest=input_digest,
        stopped=answered.stopped,
        judges=judged.judges,
    )
    result = write_results(
        folder,
        record,
        inputs.items,
        answered.generations,
        scores,
        judged.judgments,
        seconds=round(time.monotonic() - started, 3),
        **{**answered.measured(), "unanswered": answered.unanswered + judged.unanswered},
    )
    return Evaluation(result, folder, False)


def measure_noise(path: Path, choice: RunOptions) -> NoiseRecord:
    """Every contender at an endpoint against itself; see `evalkit.ask.noise_floor`."""
    inputs = read_inputs(path, limit=choice.limit, only=choice.contenders, seed=choice.seed)
    folder = _output(inputs, choice)
    return noise_floor(inputs, folder, choice.cache or folder, fresh=choice.force, offline=choice.offline)


def plan(path: Path, choice: RunOptions) -> dict[str, Any]:
    """What `evaluate` would ask, and what that costs and takes; see `plan_contender`. Asks and writes nothing."""
    from evalkit.ask.requests import ask_all

    inputs = read_inputs(path, limit=choice.limit, only=choice.contenders, seed=choice.seed)
    folder = _output(inputs, choice)
    judges = find_judges(inputs)
    input_digest = _input_digest(inputs, judges)
    earlier = peek_result(folder)
    contenders: list[dict[str, Any]] = []
    answers: list[Generation] = []
    for questions in ask_all(inputs)[0]:
        keys = [request.key for request in questions.requests]
        kept = {} if choice.force else peek_cache(choice.cache or folder, keys)
        contenders.append(plan_contender(questions, kept, inputs.suite, earlier))
        if judges:
            answers += _foreseen(questions, kept, inputs.suite.generation.max_tokens)
    items = {item.id: item for item in inputs.items}
    planned = [plan_judge(judge, items, answers, inputs.suite) for judge in judges]
    asked = [one for one in planned if one is not None]
    return {
        "suite": inputs.suite.name,
        "output": str(folder),
        "items": len(inputs.items),
        "up_to_date": not choice.force and current_result(folder, input_digest) is not None,
        "max_tokens": inputs.suite.generation.max_tokens,
        "contenders": contenders,
        "judges": asked,
        "total": total([*contenders, *asked]),
        "power": plan_items(inputs),
        "budget": inputs.suite.budget.model_dump() if inputs.suite.budget else None,
    }


def _foreseen(questions: Questions, kept: Mapping[str, Answer], max_tokens: int) -> Iterator[Generation]:
    """The answers that are kept, and in place of the others a text as long as they may be."""
    longest = "word " * max_tokens
    for request in questions.requests:
        answer = kept.get(request.key)
        text = answer.text if answer and not answer.error else longest
        yield Generation(item=request.item, contender=request.contender, text=text, repeat=request.repeat)


def _input_digest(inputs: Inputs, judges: Sequence[Judge]) -> str:
    """The digest of everything that the result depends on."""
    return digest_json([inputs.digest(), *(judge.digest(inputs) for judge in judges)])


def _output(inputs: Inputs, choice: RunOptions) -> Path:
    return choice.output if choice.output is not None else find_path(inputs.suite.output, inputs.folder)


def _scores(inputs: Inputs, answered: AllAnswers, rules: dict[str, Scorer], judged: JudgeScores) -> Spool[Score]:
    """The rules' scores of all answers, then the judges'."""
    raised = Counter[tuple[str, str]]()
    scores = score_all(answered.generations, ById(inputs.items), rules, raised)
    _warn_of_scorers(raised)
    scores.extend(judged.scores)
    return scores


def _record(inputs: Inputs, answered: AllAnswers, rules: dict[str, Scorer], scores: Spool[Score]) -> ResultRecord:
    primary = rules.get(inputs.suite.primary)
    solved = inputs.train.rows if inputs.train else inputs.items
    return build_result(
        suite=inputs.suite.facts(),
        items=inputs.items,
        generations=answered.generations,
        scores=scores,
        chain=replace(inputs.chain(), template=answered.template, scores=scores.digest()),
        contenders=[_info(questions, inputs, scores, answered) for questions in answered.questions],
        beside=Beside(constant_answer(solved, inputs.items, primary) if primary else None, _overlap(inputs)),
    )


def _warn_of_scorers(raised: Counter[tuple[str, str]]) -> None:
    """Say which scorers raised: the table on the terminal shows what is unscored for the primary one alone."""
    for scorer in dict.fromkeys(scorer for scorer, _ in raised):
        reasons = Counter({reason: count for (name, reason), count in raised.items() if name == scorer})
        [(reason, count)] = reasons.most_common(1)
        warn(f"{scorer}: {reasons.total():,} unscored: {visible(reason, 200)} ({count:,})")


def _overlap(inputs: Inputs) -> Overlap | None:
    """The items that the training rows give away; None where it isn't known what was trained on."""
    look_for, train = inputs.suite.contamination, inputs.training_rows()
    if train is None:
        return None
    if look_for is None:
        found = find_copies(inputs.items, train)
        if not found.touched.any():
            return None
    else:
        say(f"looking for {len(inputs.items)} items in {len(train)} training rows")
        found = find_overlap(inputs.items, train, look_for, embedder=inputs.suite.embedder, folder=inputs.folder)
    if seen := found.record.word_for_word:
        warn(
            f"{seen:,} of {len(inputs.items):,} items are in the training rows, word for word: their scores show what"
            " was learned by heart; take items from the dataset's test split"
        )
    return found


def _info(questions: Questions, inputs: Inputs, scores: Sequence[Score], answered: AllAnswers) -> ContenderInfo:
    contender = questions.contender
    run = inputs.runs.get(contender.name)
    seconds = run.record.environment.seconds if run else None
    prices = inputs.suite.prices
    own = contender.endpoint.price if contender.endpoint else None
    hourly = None if seconds is None or prices.training_per_hour is None else prices.training_per_hour * seconds / 3600
    return ContenderInfo(
        name=contender.name,
        rung=contender.place,
        description=contender.description or _description(contender),
        training_seconds=seconds,
        adapter=run is not None,
        price=own or prices.contenders.get(contender.name) or prices.tokens,
        training_cost=prices.training if prices.training is not None and contender.place == "fine-tune" else hourly,
        trained_tokens=trained_tokens(run) if run else None,
        retrieval=measure(inputs.items, questions.retrieved, _by_item(scores, contender.name, inputs.suite.primary))
        if questions.retrieved
        else None,
        canary=answered.canaries.get(contender.name),
        alone_ms=answered.alone_ms.get(contender.name, ()),
    )


def _by_item(scores: Sequence[Score], contender: str, scorer: str) -> dict[str, float]:
    """Each item's score, averaged where an endpoint answered it repeatedly."""
    found: dict[str, list[float]] = {}
    for score in scores:
        if (score.contender, score.scorer) == (contender, scorer) and score.value is not None:
            found.setdefault(score.item, []).append(score.value)
    return {item: fmean(values) for item, values in found.items()}


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
