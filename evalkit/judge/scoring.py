"""A suite's judges: who each is, its judgments of all answers, and the scores that come of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from curate.core.chat.base_model import find_base
from curate.core.digests import digest_file, digest_json
from curate.core.errors import ConfigError, DataError
from curate.core.paths import find_path
from evalkit.judge import grades
from evalkit.judge.asking import Asker, EndpointJudge, LocalJudge, ReplyCache
from evalkit.judge.calibrate import recorded_judge
from evalkit.judge.calibration import calibrate
from evalkit.judge.card import read_card, void_because
from evalkit.judge.grades import Judgment, Scale
from evalkit.judge.judging import account, judge_answers
from evalkit.judge.prompt import prompt_digest, reply_schema
from evalkit.judge.rubric import Criterion, Rubric, load_rubric
from evalkit.records.lines import Generation, Score
from evalkit.results.judge_account import JudgeAccount, JudgeWorth, Requirement, RubricName
from evalkit.scorers.judge import JudgeConfig
from evalkit.suite.inputs import Inputs

# What a result leaves out of a calibration: it names annotators or items.
_NOT_SHOWN = frozenset(
    {"by_annotator", "labels", "table", "levels", "passing"}
)  # of a calibration: it names annotators or items


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge that is ready to be asked: what it is made of and the digest of that, which its card has to name."""

    config: JudgeConfig
    rubric: Rubric
    criterion: Criterion
    identity: Mapping[str, Any]
    card: Mapping[str, Any] | None = None
    """Its card, where the suite names one and it is there."""

    @property
    def key(self) -> str:
        """The digest of who judges, in which words, by which rubric, with which parameters."""
        return str(self.identity.get("asked") or digest_json(self.identity))

    def digest(self, inputs: Inputs) -> str:
        """The digest of everything that a result says of it: the file of recorded judgments, and its card, too."""
        recorded, card = self.config.judgments, self.card
        parts = [self.key, digest_file(find_path(recorded, inputs.folder)) if recorded else None]
        return digest_json([*parts, card["digest"]] if card else parts)


@dataclass(frozen=True, slots=True)
class JudgeScores:
    """What the judges of a suite said: scores, judgments, and an account of each judge."""

    scores: list[Score]
    judgments: list[Judgment]
    judges: dict[str, JudgeAccount]

    @property
    def unanswered(self) -> int:
        """Questions that an endpoint did not reply to, and that another run may ask again."""
        served = [judge for judge in self.judges.values() if "base_url" in judge.judge.get("model", {})]
        return sum(judge.no_reply for judge in served)


def find_judges(inputs: Inputs) -> list[Judge]:
    """The suite's judges. Raises: ConfigError where one can't judge, or would judge itself; DataError."""
    return [_find(config, inputs) for config in inputs.suite.scorers if isinstance(config, JudgeConfig)]


def judge_all(
    judges: Sequence[Judge], inputs: Inputs, generations: Sequence[Generation], kept: ReplyCache
) -> JudgeScores:
    """Every judge on every answer. Raises: ServiceError where a judge can't be asked."""
    items = {item.id: item for item in inputs.items}
    found = JudgeScores([], [], {})
    for judge in judges:
        if judge.config.judgments is not None:
            path = find_path(judge.config.judgments, inputs.folder)
            judgments = _recorded(judge, path, generations)
            facts = {**account(judgments), "recorded": digest_file(path)}
        else:
            judgments, facts = judge_answers(
                judge.config,
                judge.criterion,
                _asker(judge, inputs, kept),
                items,
                generations,
                seed=inputs.suite.seed,
                key=judge.key,
            )
        found.judgments.extend(judgments)
        found.scores.extend(_scores(judge, judgments, generations))
        found.judges[judge.config.name] = JudgeAccount(
            key=judge.key,
            judge=dict(judge.identity),
            rubric=RubricName(judge.rubric.name, judge.rubric.version, judge.rubric.kind),
            criterion=judge.criterion.model_dump(mode="json"),
            **facts,
            calibration=_calibration(judge, judgments),
        )
    return found


def _calibration(judge: Judge, judgments: Sequence[Judgment]) -> JudgeWorth:
    """What is known of the judge's worth: what its card says, or, without one that holds, what these judgments say."""
    void = void_because(judge.card, judge.identity, judge.key) if judge.card else None
    if judge.card and void is None:
        return _shown(judge.card)
    because = void or ("there is no card yet" if judge.config.card else "the suite names no card")
    return _unlabelled(calibrate(judgments, (), _scale(judge)), because)


def _scale(judge: Judge) -> Scale:
    return grades.judge_scale(judge.criterion, pairwise=judge.rubric.kind == "pairwise")


def _card(config: JudgeConfig, inputs: Inputs) -> Mapping[str, Any] | None:
    """The judge's card; None where the suite names none, or it isn't there yet. Raises: ProvenanceError if damaged."""
    path = find_path(config.card, inputs.folder) if config.card else None
    return read_card(path) if path is not None and path.is_file() else None


def _find(config: JudgeConfig, inputs: Inputs) -> Judge:
    card = _card(config, inputs)
    rubric = load_rubric(find_path(config.rubric, inputs.folder))
    where = f"suite: scorers: {config.name}"
    criterion = grades.find_criterion(rubric, config.criterion, where)
    if (rubric.kind == "pairwise") != (config.against is not None):
        fix = "name in `against` the contender to compare with" if rubric.kind == "pairwise" else "leave out `against`"
        raise ConfigError(f"{rubric.name} is a {rubric.kind} rubric", where=where, fix=fix)
    if config.against is not None and config.against not in {one.name for one in inputs.contenders}:
        raise ConfigError(f"against: no contender is called {config.against}", where=where)
    _refuse_itself(config, inputs, where)
    if config.judgments is not None:
        path = find_path(config.judgments, inputs.folder)
        asked = grades.read_judgments(path, criterion=criterion.id)[0].judge
        identity = {"asked": asked} if asked else recorded_judge(digest_file(path), criterion)
        return Judge(config, rubric, criterion, identity, card)
    if config.model is not None:
        model = config.model.model_dump(mode="json", include={"model", "base_url", "extra_body", "omit"})
    else:
        model = {"base": config.local, "digest": find_base(str(config.local), inputs.folder).digest()}
    parameters = config.model_dump(mode="json", include={"max_tokens", "temperature", "json_schema", "tries"})
    identity = {
        "model": model,
        "prompt": prompt_digest(),
        "rubric": digest_json(criterion.model_dump(mode="json")),
        "parameters": parameters,
    }
    return Judge(config, rubric, criterion, identity, card)


def _refuse_itself(config: JudgeConfig, inputs: Inputs, where: str) -> None:
    """A judge that is one of the contenders favours its own answers."""
    if config.judges_itself:
        return
    for contender in inputs.contenders:
        endpoint = contender.endpoint
        same_model = (
            config.model
            and endpoint
            and (config.model.model, config.model.base_url)
            == (
                endpoint.model,
                endpoint.base_url,
            )
        )
        in_process = contender.is_local and inputs.base is not None
        same_base = (
            config.local and in_process and find_base(config.local, inputs.folder).digest() == inputs.base_digest
        )
        if same_model or same_base:
            raise ConfigError(
                f"{config.name} would judge itself: {contender.name} is the same model",
                where=where,
                fix="choose another judge, or say `judges_itself: true`",
            )


def _asker(judge: Judge, inputs: Inputs, kept: ReplyCache) -> Asker:
    config = judge.config
    if config.model is not None:
        schema = reply_schema(judge.criterion)
        suite = inputs.suite
        return EndpointJudge(config, config.model, suite.running, schema, kept, seed=suite.seed)
    return LocalJudge(config, inputs.folder, kept)


def _recorded(judge: Judge, path: Path, generations: Sequence[Generation]) -> list[Judgment]:
    """The recorded judgments of this suite's answers. Raises: DataError where there are none."""
    lines = grades.read_judgments(path, scorer=None, criterion=judge.criterion.id)
    # A line that names no contender is of any.
    known = {(one.item, name) for one in generations for name in (one.contender, "")}
    used = [line for line in lines if grades.answer_of(line) in known]
    if not used:
        raise DataError("no recorded judgment is of an answer of this suite", where=path)
    return used


def _scores(judge: Judge, judgments: Sequence[Judgment], generations: Sequence[Generation]) -> list[Score]:
    scale = _scale(judge)
    first = {(*grades.answer_of(one), one.sample): one for one in judgments if not one.swapped and not one.repeat}
    return [_score(judge.config, generation, first, scale) for generation in generations]


def _score(
    config: JudgeConfig, generation: Generation, first: Mapping[tuple[str, str, int], Judgment], scale: Scale
) -> Score:
    place = (generation.item, generation.contender, generation.repeat)
    judgment = first.get(place) or first.get((generation.item, "", generation.repeat))
    value, unscored, detail = None, None, None
    if generation.error is not None:
        unscored = f"no answer: {generation.error}"
    elif generation.contender == config.against:
        value, detail = 0.5, "compared with itself"
    elif judgment is None:
        unscored = "no judgment"
    elif judgment.grade is None:
        unscored = f"undecided: {judgment.undecided or 'no grade'}"
    elif (code := scale.code(grades.tidy(judgment.grade))) is None:
        unscored = "undecided: a grade that the rubric doesn't have"
    else:
        value, detail = scale.value(code), f"grade {judgment.grade}: {judgment.reason}".removesuffix(": ")
    return Score(
        item=generation.item,
        contender=generation.contender,
        scorer=config.name,
        value=value,
        unscored=unscored,
        detail=detail,
        repeat=generation.repeat,
    )


def _shown(card: Mapping[str, Any]) -> JudgeWorth:
    """What the card says."""
    requirements = msgspec.convert(card["requirements"], list[Requirement])
    figures = _figures_shown(card["figures"])
    return JudgeWorth(state=card["state"], card=card["digest"], requirements=requirements, figures=figures)


def _unlabelled(figures: Mapping[str, Any], because: str) -> JudgeWorth:
    """What there is before anybody labelled, or where the card doesn't hold: the judgments' own figures, and why."""
    return JudgeWorth(state="unlabelled", card=None, requirements=[], figures=_figures_shown(figures), because=because)


def _figures_shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name not in _NOT_SHOWN}
