"""What a suite says about a contender's documents."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config

Ranking = Literal["hybrid", "vector", "text"]


class DocumentsConfig(Config):
    """Passages that go before each question: from the documents at `paths`, or what a function of the user's finds.

    `function`, written as `path/to/file.py:function`, gets the question and `top`, and returns texts, or objects with
    `text` and `source`, the best first.
    """

    paths: list[str] = Field(default=[])
    """Files and folders: Markdown, text, HTML, PDF, JSON Lines."""
    function: Annotated[str, Field(pattern=r"^.+\.py:\w+$")] | None = None
    top: int = Field(default=3, ge=1, le=64)
    """How many passages go before a question; the best of them last, next to it."""
    ranking: Ranking = "hybrid"
    """By meaning (`vector`), by words (`text`), or by both (`hybrid`)."""
    chunk_words: Annotated[int, Field(ge=20, le=2000)] = 120
    """The most words of a passage. The embedded embedder reads 256 tokens, about 180 words."""
    overlap_words: Annotated[int, Field(ge=0, le=500)] = 20
    """Whole sentences of at most so many words begin the next passage of the same section again."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.paths) == (self.function is not None):
            raise ValueError("name either `paths` or a `function`")
        if self.overlap_words * 2 > self.chunk_words:
            raise ValueError("`overlap_words` may be at most half of `chunk_words`")
        return self
