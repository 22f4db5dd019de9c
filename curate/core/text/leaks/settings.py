"""What to decontaminate against and how hard to look."""

from typing import Literal

from pydantic import Field, model_validator

from curate.core.config_file import Config

Part = Literal["question", "answer"]


class Against(Config):
    """An evaluation suite: a file, a folder or a glob of JSON Lines, JSON or plain text (an item a line)."""

    path: str
    name: str | None = None
    """What evidence calls it; the path where there is none."""
    at: str | None = None
    """For one JSON document, the keys to its list of items, joined by dots: `data.test`."""
    question: str | None = None
    """Where an item's question stands: keys and list positions joined by dots. Common names are found without it."""
    answer: str | None = None
    id: str | None = None


class Template(Config):
    """Words are template, and count for nothing, where `ngram` of them in a row stand in many different texts."""

    ngram: int = Field(default=8, ge=4, le=13)
    share: float = Field(default=0.005, gt=0, le=1)
    """Many: more than this share of the rows' texts, or of the items', ..."""
    texts: int = Field(default=10, ge=2)
    """... and more than this many of them; of few texts, more than half, and more than three."""

    def limit(self, texts: int) -> int:
        """How many of `texts` different texts may share a run of words before it is template."""
        return int(max(self.share * texts, min(self.texts, texts / 2), 3))

    def answer_limit(self, answers: int) -> int:
        """How many of `answers` rows may share a run of words in their answers before it is template.

        Fewer than of texts: what more than three rows with different prompts answer is no item's own answer.
        """
        return int(max(self.share / 5 * answers, 3))


class Characters(Config):
    """Near duplicates: exact Jaccard similarity of the sets of `ngram` characters that two texts are made of."""

    ngram: int = Field(default=5, ge=2, le=16)
    threshold: float = Field(default=0.5, gt=0, le=1)
    """Items of 13 words and more that share nothing stay below 0.4; with every number and a tenth of the words changed
    most copies still reach 0.5."""
    short_threshold: float = Field(default=0.8, gt=0, le=1)
    """For items with fewer words of their own than `ngram` below: one other word changes what they ask for."""


class Paraphrases(Config):
    """Rephrased items: cosine similarity of embeddings of questions, and of answers the share of an item's code that
    stands in a row's under other names. Needs acidtest[eval]."""

    embedder: str = "embedded:minilm"
    threshold: float = Field(default=0.8, gt=0, le=1)
    """Of different items of one subject, one in fifty reaches 0.8 and one in ten 0.75; of rephrased ones, most do."""


class Decontaminate(Config):
    """Which rows give away evaluation items, and what happens to them."""

    against: list[Against] = Field(min_length=1)
    action: Literal["quarantine", "drop", "report"] = "quarantine"
    """`quarantine` holds a row back for a human to decide, `drop` rejects it for good, `report` keeps it."""
    parts: list[Part] = Field(default=["question", "answer"], min_length=1)
    """What of an item counts; question and answer are looked for and scored apart."""
    ngram: int = Field(default=13, ge=5, le=64)
    """A run of this many words that a row shares with an item is evidence; an item with fewer is looked for whole."""
    short_words: int = Field(default=6, ge=1)
    """An item with fewer words than this counts only where a row says nothing else."""
    template: Template = Template()
    characters: Characters | None = Characters()
    paraphrases: Paraphrases | None = None

    @model_validator(mode="after")
    def _template_is_shorter(self) -> "Decontaminate":
        if self.template.ngram > self.ngram:
            raise ValueError("template.ngram must not be longer than ngram")
        return self
