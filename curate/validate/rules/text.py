"""What stands in the text: placeholders that were never filled, text that was decoded wrongly, lost characters."""

import re
from collections.abc import Sequence

from curate.core.rows.row import Row
from curate.recipe.rule_ids import Fault

_PLACEHOLDER = re.compile(
    r"\{\{\s*[A-Za-z_][\w .-]{0,40}\}\}"  # {{name}}
    r"|<(?:INSERT|YOUR|ENTER|FILL)\b[^<>\n]{0,60}>"  # <INSERT ...>
    r"|\[(?i:your|insert|enter|fill in) [A-Za-z][\w '/-]{0,40}\]"  # [Your name]
    r"|\[(?:YOUR|INSERT|ENTER)(?:_[A-Z_]{1,40})?\]"  # [YOUR_NAME]
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
# What the continuation bytes 80 to BF become: themselves in Latin-1, or their characters in Windows-1252.
_TAIL = "[\x80-\xbf" + "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0)) + "]"
# The sequences that a wrong reading of Western or Cyrillic text, of typographic signs or of a byte order mark leaves.
# After a capital, the last letter of a word in capitals before a quotation mark looks the same, so it is left alone.
_MOJIBAKE = re.compile(
    f"(?<![A-Z\xc0-\xde])[\xc2\xc3]{_TAIL}|(?:[\xd0\xd1]{_TAIL}){{2}}|\xe2{_TAIL}{{2}}|\xef\xbb\xbf|\xf0[\x9f\u0178]{_TAIL}{{2}}"
)
_LATIN = {char: bytes([byte]) for byte in range(0x80, 0xA0) if (char := bytes([byte]).decode("cp1252", "ignore"))}


def is_clear(texts: Sequence[str]) -> bool:
    """Is there surely nothing in these texts that `check_text` looks for? False means that it has to look."""
    whole = "\n".join(texts)
    return whole.isascii() and not ("\x00" in whole or "{{" in whole or "[" in whole or "<" in whole)


def check_text(row: Row) -> Fault | None:
    """The first fault in the text of the row's messages."""
    for number, message in enumerate(row.messages, start=1):
        text = message.content if isinstance(message.content, str) else message.text
        if "\x00" in text:
            return "nul-character", f"message {number}, character {text.index(chr(0))}"
        if ("{{" in text or "[" in text or "<" in text) and (found := _placeholder(text)):
            return "placeholder", f"message {number} holds {found}"
        if not text.isascii():
            if found := _mojibake(text):
                return "mojibake", f"message {number} holds {found}"
            if "\N{REPLACEMENT CHARACTER}" in text:
                return "lost-characters", f"message {number}, character {text.index(chr(0xFFFD))}"
    return None


def _placeholder(text: str) -> str | None:
    if _PLACEHOLDER.search(text) is None:
        return None
    # A template within code is what the row is about, not one that was left.
    found = _PLACEHOLDER.search(_CODE.sub(" ", text) if "`" in text else text)
    return found.group() if found else None


def _mojibake(text: str) -> str | None:
    """The first run of characters that is one character of UTF-8 read byte by byte, and what it should have been."""
    for found in _MOJIBAKE.finditer(text):
        run = found.group()
        try:
            meant = b"".join(_LATIN.get(char) or char.encode("latin-1") for char in run).decode()
        except UnicodeError:
            continue
        return f"{run!r}, which is {meant!r} read as Latin-1 or Windows-1252"
    return None
