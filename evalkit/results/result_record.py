"""result.json as a structure: what was measured, how contenders compare, and the ladder's verdict.

    ResultRecord
      suite        every setting of the suite as it was run; `terms` are those that others decide by
      ladder       the verdict, and a step for each contender
      contenders   cheapest rung first: metrics by scorer, tokens, latency, errors
      comparisons  pairs of contenders, a minus b
      judges       by scorer: what a judge was asked, and what its grades are worth
      chain        the digests of all that went in
      environment  when, where and how fast, and the digests of the files beside it: outside the record's own digest

The keys are a promise to other programs; their order in the file is that of the fields.
"""

from typing import Any, Literal

import msgspec

from evalkit.records.typed import ABSENT
from evalkit.results.class_table import ClassTable
from evalkit.results.compare_contenders import Metric
from evalkit.results.contamination import ContaminationRecord
from evalkit.results.economics import Economics
from evalkit.results.judge_account import JudgeAccount
from evalkit.results.ladder import Ladder
from evalkit.results.slices import SliceFigures
from evalkit.stats.compare import Comparison
from evalkit.suite.chain import ResultChain
from evalkit.suite.contenders import Rung

SCHEMA = 1
SLICES = ("label", "source", "length", "cluster")


class DeclaredClaim(msgspec.Struct, frozen=True):
    """A comparison that the suite declares; `metric` is the primary one unless another is named."""

    a: str
    b: str
    metric: str | None = None


class RegressionTerms(msgspec.Struct, frozen=True):
    """What a regression suite is judged by: the largest tolerated loss (a share), and items that may not break."""

    control: str
    margin: float
    must_pass: list[str] = []


class ScorerName(msgspec.Struct, frozen=True):
    """A scorer of the suite."""

    name: str


class SuiteTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a suite that a result is judged by. Units: shares, but for `seed`."""

    name: str
    primary: str
    useful_effect: float
    alpha: float
    seed: int
    cluster: str | None = None
    min_quality: float | None = None
    margin: float | None = None
    """None in results from before suites had one."""
    power: float = 0.8
    max_errors: float = 1.0
    slices: tuple[str, ...] = SLICES
    family: tuple[DeclaredClaim, ...] = ()
    scorers: tuple[ScorerName, ...] = ()
    regression: RegressionTerms | None = None


class Extremes(msgspec.Struct, frozen=True):
    """The primary metric's mean if every missing score were 0, and if it were 1."""

    worst: float
    best: float


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds of `n` requests. `alone`: one at a time; else while others were in flight, or as recorded."""

    p50: float | None
    p95: float | None
    n: int
    alone: bool


class Tokens(msgspec.Struct, frozen=True):
    """Tokens of all answers together."""

    prompt: int
    completion: int


class AppliedAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an adapter changes what is called: on so many of the probes the answer, or the logits, were others.

    `how`: by `logits` of a model in this process, by `answers` of an endpoint beside its `base`, or `none`, `because`.
    """

    how: Literal["logits", "answers", "none"]
    probes: int
    template: str = ABSENT
    changed: int
    largest_change: float | None = ABSENT
    """Of the next token's logits, as a share of the largest."""
    base: str = ABSENT
    because: str = ABSENT


class UnreadableFile(msgspec.Struct, frozen=True):
    """A document that gave no text, and why."""

    file: str
    why: str


class UnreadableFiles(msgspec.Struct, frozen=True):
    """How many documents gave no text, and the first of them."""

    count: int
    first: list[UnreadableFile] = []


class AnswerInPassages(msgspec.Struct, frozen=True, kw_only=True):
    """Of the items with an answer, for how many its words were shown, and stand in the documents at all.

    The scores are means of the primary metric, with the words shown and without.
    """

    items: int
    in_context: int
    in_documents: int | None
    score_with: float | None
    score_without: float | None


class RetrievalFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How often what an item needs was retrieved. `recall`: by k, the share whose source is among the best k."""

    passages: int | None
    unreadable: UnreadableFiles
    nothing_found: int
    failed: int
    source_named: int
    recall: dict[str, float] | None
    answer: AnswerInPassages


class TrainingTime(msgspec.Struct, frozen=True):
    """How long the contender was trained, in seconds."""

    training_seconds: float


class ContenderSection(msgspec.Struct, frozen=True, kw_only=True):
    """One contender. `n` items have a score by the primary metric, `unscored` have none."""

    name: str
    rung: Rung
    description: str
    adapter: bool
    n: int
    unscored: int
    unscored_reasons: dict[str, int]
    bounds: Extremes
    metrics: dict[str, Metric]
    """By scorer."""
    latency_ms: Latency
    tokens: Tokens
    errors: int
    """Answers that never came."""
    finish_reasons: dict[str, int]
    canary: AppliedAdapter | None = ABSENT
    retrieval: RetrievalFigures | None = ABSENT
    environment: TrainingTime | None = ABSENT
    classes: dict[str, ClassTable] = ABSENT

    @property
    def answered(self) -> int:
        """Answers that came."""
        return sum(self.finish_reasons.values()) - self.errors


class ConstantAnswerRecord(msgspec.Struct, frozen=True):
    """One answer given to every item: its text, how sentences call it, its mean, each contender (`a`) against it."""

    text: str
    name: str
    mean: float
    against: tuple[Comparison, ...]


class ResultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A result."""

    kind: Literal["result"] = "result"
    schema: int = SCHEMA
    suite: dict[str, Any]
    primary: str
    ladder: Ladder
    contenders: list[ContenderSection]
    comparisons: list[Comparison]
    constant_answer: ConstantAnswerRecord | None = None
    slices: list[SliceFigures] = []
    contamination: ContaminationRecord | None = None
    economics: Economics | None = None
    chain: ResultChain
    versions: dict[str, str] = {}
    input_digest: str = ""
    stopped: str | None = None
    """Why the run ended before everything was asked."""
    judges: dict[str, JudgeAccount] = {}
    environment: dict[str, Any] = ABSENT
    digest: str = ""

    @property
    def terms(self) -> SuiteTerms:
        """What the suite fixed before the run."""
        return msgspec.convert(self.suite, SuiteTerms)

    @property
    def names(self) -> list[str]:
        """The contenders' names, the cheapest rung first."""
        return [contender.name for contender in self.contenders]

    @property
    def scorers(self) -> list[str]:
        """The names of the scorers, in the suite's order."""
        return list(self.contenders[0].metrics)

    @property
    def files(self) -> dict[str, str]:
        """The digests of the files beside the record, by name; none where it vouches for nothing."""
        return (self.environment or {}).get("files") or {}
