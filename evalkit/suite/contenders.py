"""Contenders: the ways to answer an item that a suite compares, and where on the ladder each stands."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config
from evalkit.backends.endpoint import Endpoint
from evalkit.documents.config import DocumentsConfig

Rung = Literal["base", "prompt", "rag", "fine-tune"]
RUNGS: tuple[Rung, ...] = ("base", "prompt", "rag", "fine-tune")
"""From the cheapest to the costliest."""

Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]
Count = Annotated[int, Field(ge=1, le=64)]  # more examples than this fit no small model's context


class CoveringExamples(Config):
    """The same solved train rows for every item, taken from each label in turn; the seed decides which."""

    choose: Literal["covering"]
    count: Count = 4


class NearestExamples(Config):
    """The solved train rows whose prompts are nearest to the item's, the nearest of them last."""

    choose: Literal["nearest"]
    count: Count = 4


class FileExamples(Config):
    """The solved rows of a file, in its order, for every item."""

    choose: Literal["file"]
    path: str


Examples = Annotated[CoveringExamples | NearestExamples | FileExamples, Field(discriminator="choose")]


class Contender(Config):
    """One way to answer an item: the base model with this system message and these examples, or what a run trained.

    `endpoint` names a model elsewhere instead of the base, `replay` a file of recorded answers instead of a model. With
    `run`, recorded answers are said to be those of that run's adapter; nothing shows it, so the result says so.
    """

    name: Name
    description: str = ""
    system: str | None = None
    """Takes the place of the items' own system message."""
    examples: Examples | None = None
    documents: DocumentsConfig | None = None
    """Passages of these go before each question."""
    run: str | None = None
    """A run folder of `trainer fit`, whose adapter answers."""
    endpoint: Endpoint | None = None
    """A model behind an OpenAI-compatible endpoint, which gets the messages and renders them itself."""
    replay: str | None = None
    rung: Rung | None = None
    """Where on the ladder it stands; by default what the other fields say."""

    @property
    def place(self) -> Rung:
        """Its rung: `fine-tune` with a run, `rag` with what retrieval finds, `prompt` with any other addition."""
        if self.rung:
            return self.rung
        if self.run:
            return "fine-tune"
        if self.documents or isinstance(self.examples, NearestExamples):
            return "rag"
        return "prompt" if self.examples or self.system is not None else "base"

    @property
    def is_local(self) -> bool:
        """Does the suite's base answer, in this process? Else whoever the contender names does."""
        return not (self.endpoint or self.replay)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.replay and (self.examples or self.documents or self.system is not None):
            raise ValueError("`replay` answers from a file: it takes no system, examples or documents")
        if self.endpoint and (self.run or self.replay):
            raise ValueError("`endpoint` answers elsewhere: it takes no run or replay; name its rung with `rung`")
        return self
