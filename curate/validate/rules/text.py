"""What stands in the text: placeholders that were never filled, text that was decoded wrongly, lost characters."""

import re
from collections.abc import Sequence

from curate.core.rows.row import SCENE, Message, Row
from curate.recipe.rule_ids import Fault

_PLACEHOLDER = re.compile(
    # {{name}}; ${{ x }} is a workflow's, ={{ x }} a component's, and in LaTeX groups follow _, ^, } and \.
    r"(?<![$=_^}\\{])\{\{\s*[A-Za-z_][\w .-]{0,40}\}\}"
    r"|<(?:INSERT|YOUR|ENTER|FILL)\b[^<>\n]{0,60}>"  # <INSERT ...>
    r"|\[(?i:your|insert|fill in) [A-Za-z][\w '/-]{0,40}\]"  # [Your name]
    # [Enter your name here], and not [Enter HAMLET], which is said of a stage
    r"|\[(?i:enter)(?= [^\]\n]{0,40}\b(?i:your|here|names?|date|time|address|e-?mail|number|amount|title|text|value"
    r"|reason|company|phone|city|url|link|details|description|job|position)\b) [A-Za-z][\w '/-]{0,40}\]"
    r"|\[(?:YOUR|INSERT|ENTER)(?:_[A-Z_]{1,40})?\]"  # [YOUR_NAME]
)
_CODE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\\[A-Za-z]+(?:\{\{[^{}\n]*\}\})+|\b[rR]?[fF][rR]?(?P<quote>[\"'])[^\n]*?(?P=quote)",
    re.DOTALL,
)
# What is said where double braces are the subject, and where blanks to be filled in were asked for.
_TEMPLATING = re.compile(
    r"templat|jinja|handlebars|mou?stache|\b(?:liquid|vue|twig|django|angular|svelte|helm|ansible|hugo|jekyll|dbt|n8n)\b"
    r"|nunjucks|ya?ml|f-?strings?\b|format string|curly|braces|interpolat|placeholder|variables?\b|latex|mail ?merge"
    r"|merge (?:tag|field)|wikitext|cloze|\{%|\{\{[#/&>!-]",
    re.IGNORECASE,
)
_BLANKS = re.compile(
    r"templat|placeholder|\bforms?\b|boilerplate|skeleton|fill(?:ed|s|ing)?[ -](?:in|out)|blank|mad libs|bracket"
    r"|plantilla|vorlage|modèle|modelo",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"\b(?:letter|contract|agreement|sample)", re.IGNORECASE)  # which end in [Your Name]
_KEEPING = re.compile(r"translat|locali[sz]|preserv|\bkeep|rewrite|proofread", re.IGNORECASE)
# What the continuation bytes 80 to BF become: themselves in Latin-1, or their characters in Windows-1252.
_TAIL = "[\x80-\xbf" + "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0)) + "]"
# The sequences that a wrong reading of Western or Cyrillic text, of typographic signs or of a byte order mark leaves.
# After a capital, the last letter of a word in capitals before a quotation mark looks the same, so it is left alone.
_MOJIBAKE = re.compile(
    f"(?<![A-Z\xc0-\xde])[\xc2\xc3]{_TAIL}|(?:[\xd0\xd1]{_TAIL}){{2}}|\xe2{_TAIL}{{2}}|\xef\xbb\xbf|\xf0[\x9f\u0178]{_TAIL}{{2}}"
)
_ENCODINGS = re.compile(r"mojibake|encod|utf-?8|unicode|latin-?1|iso-8859|windows-1252|cp1252|garbled", re.IGNORECASE)
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
        if ("{{" in text or "[" in text or "<" in text) and (found := _placeholder(row, message, text)):
            return "placeholder", f"message {number} holds {found}"
        if not text.isascii():
            if (found := mojibake(text)) and not is_about_encodings(row):
                return "mojibake", f"message {number} holds {found}"
            if "\N{REPLACEMENT CHARACTER}" in text:
                return "lost-characters", f"message {number}, character {text.index(chr(0xFFFD))}"
    return None


def _placeholder(row: Row, message: Message, text: str) -> str | None:
    """The first placeholder that was left, and is neither within code nor what the row is about."""
    if _PLACEHOLDER.search(text) is None:
        return None
    for match in _PLACEHOLDER.finditer(_CODE.sub(" ", text)):
        if not _is_wanted(row, message, match.group()):
            return match.group()
    return None


def _is_wanted(row: Row, message: Message, found: str) -> bool:
    """Is this row about templates, or was this asked for? A system prompt has to say so itself."""
    asked = [message] if message.role in SCENE else [one for one in row.messages if one.role == "user"]
    subjects = {"{": [_TEMPLATING], "<": [_BLANKS], "[": [_BLANKS, _LETTERS]}[found[0]]
    if any(subject.search(one.text) for subject in subjects for one in asked):
        return True
    if message.role in SCENE:
        return False
    if message.role != "user" and any(found in one.text for one in asked):
        return True
    answer = row.answer
    if found.startswith("{") and _TEMPLATING.search(answer):
        return True
    return found in answer and any(_KEEPING.search(one.text) for one in asked)


def is_about_encodings(row: Row) -> bool:
    """Does somebody speak of encodings? Then wrongly decoded text is an example of it."""
    return any(_ENCODINGS.search(message.text) for message in row.messages)


def mojibake(text: str) -> str | None:
    """The first run of characters that is one character of UTF-8 read byte by byte, and what it should have been."""
    for found in _MOJIBAKE.finditer(text):
        run = found.group()
        try:
            meant = b"".join(_LATIN.get(char) or char.encode("latin-1") for char in run).decode()
        except UnicodeError:
            continue
        return f"{run!r}, which is {meant!r} read as Latin-1 or Windows-1252"
    return None
