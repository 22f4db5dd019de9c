"""Settings of canaries: unique random strings planted in training rows."""

import math
from typing import Literal

from pydantic import Field, field_validator

from curate.core.config_file import Config

FILL = "{fill}"
_MIN_BITS = 20.0  # fewer, and a model can be right by luck: a million fills make an exposure of 20 bits
# Without characters that look alike, so that a person can compare a printed canary with an answer.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class Canaries(Config):
    """How canaries are made and planted."""

    count: int = Field(default=10, ge=1, le=10_000)
    copies: list[int] = Field(default=[1, 4, 16], min_length=1)
    """How often a canary is planted; canaries take these in turn."""
    into: Literal["extra", "rows"] = "extra"
    """`extra`: rows of their own. `rows`: a line at the end of answers of rows that are there, chosen by the seed."""
    prompt: str = "What is the reference code of record {number}?"
    """The prompt of an extra row; `{number}` is the canary's."""
    format: str = "The reference code is {fill}."
    length: int = Field(default=12, ge=1, le=64)
    """Characters in a fill, each one of 31."""
    seed: int = 0

    @field_validator("copies")
    @classmethod
    def _at_least_once(cls, value: list[int]) -> list[int]:
        if min(value) < 1 or max(value) > 1000:
            raise ValueError("a canary is planted 1 to 1000 times")
        return value

    @field_validator("format")
    @classmethod
    def _has_one_fill(cls, value: str) -> str:
        if value.count(FILL) != 1:
            raise ValueError("write {fill} once, where the random characters go")
        return value

    @field_validator("length")
    @classmethod
    def _is_hard_to_guess(cls, value: int) -> int:
        if value * math.log2(len(ALPHABET)) < _MIN_BITS:
            raise ValueError(f"too short to tell memory from luck: {_MIN_BITS:g} bits need 5 characters")
        return value
