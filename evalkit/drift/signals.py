"""Signals: one number each on how production differs from what was trained on and measured, with its interval.

A signal has drifted where its whole interval lies beyond what is tolerated: drift is shown, not suspected. It is worth
watching where the interval leaves out "nothing changed". Intervals are narrowed to alpha divided by the number of
signals (Bonferroni), so that all of them together raise a false alarm with a chance of at most alpha.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from evalkit.drift.embeddings import Meaning
from evalkit.drift.logs import Entry
from evalkit.drift.measures import answers_in_json, refusals, schema_faults, words
from evalkit.drift.reference import Reference
from evalkit.stats.arrays import Floats
from evalkit.stats.interval import Range
from evalkit.stats.shift import beyond, share, share_difference, superiority

SignalState = Literal["drift", "watch", "steady", "not measured"]
Side = Literal["input", "output"]

FEWEST = 30  # entries a side: below, no interval is narrow enough to show what is tolerated
_EVEN = 0.5  # the chance of superiority where nothing changed
_CHANCE_TOLERATED = 0.1  # 0.6 is a shift of about a third of a standard deviation
_SHARE_TOLERATED = 0.05  # five points
FAR_PART = 0.05  # of held-out questions: those nearest to training by less than this count as outside


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One signal. `value` with its interval is to be compared with `expected`; `tolerated` is how far it may be off."""

    name: str
    side: Side
    state: SignalState
    because: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    expected: float | None = None
    tolerated: float | None = None
    n: int = 0
    n_reference: int = 0


def not_measured(name: str, side: Side, because: str) -> Signal:
    """The signal that could not be measured."""
    return Signal(name=name, side=side, state="not measured", because=because)


def measure_all(
    logs: Sequence[Entry], reference: Reference, meaning: Meaning | None, alpha: float
) -> tuple[list[Signal], float]:
    """Every signal, and the alpha that each was measured at."""
    level = alpha / (8 if meaning is None else 11)  # as many as are below, labels counted as two
    found = [
        _lengths("question length", "input", logs, reference.questions, level),
        *_labels(logs, reference.questions, level),
        _lengths("answer length", "output", logs, reference.answers, level),
        _refusals(logs, reference.answers, level),
        _schemas(logs, reference.answers, level),
        _empty(logs, reference.answers, level),
        _thumbs(logs, level),
    ]
    if meaning is not None:
        found[1:1] = _meaning(meaning, level)
    return found, level


def _lengths(name: str, side: Side, logs: Sequence[Entry], old: Sequence[Entry], level: float) -> Signal:
    texts = [[entry.question if side == "input" else entry.answer for entry in some] for some in (logs, old)]
    new_words, old_words = (words([text for text in some if text.strip()]) for some in texts)
    medians = (float(np.median(some)) if some.size else 0.0 for some in (new_words, old_words))
    what = "{:.0f} words in the middle, {:.0f} before".format(*medians)
    return _chance(name, side, (new_words, old_words), level, what)


def _chance(
    name: str, side: Side, samples: tuple[Floats, Floats], level: float, what: str, *, only_above: bool = False
) -> Signal:
    """A signal that is a chance of superiority; with `only_above`, values below one half are chance alone."""
    new, old = samples
    if min(new.size, old.size) < FEWEST:
        return _too_few(name, side, int(new.size), int(old.size))
    found = superiority(new, old, level)
    return _judged(name, side, found, (_EVEN, _CHANCE_TOLERATED), (int(new.size), int(old.size)), what, only_above)


def _judged(
    name: str,
    side: Side,
    found: Range,
    measure: tuple[float, float],
    sizes: tuple[int, int],
    what: str,
    only_above: bool = False,
) -> Signal:
    expected, tolerated = measure
    if found.low > expected + tolerated or (not only_above and found.high < expected - tolerated):
        state: SignalState = "drift"
    elif found.low > expected or (not only_above and found.high < expected):
        state = "watch"
    else:
        state = "steady"
    return Signal(
        name=name,
        side=side,
        state=state,
        because=what,
        value=found.estimate,
        low=found.low,
        high=found.high,
        expected=expected,
        tolerated=tolerated,
        n=sizes[0],
        n_reference=sizes[1],
    )


def _too_few(name: str, side: Side, new: int, old: int) -> Signal:
    return not_measured(name, side, f"{new} in the logs and {old} to compare with; each needs {FEWEST}")


def _shares(
    name: str, side: Side, new: tuple[int, int], old: tuple[int, int], level: float, *, only_above: bool = True
) -> Signal:
    if min(new[1], old[1]) < FEWEST:
        return _too_few(name, side, new[1], old[1])
    what = f"{new[0]} of {new[1]}, before {old[0]} of {old[1]}"
    found = share_difference(new, old, level)
    return _judged(name, side, found, (0.0, _SHARE_TOLERATED), (new[1], old[1]), what, only_above)


def _labels(logs: Sequence[Entry], old: Sequence[Entry], level: float) -> list[Signal]:
    """The label whose share changed most, at a level for all labels together; and the share of labels never seen."""
    new_counts = Counter(entry.label for entry in logs if entry.label is not None)
    old_counts = Counter(entry.label for entry in old if entry.label is not None)
    size, before = new_counts.total(), old_counts.total()
    if min(size, before) < FEWEST:
        return [_too_few(name, "input", size, before) for name in ("labels", "unknown labels")]
    known = sorted(old_counts)
    changes = {
        label: share_difference((new_counts[label], size), (old_counts[label], before), level / len(known))
        for label in known
    }
    # The change whose interval is farthest from none, and of equal ones the larger: what a reader would look at.
    worst = max(known, key=lambda label: (_least(changes[label]), abs(changes[label].estimate)))
    what = f"{worst}: {new_counts[worst]} of {size}, before {old_counts[worst]} of {before}"
    unknown = size - sum(new_counts[label] for label in known)
    names = [label for label, _ in new_counts.most_common() if label not in old_counts][:3]
    said = f"{unknown} of {size} have labels that training never had" + (f": {', '.join(names)}" if names else "")
    return [
        _judged("labels", "input", changes[worst], (0.0, _SHARE_TOLERATED), (size, before), what),
        _judged("unknown labels", "input", share(unknown, size, level), (0.0, _SHARE_TOLERATED), (size, before), said),
    ]


def _least(change: Range) -> float:
    """How far from no change the interval stays."""
    return max(change.low, -change.high, 0.0)


def _refusals(logs: Sequence[Entry], old: Sequence[Entry], level: float) -> Signal:
    new, before = refusals(logs), refusals(old)
    if min(len(logs), len(old)) >= FEWEST > min(new[1], before[1]):
        return not_measured("refusals", "output", "refusals are told in English, and few answers are in English")
    return _shares("refusals", "output", new, before, level)


def _schemas(logs: Sequence[Entry], old: Sequence[Entry], level: float) -> Signal:
    expected = answers_in_json(old)
    new = schema_faults(logs, json_expected=expected)
    if not new[1]:
        return not_measured("schema errors", "output", "no answer in the logs has a schema to fit")
    before = schema_faults(old, json_expected=expected)
    if not before[1]:
        # Nothing to compare with: an answer that breaks its schema is a fault in itself.
        what = f"{new[0]} of {new[1]}; nothing to compare with"
        if new[1] < FEWEST:
            return _too_few("schema errors", "output", new[1], 0)
        return _judged("schema errors", "output", share(*new, level), (0.0, _SHARE_TOLERATED), (new[1], 0), what, True)
    return _shares("schema errors", "output", new, before, level)


def _empty(logs: Sequence[Entry], old: Sequence[Entry], level: float) -> Signal:
    new, before = (
        (sum(not entry.answer.strip() and not entry.calls for entry in some), len(some)) for some in (logs, old)
    )
    return _shares("empty answers", "output", new, before, level)


def _thumbs(logs: Sequence[Entry], level: float) -> Signal:
    """Thumbs down in the later half of the logs against the earlier one: training has no thumbs to compare with."""
    given = [entry.thumb for entry in logs if entry.thumb is not None]
    half = len(given) // 2
    earlier, later = given[:half], given[half:]
    if half < FEWEST:
        return not_measured("thumbs down", "output", f"{len(given)} thumbs in the logs; it needs {2 * FEWEST}")
    counts = [(some.count(False), len(some)) for some in (later, earlier)]
    found = share_difference(counts[0], counts[1], level)
    what = f"later half {counts[0][0]} of {counts[0][1]}, earlier half {counts[1][0]} of {counts[1][1]}"
    return _judged("thumbs down", "output", found, (0.0, _SHARE_TOLERATED), (counts[0][1], counts[1][1]), what, True)


def _meaning(found: Meaning, level: float) -> list[Signal]:
    nearest = (-found.nearest_new, -found.nearest_old)
    signals = [
        _chance(
            "distance to training",
            "input",
            nearest,
            level,
            "the chance that a question is farther from training than a held-out one",
            only_above=True,
        ),
        _chance(
            "meaning",
            "input",
            (found.along_new, found.along_old),
            level,
            "how well questions can be told from held-out ones: 0.5 is not at all",
            only_above=True,
        ),
    ]
    sizes = (found.nearest_new.size, found.nearest_old.size)
    if min(sizes) < FEWEST:
        return [*signals, _too_few("out of distribution", "input", *sizes)]
    outside, expected = beyond(found.nearest_new, found.nearest_old, FAR_PART, level)
    count = round(outside.estimate * sizes[0])
    what = f"{count} of {sizes[0]} are farther from training than {1 - FAR_PART:.0%} of held-out questions"
    # What to expect is itself known from few held-out questions: the far end of its interval counts.
    measure = (expected.high, _SHARE_TOLERATED)
    return [*signals, _judged("out of distribution", "input", outside, measure, sizes, what, True)]
