"""Blind comparison: two contenders' answers to an item, sides by a seeded hash, and the key in a file of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from curate.core.digests import digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.review.decisions import Key
from curate.core.review.items import FLAG, SKIP, Block, Choice, Facts, Item, Kind
from curate.core.review.layout import message_blocks
from curate.core.review.memory_deck import MadeDeck
from curate.core.rows.row import Row
from curate.core.seeding import stable_seed
from evalkit.records.lines import Score
from evalkit.records.typed import read_typed, write_typed
from evalkit.results.folder import Results

KEY_FILE = "blind_key.json"
LEFT, RIGHT, TIE, BAD = "left", "right", "tie", "both bad"
KIND = Kind(
    "blind", "pairs of answers",
    (
        Choice("1", "1", LEFT, "prefer", LEFT), Choice("2", "2", RIGHT, "prefer", RIGHT),
        Choice("0", "0", TIE, "prefer", TIE), Choice("9", "9", BAD, "prefer", BAD), FLAG, SKIP,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pairs of answers. `sides` is the key: digest of a pair -> the contenders on the left and on the right.

    `items` names the item of each digest. `identical` items have the same answer twice, which is a tie without looking;
    `unanswered` ones lack an answer.
    """

    deck: MadeDeck
    sides: dict[str, tuple[str, str]]
    items: dict[str, str]
    identical: list[str]
    unanswered: list[str]


class BlindKey(msgspec.Struct, frozen=True, kw_only=True):
    """blind_key.json: by the digest of each pair that was shown, the contenders on the left and on the right."""

    kind: Literal["blind-key"] = "blind-key"
    seed: int
    sides: dict[str, tuple[str, str]]
    digest: str = ""


def pair_answers(results: Results, a: str, b: str, seed: int) -> Pairing:
    """The answers of two contenders to each item. Raises: ConfigError for a contender that did not take part."""
    known = results.result.names
    if strays := [name for name in (a, b) if name not in known]:
        raise ConfigError(f"no contender is called {', '.join(strays)}", fix=f"choose two of {', '.join(known)}")
    if a == b:
        raise ConfigError("a contender can't be compared with itself", fix=f"choose two of {', '.join(known)}")
    answers: dict[tuple[str, str], str] = {}
    for generation in results.generations:
        if generation.error is None:
            answers.setdefault((generation.item, generation.contender), generation.text)
    items: list[Item] = []
    fields: list[dict[str, str | None]] = []
    contested: list[float] = []
    pairing = Pairing(MadeDeck(KIND, items, fields), {}, {}, [], [])
    scores = _by_answer(results.scores)
    for row in results.items:
        texts = answers.get((row.id, a)), answers.get((row.id, b))
        if texts[0] is None or texts[1] is None:
            pairing.unanswered.append(row.id)
        elif texts[0] == texts[1]:
            pairing.identical.append(row.id)
        else:
            # In the order of their names first, so that it makes no difference which of them was named first.
            low, high = min(a, b), max(a, b)
            order = (low, high) if stable_seed(seed, f"side\x00{row.id}") % 2 else (high, low)
            shown = texts if order[0] == a else (texts[1], texts[0])
            item = _item(row, (str(shown[0]), str(shown[1])), order, scores)
            items.append(item)
            fields.append({"id": row.id, "label": row.label, "source": row.source, "group": row.group})
            contested.append(_disagreement(row.id, order, scores))
            pairing.sides[item.key.digest] = order
            pairing.items[item.key.digest] = row.id
    if not items and not pairing.identical:
        raise DataError("the two contenders have no item that both answered", where=f"{a} and {b}")
    deck = MadeDeck(KIND, items, fields, {"disagreement": np.array(contested, np.float64)})
    return Pairing(deck, pairing.sides, pairing.items, pairing.identical, pairing.unanswered)


def write_key(folder: Path, pairing: Pairing, seed: int) -> None:
    """Add the pairs to the key beside the results. It says who is on which side: reviewers don't look into it."""
    try:
        earlier = read_key(folder)
    except (DataError, ProvenanceError):
        earlier = {}
    write_typed(folder / KEY_FILE, BlindKey(seed=seed, sides={**earlier, **pairing.sides}))


def read_key(folder: Path) -> dict[str, tuple[str, str]]:
    """The key of all pairs that were shown. Raises: ProvenanceError where it was changed, DataError without one."""
    if not (folder / KEY_FILE).is_file():
        raise DataError("nothing was compared here yet", where=folder, fix="compare with `evalkit review` first")
    return read_typed(folder / KEY_FILE, BlindKey, "a key", "compare with `evalkit review` again").sides


def _item(
    row: Row, texts: tuple[str, str], order: tuple[str, str], scores: Mapping[tuple[str, str], Sequence[Score]]
) -> Item:
    question = message_blocks(row.prompt)
    key = Key(row.id, digest_json([question, *texts]), "")
    sides = (Block("1 left", texts[0], "user"), Block("2 right", texts[1], "assistant"))
    reference = (("reference", row.answer),) if row.answer else ()
    return Item(
        key, row.id, question, sides, after=_after(row.id, order, scores), metadata=reference,
        raw="\n\n".join(texts),
    )  # fmt: skip


def _by_answer(scores: Sequence[Score]) -> dict[tuple[str, str], list[Score]]:
    found: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        found.setdefault((score.item, score.contender), []).append(score)
    return found


def _after(item: str, order: tuple[str, str], scores: Mapping[tuple[str, str], Sequence[Score]]) -> Facts:
    """What scorers and judges say of both sides, for after the decision."""
    left, right = ({score.scorer: _value(score) for score in scores.get((item, one), ())} for one in order)
    return tuple((f"{name} says", f"left {left[name]}, right {right.get(name, '-')}") for name in left)


def _disagreement(item: str, order: tuple[str, str], scores: Mapping[tuple[str, str], Sequence[Score]]) -> float:
    """How far scorers differ on which side is better: 1 where as many say left as right, 0 where all agree."""
    left, right = (
        {score.scorer: score.value for score in scores.get((item, one), ()) if score.value is not None} for one in order
    )
    votes = [np.sign(left[name] - right[name]) for name in left if name in right and left[name] != right[name]]
    return 1 - abs(float(np.mean(votes))) if votes else float("nan")


def _value(score: Score) -> str:
    return "unscored" if score.value is None else f"{score.value:g}"
