"""Passages: sections cut at sentence ends into pieces that an embedder can read whole."""

import math
import re
from collections.abc import Iterator, Sequence

import msgspec

from evalkit.documents.reading import Section

_WORD_LETTERS = 12  # more letters in a row count as more words: an address, or a script that writes without spaces
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE = re.compile(r"(?<=[.!?;:])[\"')\]]*[ \t]+|\n+|(?<=[。！？])")


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a document with where it stands: its file, and the headings above it."""

    file: str
    heading: str = ""
    text: str

    @property
    def source(self) -> str:
        """What a prompt calls its place."""
        return f"{self.file}, {self.heading}" if self.heading else self.file

    @property
    def searchable(self) -> str:
        """What is searched: headings often hold the word that the text takes for granted."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


def cut(section: Section, words: int, overlap: int) -> Iterator[Passage]:
    """The passages of a section: at most `words` long, the last sentences of one, up to `overlap` words, again in
    the next."""
    held: list[tuple[str, str]] = []  # (what stands before a sentence, the sentence)
    size = 0
    for joint, sentence in _sentences(section.text, words):
        length = _words(sentence)
        if held and size + length > words:
            yield _passage(section, held)
            held = _tail(held, min(overlap, words - length))
            size = sum(_words(text) for _, text in held)
        held.append((joint, sentence))
        size += length
    if held:
        yield _passage(section, held)


def _passage(section: Section, held: Sequence[tuple[str, str]]) -> Passage:
    text = held[0][1] + "".join(joint + sentence for joint, sentence in held[1:])
    return Passage(file=section.file, heading=section.heading, text=text)


def _tail(held: Sequence[tuple[str, str]], room: int) -> list[tuple[str, str]]:
    """The last sentences that fit into `room` words."""
    kept: list[tuple[str, str]] = []
    for joint, sentence in reversed(held):
        room -= _words(sentence)
        if room < 0:
            break
        kept.insert(0, (joint, sentence))
    return kept


def _sentences(text: str, words: int) -> Iterator[tuple[str, str]]:
    """Sentences and lines with what stands before them; one beyond `words` in parts."""
    for paragraph in _PARAGRAPH.split(text):
        joint, start = "\n\n", 0
        for match in [*_SENTENCE.finditer(paragraph), None]:
            end = match.start() if match else len(paragraph)
            # Closing quotes and brackets belong to the sentence before the space.
            closing = match[0].rstrip(" \t\n") if match else ""
            sentence = paragraph[start:end] + closing
            if sentence.strip():
                for part in _parts(sentence, words):
                    yield joint, part
                    joint = " "
            if match:
                joint = "\n" if "\n" in match[0] else " " if match[0] else ""
                start = match.end()


def _parts(sentence: str, words: int) -> Iterator[str]:
    """The sentence, or stretches of at most `words` of it."""
    if _words(sentence) <= words:
        yield sentence.rstrip()
        return
    held: list[str] = []
    size = 0
    longest = words * _WORD_LETTERS
    for word in sentence.split():
        for piece in (word[start : start + longest] for start in range(0, len(word), longest)):
            if held and size + _words(piece) > words:
                yield " ".join(held)
                held, size = [], 0
            held.append(piece)
            size += _words(piece)
    if held:
        yield " ".join(held)


def _words(text: str) -> int:
    return sum(math.ceil(len(word) / _WORD_LETTERS) for word in text.split())
