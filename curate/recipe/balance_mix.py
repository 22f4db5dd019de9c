"""What a dataset is composed of: the settings of balancing and of mixing. Light, so that the recipe can hold them."""

from typing import Literal

from pydantic import Field, model_validator

from curate.core.config_file import Config

# Shares are typed by hand with a few digits: 0.33 + 0.33 + 0.33 is a slip, 1/3 written to six places is not.
_SHARE_TOLERANCE = 1e-4
# Powers of four: from an order to a page, each class wide enough to hold rows of one kind.
LENGTH_EDGES = (8, 32, 128, 512, 2048)

LENGTHS = {"length": "conversation", "prompt_length": "prompt", "answer_length": "answer"}
"""The fields that are measured, not read: field -> which text of the row."""


class BalanceRule(Config):
    """How many rows the classes of one field may have. Classes are the field's values; rows without it are `(none)`.

    Limits apply in this order: `caps`/`cap` and `quotas`; then `shares` or `temperature`; floors hold against these
    two, never against a cap.
    """

    by: str = Field(min_length=1)
    """`label`, `source`, `origin`, `group`, `language` (= `meta.language`), `length`, `prompt_length`,
    `answer_length`, or `meta.KEY`, also deeper: `meta.a.b`."""
    edges: list[float] = Field(default_factory=list)
    """For lengths and numbers: where a new class starts; [10, 100] makes the classes <10, 10-100 and >=100."""
    length_in: Literal["words", "characters", "tokens"] = "words"
    cap: int | None = Field(default=None, ge=1)
    """The most rows of any class; `caps` says it for one."""
    caps: dict[str, int] = Field(default_factory=dict)
    floor: int | None = Field(default=None, ge=1)
    """The fewest rows of any class that there is; `floors` says it for one, which must then be there."""
    floors: dict[str, int] = Field(default_factory=dict)
    quotas: dict[str, int] = Field(default_factory=dict)
    """Exactly so many rows: a cap and a floor in one."""
    shares: dict[str, float] = Field(default_factory=dict)
    """What part of the rows each class makes. Classes not named divide the rest in proportion to their size."""
    temperature: float | None = Field(default=None, ge=1)
    """Class i gets a share in proportion to n_i^(1/T): 1 changes nothing, large values make classes equal."""
    rows: int | None = Field(default=None, ge=1)
    """The rows that `shares` or `temperature` divide; without it, the most for which no class runs out of rows."""
    required: bool = False
    """A floor or quota that can't be met stops the build instead of being warned of."""

    @model_validator(mode="after")
    def _fits_together(self) -> "BalanceRule":
        if not self._limits_something():
            raise ValueError("say what to do: cap, caps, floor, floors, quotas, shares or temperature")
        if self.shares and self.temperature is not None:
            raise ValueError("shares and temperature both say how large classes are: keep one")
        if self.rows is not None and not self.shares and self.temperature is None:
            raise ValueError("rows is what shares or temperature divide; without them use cap")
        if sorted(set(self.edges)) != self.edges:
            raise ValueError("edges have to rise")
        for value in (*self.caps.values(), *self.floors.values(), *self.quotas.values()):
            if value < 0:
                raise ValueError("a number of rows is not negative")
        _check_shares(self.shares)
        return self._floors_under_caps()

    def _limits_something(self) -> bool:
        named = (self.cap, self.floor, self.temperature)
        return any(value is not None for value in named) or bool(self.caps or self.floors or self.quotas or self.shares)

    def _floors_under_caps(self) -> "BalanceRule":
        both = set(self.quotas) & (set(self.caps) | set(self.floors) | set(self.shares))
        if both:
            raise ValueError(f"{', '.join(sorted(both))}: a quota is a cap, a floor and a share already")
        for name in {*self.caps, *self.floors, ""}:
            most, least = self.most(name), self.least(name)
            if most is not None and least is not None and least > most:
                raise ValueError(f"{name or 'every class'}: the floor {least} is above the cap {most}")
        return self

    def most(self, name: str) -> int | None:
        """The most rows that the class may have, None for no limit."""
        return self.quotas.get(name, self.caps.get(name, self.cap))

    def least(self, name: str) -> int | None:
        """The fewest rows that the class should have, None for no limit."""
        return self.quotas.get(name, self.floors.get(name, self.floor))


class Requirement(Config):
    """Rows of which the dataset needs a part, such as hard negatives or refusals: counted always, required by share."""

    name: str = Field(min_length=1)
    field: str = Field(default="label", min_length=1)
    """A field as in a rule's `by`; the rows meant are those whose value is one of `values`."""
    values: list[str] = Field(default_factory=list)
    """Empty: every row that has the field, whatever its value, except false."""
    share: float = Field(default=0.0, ge=0, lt=1)
    """The least part of the rows; 0 only counts them."""
    when_short: Literal["warn", "error", "trim"] = "warn"
    """`trim` takes out other rows until the share is met."""


class Balance(Config):
    """Which classes a dataset has how many rows of. Rules apply one after the other, then the requirements."""

    rules: list[BalanceRule] = Field(default_factory=list)
    require: list[Requirement] = Field(default_factory=list)
    dominant: float = Field(default=0.95, gt=0, le=1)
    """A class of at least this part of the rows is warned of: what is learned may be the class, not the behaviour."""
    gold_first: bool = False
    """Synthetic rows go before gold ones; without it only the draw decides."""
    seed: int | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Balance":
        if not self.rules and not self.require:
            raise ValueError("name at least one rule or requirement")
        return self


class Mix(Config):
    """How gold and synthetic rows are mixed, and how often training sees each source. Measured after deduplication."""

    unit: Literal["rows", "tokens"] = "rows"
    """What shares and size count."""
    synthetic: float | None = Field(default=None, ge=0, lt=1)
    """The part of the mix that synthetic rows should make. Where there are too few, the mix has less, and says so."""
    max_synthetic: float = Field(default=1.0, ge=0, le=1)
    """The part that they never exceed."""
    epochs: dict[str, float] = Field(default_factory=dict)
    """Source -> how often training sees its rows: 2 twice, 0.5 a half of them, 1.5 a half of them twice."""
    size: int | None = Field(default=None, ge=1)
    """The rows or tokens of the whole mix, repetitions counted; without it, all that the shares allow."""
    seed: int | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Mix":
        if self.synthetic is not None and self.synthetic > self.max_synthetic:
            raise ValueError(f"synthetic {self.synthetic:g} is above max_synthetic {self.max_synthetic:g}")
        for name, times in self.epochs.items():
            # A hundred passes over one source is memorising; larger values are typing slips.
            if not 0 <= times <= 100:
                raise ValueError(f"epochs of {name}: {times:g} is not between 0 and 100")
        return self


def _check_shares(shares: dict[str, float]) -> None:
    """Raises: ValueError where shares are negative or make more than one."""
    if any(not 0 <= share <= 1 for share in shares.values()):
        raise ValueError("a share is between 0 and 1")
    if sum(shares.values()) > 1 + _SHARE_TOLERANCE:
        raise ValueError(f"the shares make {sum(shares.values()):g}, more than 1")
