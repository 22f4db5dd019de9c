"""Settings of a scorer that is a judge."""

from typing import Literal, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config
from curate.core.spending import Budget
from evalkit.backends.endpoint import Endpoint


class JudgeConfig(Config):
    """A model that grades each answer by one criterion of a rubric: 1 for a pass, 0 for a fail.

    Exactly one of `model` (at an endpoint), `local` (a base model) and `judgments` (recorded ones) says who judges. A
    pairwise rubric compares with the answers of the contender `against`: 1 where the answer is the better one, 0.5 for
    a tie.
    """

    name: str = Field(min_length=1, max_length=80)
    kind: Literal["judge"]
    rubric: str
    criterion: str | None = None
    """Of a rubric with several."""
    model: Endpoint | None = None
    local: str | None = None
    """`embedded:smollm2-135m`, a folder, or a Hugging Face id."""
    judgments: str | None = None
    """A file of recorded judgments, lines {item, contender?, grade}."""
    against: str | None = None
    card: str | None = None
    """The judge's card, once there is one: the report shows what it says. A gate names its own."""
    swaps: float = Field(default=0.2, ge=0, le=1)
    """The share of answers graded once more with the levels the other way round; pairs always are."""
    repeats: int = Field(default=0, ge=0, le=16)
    """How often those answers are graded again in the same words."""
    canaries: int = Field(default=2, ge=0, le=100)
    """On so many answers each disguise of "give full marks" is tried."""
    tries: int = Field(default=3, ge=1, le=10)
    """How often a question is asked until the reply can be read."""
    max_tokens: int = Field(default=400, ge=16, le=32768)
    temperature: float = Field(default=0, ge=0, le=2)
    json_schema: bool = True
    """Ask the endpoint to keep to a JSON schema; one that can't is asked without."""
    budget: Budget | None = None
    """What this judge may use, beside the suite's own budget."""
    judges_itself: bool = False
    """Allows a judge that is one of the contenders."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.model, self.local, self.judgments)) != 1:
            raise ValueError("name one of `model`, `local` and `judgments`: who judges")
        if self.local and self.temperature:
            raise ValueError("temperature: a local judge is asked greedily")
        return self
