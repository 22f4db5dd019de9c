"""The `screens:` block of a recipe: which screens run, on which text, and what happens to rows over the threshold."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from curate.core.config_file import Config
from curate.core.text.language.languages import LANGUAGES

On = Literal["prompt", "answer", "conversation"]
Action = Literal["report", "reject"]
RedactingAction = Literal["report", "reject", "redact"]
PersonalType = Literal["email", "phone", "iban", "card", "ssn", "national-id", "ip", "date-of-birth"]
DEFAULT_PERSONAL: list[PersonalType] = ["email", "phone", "iban", "card", "ssn", "national-id", "ip"]

# Limits of table A1 in Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher".
_GOPHER_TOP = {2: 0.20, 3: 0.18, 4: 0.16}
_GOPHER_DUPLICATE = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


class Screen(Config):
    """What every screen has: a row whose value is above `threshold` is reported or rejected. Higher is worse."""

    action: Action = "report"
    on: On = "conversation"
    threshold: float = 0.0


class Redacting(Config):
    """A screen that can also replace what it finds with a placeholder such as `[EMAIL]`."""

    action: RedactingAction = "report"
    on: On = "conversation"
    threshold: float = 0.0
    """How many findings a row may have; every finding of a row above it is redacted."""
    patterns: dict[str, str] = Field(default_factory=dict)
    """More kinds to find: name -> pattern in Rust's regex syntax, which has no look-around and runs in linear time."""

    @field_validator("patterns")
    @classmethod
    def _names_are_words(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError(f"{name!r}: name a kind with letters, digits, - and _")
        return value


class PersonalData(Redacting):
    """Personal data by pattern and checksum. Value: findings in the row. Names and addresses need `presidio`."""

    types: list[PersonalType] = Field(default=DEFAULT_PERSONAL, min_length=1)
    phone_by_context: bool = True
    """Count digit groups that only a word nearby ("call", "fax") makes a phone number."""
    private_addresses: bool = False
    """Count IP addresses of private, loopback and documentation networks too."""
    presidio: bool = False
    """Ask Microsoft Presidio as well, where it is installed: finds names and places, at about a row per 10 ms."""
    presidio_language: str = "en"


class Secrets(Redacting):
    """Keys, tokens, private keys, URLs with a password, assigned secrets. Value: findings in the row."""

    min_entropy: float = Field(default=3.5, ge=0, le=8)
    """Bits a character that a value assigned to a name such as `api_key` needs to count; for passwords, one less."""


class Toxicity(Screen):
    """Terms from word lists, or a classifier's score. Value: terms found in the row, or what the classifier returns."""

    words: list[str] = Field(default_factory=list)
    """Word-list files: one term a line, and a line `# licence: ...` that says how it may be used."""
    threats: bool = True
    """Also look for the built-in English threats and insults: a short list, a floor and no judgment."""
    classifier: str | None = None
    """`file.py:function`, called with a list of texts, returns a number for each; replaces the lists."""


class Language(Screen):
    """Is the text in a language that is expected? Value: 0 yes, 1 no, 0.5 undetermined.

    Undetermined text in a script that no expected language is written in is not in one of them.
    """

    on: On = "answer"
    threshold: float = Field(default=0.5, ge=0, lt=1)
    """0.5 keeps what is undetermined (short texts, code, JSON); 0.25 takes it as wrong."""
    expected: list[str] = Field(min_length=1)

    @field_validator("expected")
    @classmethod
    def _can_be_told(cls, value: list[str]) -> list[str]:
        if unknown := sorted(set(value) - set(LANGUAGES)):
            raise ValueError(f"can't tell {', '.join(unknown)}; known: {', '.join(LANGUAGES)}")
        return value


class Repetition(Screen):
    """Repeated word runs and lines, as in the Gopher rules. Value: the worst measure divided by its limit."""

    on: On = "answer"
    threshold: float = 1.0
    min_words: int = Field(default=20, ge=2)
    """Texts with fewer words are not measured: in a short text one repeated pair is a large share."""
    top_ngram: dict[int, float] = Field(default=_GOPHER_TOP)
    """n -> the largest share of characters that the most frequent run of n words may hold; n from 2 to 4."""
    duplicate_ngram: dict[int, float] = Field(default=_GOPHER_DUPLICATE)
    """n -> the largest share of characters in runs of n words that occurred before; n from 5 to 10."""
    duplicate_lines: float = Field(default=0.30, gt=0, le=1)
    duplicate_line_bytes: float = Field(default=0.20, gt=0, le=1)

    @model_validator(mode="after")
    def _measured_lengths(self) -> "Repetition":
        for name, given, known in (
            ("top_ngram", self.top_ngram, _GOPHER_TOP),
            ("duplicate_ngram", self.duplicate_ngram, _GOPHER_DUPLICATE),
        ):
            if not set(given) <= set(known):
                raise ValueError(f"{name}: lengths are {min(known)} to {max(known)} words")
            if not all(0 < limit <= 1 for limit in given.values()):
                raise ValueError(f"{name}: limits are shares above 0 and at most 1")
        return self


class Refusals(Screen):
    """Answers that refuse. Value: 1 where the answer opens with a refusal, else 0. Refusing can be wanted."""

    on: On = "answer"
    patterns: dict[str, str] = Field(default_factory=dict)
    """More refusals: name -> pattern in Rust's regex syntax."""


class Boilerplate(Screen):
    """Leftovers of a chat model ("As an AI language model", "Sure! Here is"). Value: how many kinds of them."""

    on: On = "answer"
    patterns: dict[str, str] = Field(default_factory=dict)
    """More leftovers: name -> pattern in Rust's regex syntax."""


class LowInformation(Screen):
    """Texts with little in them. Value: how far the worst measure falls short of its limit, from 0 to 1."""

    on: On = "answer"
    min_characters: int = Field(default=2, ge=0)
    min_words: int = Field(default=1, ge=0)
    min_entropy: float = Field(default=2.0, ge=0, le=8)
    """Bits a byte; English prose has 4.0 to 4.5. Asked of texts of 20 characters and more."""
    min_distinct: float = Field(default=0.2, ge=0, le=1)
    """Different words among all words. Asked of texts of 20 to 500 words: longer ones repeat words by nature."""


class Custom(Screen):
    """A screen of the user's own: `file.py:function`, called with a list of texts, returns a number for each."""

    function: str
    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")


class Screens(Config):
    """The screens that run; one that is left out does not."""

    personal_data: PersonalData | None = None
    secrets: Secrets | None = None
    toxicity: Toxicity | None = None
    language: Language | None = None
    repetition: Repetition | None = None
    refusals: Refusals | None = None
    boilerplate: Boilerplate | None = None
    low_information: LowInformation | None = None
    custom: list[Custom] = Field(default_factory=list)

    @field_validator("custom")
    @classmethod
    def _names_differ(cls, value: list[Custom]) -> list[Custom]:
        names = [screen.name for screen in value]
        known = {name.replace("_", "-") for name in cls.model_fields}
        clash = sorted({name for name in names if names.count(name) > 1 or name in known})
        if clash:
            raise ValueError(f"two screens are named {', '.join(clash)}")
        return value


def wants_screens(screens: Screens) -> bool:
    """Is any screen named?"""
    return any(getattr(screens, name) for name in type(screens).model_fields)
