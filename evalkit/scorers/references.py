"""What an answer is compared with, and how texts are made comparable."""

import re
import string
import unicodedata

from curate.core.rows.row import Row
from evalkit.scorers.types import Unscored

NO_REFERENCE = Unscored("the item has no target")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def references(item: Row) -> list[str]:
    """The answers that count as right: those in `meta.answers` where it lists any, else the item's target."""
    listed = item.meta.get("answers")
    if isinstance(listed, list) and listed:
        return [str(answer) for answer in listed]
    return [item.answer] if item.answer.strip() else []


def normalised(text: str) -> str:
    """The text without case, punctuation, English articles and doubled white space.

    Source: the evaluation of SQuAD (Rajpurkar et al., arXiv:1606.05250), with Unicode folded to its compatible form.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())
