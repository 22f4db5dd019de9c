"""The formats by name, and the one that a sample of records is in."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from curate.core.rows.formats.chat import CHAT
from curate.core.rows.formats.conversation import as_json_list, as_message_list, is_messages
from curate.core.rows.formats.format import Fields, Format, UnfitError
from curate.core.rows.formats.function_calls import GLAIVE, XLAM
from curate.core.rows.formats.gemini import GEMINI
from curate.core.rows.formats.instructions import ALPACA, DOLLY, INPUT_OUTPUT, PROMPT_COMPLETION
from curate.core.rows.formats.pairs import PAIRS
from curate.core.rows.formats.preference import PREFERENCE
from curate.core.rows.formats.sharegpt import SHAREGPT

_CONVERSATIONS = (PREFERENCE, CHAT, SHAREGPT, GEMINI)
# In the order in which they are tried: a record with the keys of two is in the earlier one.
_FORMATS = (*_CONVERSATIONS, ALPACA, DOLLY, PROMPT_COMPLETION, INPUT_OUTPUT, XLAM, GLAIVE, PAIRS)
FORMATS: dict[str, Format] = {form.name: form for form in _FORMATS}
SAMPLE_RECORDS = 100  # a file that starts with this many records of one kind is taken to be of that kind


_TALKS = ("messages", "conversations")


def as_record(value: object) -> object:
    """What a line holds, as the formats take it: a bare list of messages under its key, a list kept as text decoded."""
    if is_messages(value):
        return {"messages": value}
    if isinstance(value, dict):
        for key in _TALKS:
            if value.get(key) and not is_messages(value[key]):
                given = as_json_list(value[key])
                talk = as_message_list(given, can_alternate=True) or given
                value = value if talk is value[key] else {**value, key: talk}
    return value


def find_format(record: Mapping[str, Any]) -> Format | None:
    """The first format that fits the record."""
    return next((form for form in FORMATS.values() if form.fits(record)), None)


def detect(records: Iterable[object]) -> Format | None:
    """The format that most of the records are in, None where none fits any of them."""
    found = (find_format(record) for record in map(as_record, records) if isinstance(record, dict))
    counts = Counter(form.name for form in found if form is not None)
    if not counts:
        return None
    return FORMATS[max(counts, key=lambda name: (counts[name], -list(FORMATS).index(name)))]


def _convert_any(record: Fields) -> Fields:
    form = find_format(record)
    if form is None:
        raise UnfitError("no format fits")
    return form.convert(record)


# Of files whose records may each be in another format.
ANY = Format("any", "any", lambda record: find_format(record) is not None, _convert_any)
