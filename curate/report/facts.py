"""Rows that look like facts rather than behaviour. Facts belong in retrieval, not in weights.

A heuristic, measured on real rows in tests/curate/report/test_facts.py: of the rows that it points out in a mixed set
of instructions nearly all ask for facts, of rows that are tasks it points out one in a thousand, and of open questions
about facts it finds six in ten. So its share is a lower bound.
"""

import re
from collections.abc import Sequence

from curate.core.manifest import FactCount
from curate.core.rows.row import Row

# A fact is asked for by one of these words in a question, or at the start of a sentence ...
_ASKS = re.compile(
    r"\b(?:who|whom|whose|when|where|which|what|how (?:many|much|old|tall|long|far|high|big|large|deep|fast|heavy))\b"
    r"[^.!?\n]*\?"
    r"|(?:^|[.!?:]\s+)(?:(?:in|at|on|to|from|by) )?"
    r"(?:who|when|where|which|what|how many|name (?:the|a|an|one|two|three))\b",
    re.IGNORECASE,
)
# ... and not by one that is at heart a task on the text given, or a matter of words.
_IS_TASK = re.compile(
    r"\b(?:sentences?|phrases?|words?|text|passage|paragraph|following|given|below|above|rewrite|rephrase|translate"
    r"|convert|correct|classify|synonyms?|antonyms?|opposite|plural|tense|verb|noun|adjective|adverb|spell(?:ing)?|rhymes?"
    r"|should i|can i|could i|do i|i)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_SENTENCE = re.compile(r"[.!?:]\s+|\n")
_NUMBER = re.compile(r"\d(?:[\d.,:/-]*\d)?")
# Quantities in a question make a sum of it; years do not.
_QUANTITY = re.compile(
    r"\b(?!1\d{3}\b|20\d\d\b)\d[\d.,]*|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty"
    r"|hundred|thousand|dozen|half|twice|double|each|every|per)\b",
    re.IGNORECASE,
)
# Capital letters that name nothing where they open a short answer.
_OPENERS = frozenset(
    {"a", "an", "as", "at", "by", "for", "from", "he", "if", "in", "it", "my", "no", "not", "of", "on", "one", "she"}
    | {"that", "the", "there", "they", "this", "those", "to", "true", "false", "we", "with", "yes", "you", "your"}
)
_MAX_WORDS = 25  # longer answers explain; a fact is stated
_MAX_CHARACTERS = 400  # of so many words; saves splitting long answers
# Enough for a share within two points, and under a second even where there are millions.
_LOOKED_AT = 2000
_LISTED = 8
# From here on it is more than a few strays in a set about behaviour.
NOTABLE_SHARE = 0.1
_BARE_WORDS = 4  # in so short an answer the first word can be the name that was asked for


def describe_facts(rows: Sequence[Row]) -> FactCount:
    """How many of the rows look like facts, and the ids of some; of many rows, every k-th is looked at."""
    looked_at = rows[:: -(-len(rows) // _LOOKED_AT) or 1]
    found = [row.id for row in looked_at if states_fact(row)]
    share = round(len(found) / len(looked_at), 4) if looked_at else 0.0
    return FactCount(looked_at=len(looked_at), facts=len(found), share=share, listed=found[:_LISTED])


def fit_sentences(found: FactCount) -> list[str]:
    """What the share of facts means for somebody who wants to train on the rows."""
    if not found.facts:
        return [f"None of {found.looked_at:,} rows looked at seems to teach a fact rather than behaviour."]
    verdict = "That is much: is fine-tuning what this task needs? " if found.share >= NOTABLE_SHARE else ""
    return [
        f"{found.facts:,} of {found.looked_at:,} rows looked at ({found.share:.1%}) seem to teach facts rather"
        " than behaviour: they ask who, what, when, where or how many, and the short answer holds a name, a number or a"
        " date that the prompt lacks.",
        f"{verdict}Facts belong in retrieval: a model that is trained on them recites some and invents the others.",
        "This is a heuristic, and misses more than it wrongly points out: look at the rows.",
    ]


def states_fact(row: Row) -> bool:
    """Does the row ask for a fact, and does its short answer hold a name, a number or a date that the prompt lacks?"""
    prompt = [message for message in row.prompt if message.role == "user"]
    answer = row.answer.strip()
    if not prompt or not answer or answer[0] in "{[<" or len(answer) > _MAX_CHARACTERS:
        return False
    if len(_WORD.findall(answer)) > _MAX_WORDS:
        return False
    question = prompt[-1].text
    if _IS_TASK.search(question) or not _ASKS.search(question):
        return False
    given = " ".join(message.text for message in row.messages if message.role != "assistant")
    known = {word.lower() for word in _WORD.findall(given)}
    # A number after quantities is worked out, not known.
    numbers = set() if _QUANTITY.search(question) else set(_NUMBER.findall(answer))
    return any(name.lower() not in known for name in _names(answer)) or bool(numbers - set(_NUMBER.findall(given)))


def _names(answer: str) -> list[str]:
    names: list[str] = []
    for sentence in _SENTENCE.split(answer):
        words = _WORD.findall(sentence)
        bare = len(words) <= _BARE_WORDS
        names += [
            word
            for at, word in enumerate(words)
            if word[0].isupper() and (at > 0 or (bare and word.lower() not in _OPENERS)) and word != "I"
        ]
    return names
