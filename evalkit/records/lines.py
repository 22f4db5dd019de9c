"""What an evaluation writes, line by line: answers and the scores they got."""

import msgspec


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One contender's answer to one item, or the error that stood in its way (then `text` is empty).

    Units: tokens as the backend counts them (`estimated`: by length, for it doesn't say); `latency_ms` from request to
    last token, inside a batch for local models, at the socket for endpoints. `repeat` counts answers to one item.
    """

    item: str
    contender: str
    text: str = ""
    finish_reason: str = "stop"
    """`stop` (ended by a stop token), `length` (cut at the limit), or `error`."""
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_digest: str = ""
    latency_ms: float = 0.0
    estimated: bool = False
    repeat: int = 0


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One scorer's value for one generation, or `value` None with the reason in `unscored`."""

    item: str
    contender: str
    scorer: str
    value: float | None = None
    unscored: str | None = None
    detail: str | None = None
    label: tuple[str, str] | None = None
    """The class that was wanted and the one that was given, where the scorer knows classes."""
    repeat: int = 0
