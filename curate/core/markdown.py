"""Text in Markdown that stays text, whatever it holds."""

import re
from collections.abc import Sequence

# Links, also those of bare addresses, pictures, emphasis and cells' edges; and what makes a list or a heading of a
# line. A low line within a word is none of these, and neither is a backslash before a letter.
_MARKUP = re.compile(
    r"[\[\]*|]|\\(?=[!-/:-@\[-`{-~])|(?<![^\W_])_|_(?![^\W_])|~~|@(?=\w)|:(?=//)|(?<=\bwww)\.|^#(?=#*\s)|^[+-](?=\s)|^>",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
_CODE = re.compile(r"(`[^`]*`)")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; every cell is text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell(value) for value in line)} |" for line in lines)


def cell(value: object) -> str:
    """Text that stays in its cell and is text, not markup."""
    return _as_text(_one_line(value)).replace("`", "\\`")


def sentence(value: object) -> str:
    """A sentence of ours, which may name what others named: what stands in backticks is code, the rest is text."""
    text = _one_line(value)
    parts = [text] if "``" in text else _CODE.split(text)
    # Also within code, lest somebody's odd backtick makes text of it.
    return "".join(_as_text(part) if number % 2 == 0 else _entities(part) for number, part in enumerate(parts))


def _one_line(value: object) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(str(value).split()))


def _as_text(text: str) -> str:
    return _entities(_NUMBERED.sub(r"\1\\\2", _MARKUP.sub(r"\\\g<0>", text)))


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
