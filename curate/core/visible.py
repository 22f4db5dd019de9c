"""Untrusted text made safe to look at: what would act, hide or reorder is shown as a sign instead."""

import re

# Characters that a reader can't see or that change what the others look like: controls, zero-width signs, direction
# overrides, byte order marks, unpaired surrogates. Zero-width joiners stay: emoji and several scripts need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064"
    "\u2066-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_CONTROL_PICTURES = 0x2400  # Unicode's pictures of the controls, in the controls' own order


def visible(text: str, limit: int | None = None) -> str:
    """`text` with invisible characters shown as `␛` or `‹U+202E›`, cut to `limit` characters with a note.

    Tabs and line feeds stay.
    """
    cut = text if limit is None or len(text) <= limit else text[:limit]
    shown = _INVISIBLE.sub(_sign, cut.replace("\r\n", "\n"))
    left = len(text) - len(cut)
    return f"{shown} … ({left:,} more characters)" if left else shown


def escape_invisible(text: str) -> str:
    """JSON text with invisible characters as `\\u` escapes: it says the same, and nothing in it hides."""
    return _INVISIBLE.sub(lambda match: "".join(f"\\u{unit:04x}" for unit in _units(match.group())), text)


def without_surrogates(text: str) -> str:
    """The text with unpaired surrogates, which no file in UTF-8 can hold, replaced by U+FFFD; as long as before."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
    return text


def _units(character: str) -> list[int]:
    """The UTF-16 units of a character."""
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


def _sign(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"‹U+{code:04X}›"
