"""The check: read, measure, and say whether to train again, and why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from curate.core.visible import visible
from evalkit.drift.logs import Logs, one_of_each, read_logs
from evalkit.drift.reference import Reference, read_reference
from evalkit.drift.signals import Signal, measure_all
from evalkit.stats.in_words import percent

Advice = Literal["retrain", "look", "watch", "steady", "unknown"]
_SHOWN = 5  # questions far from training: enough to see what they are about
_SHOWN_LENGTH = 120


@dataclass(frozen=True)
class DriftSettings:
    """`embedded`: at most so many questions a side are compared by meaning; 0: none are. `alpha`: of all signals.

    `one_per`: the field whose equal values tie exchanges together; one of each counts.
    """

    embedder: str = "embedded:minilm"
    embedded: int = 500
    alpha: float = 0.05
    seed: int = 0
    one_per: str | None = None


@dataclass(frozen=True)
class Drift:
    """What was found. `advice`: retrain (questions changed), look (only answers did), watch, steady, unknown."""

    logs: Logs
    reference: Reference
    signals: list[Signal]
    level: float
    far: list[str]
    advice: Advice
    because: str

    def summary(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "kind": "drift",
            "advice": self.advice,
            "because": self.because,
            "dataset": self.reference.manifest,
            "answers_compared_with": self.reference.answers_from,
            "entries": len(self.logs.entries),
            "lines": self.logs.lines,
            **({"dependent": self.logs.dependent} if self.logs.dependent else {}),
            "bad_lines": dict(self.logs.bad.most_common()),
            "bad_line_places": self.logs.places,
            "alpha_each": self.level,
            "signals": [msgspec.to_builtins(signal) for signal in self.signals],
            "far_questions": self.far,
        }

    def lines(self) -> list[str]:
        """For people."""
        found = [f"{len(self.logs.entries):,} exchanges, compared with {self.reference.answers_from}"]
        found += [
            f"left out: {count:,} lines: {reason} ({', '.join(map(visible, self.logs.places[reason]))})"
            for reason, count in self.logs.bad.most_common()
        ]
        if self.logs.dependent:
            found.append(f"left out: {self.logs.dependent:,} more exchanges of a conversation or user that is there")
        width = max(len(signal.name) for signal in self.signals)
        for signal in self.signals:
            figures = _figures(signal)
            found.append(f"{signal.state:12}  {signal.name:{width}}  {figures}{visible(signal.because)}")
        if self.far and any(signal.name == "out of distribution" and _off(signal) for signal in self.signals):
            found += ["farthest from training:", *(f"  {visible(text)}" for text in self.far)]
        return [*found, "", f"{self.advice}: {visible(self.because)}"]


def check_drift(
    paths: list[Path], dataset: Path, results: Path | None, contender: str | None, settings: DriftSettings
) -> Drift:
    """Compare logs with a dataset and, where given, the results of what was released.

    Raises: ConfigError, DataError, ProvenanceError, ServiceError.
    """
    reference = read_reference(dataset, results, contender)
    logs = read_logs(paths, settings.one_per)
    if settings.one_per:
        logs = one_of_each(logs, settings.one_per, settings.seed)
    meaning = None
    if settings.embedded:
        from curate.core.text.embedding import find_embedder
        from evalkit.drift.embeddings import measure

        embedder = find_embedder(settings.embedder, Path.cwd())
        meaning = measure(logs.entries, reference, embedder, limit=settings.embedded, seed=settings.seed)
    signals, level = measure_all(logs.entries, reference, meaning, settings.alpha)
    far = [text[:_SHOWN_LENGTH] for text in meaning.far[:_SHOWN]] if meaning else []
    advice, because = advise(signals)
    return Drift(logs, reference, signals, level, far, advice, because)


def advise(signals: list[Signal]) -> tuple[Advice, str]:
    """What to do, and why. Training again helps where questions changed; where only answers did, look first."""
    measured = [signal for signal in signals if signal.state != "not measured"]
    if not measured:
        return "unknown", "too few exchanges to say anything"
    drifted = [signal for signal in measured if signal.state == "drift"]
    asked = [_named(signal) for signal in drifted if signal.side == "input"]
    answered = [_named(signal) for signal in drifted if signal.side == "output"]
    if asked:
        more = f"; answers changed too: {', '.join(answered)}" if answered else ""
        return "retrain", (
            f"production asks something else than was trained on: {', '.join(asked)}{more}."
            " Add such questions to the sources, build, and train again"
        )
    if answered:
        return "look", (
            f"the questions are as they were, and the answers are not: {', '.join(answered)}."
            " Look at template, serving and base first, and evaluate again; training again may not be what it needs"
        )
    watched = [_named(signal) for signal in measured if signal.state == "watch"]
    if watched:
        return "watch", f"something changed, by less than matters as far as can be shown: {', '.join(watched)}"
    return "steady", "nothing changed as far as can be shown"


def _named(signal: Signal) -> str:
    return f"{signal.name} ({signal.because})"


def _off(signal: Signal) -> bool:
    return signal.state in ("drift", "watch")


def _figures(signal: Signal) -> str:
    if signal.value is None or signal.low is None or signal.high is None or signal.expected is None:
        return ""
    if signal.tolerated is not None and signal.expected == 0.5:
        return f"{signal.value:.2f} ({signal.low:.2f}–{signal.high:.2f}), expected {signal.expected:.2f}; "
    share = f"{_signed(signal.value)} ({_signed(signal.low)} to {_signed(signal.high)})"
    return f"{share}, expected {percent(signal.expected)}; "


def _signed(share: float) -> str:
    """A share or a difference of shares; a minus sign where it is below zero."""
    return percent(share) if share >= 0 else f"\N{MINUS SIGN}{percent(-share)}"
