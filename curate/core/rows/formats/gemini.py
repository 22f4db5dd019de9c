"""Gemini: `contents` of role and parts, with `systemInstruction` and `tools` beside them."""

from curate.core.rows.formats.chat import conversation
from curate.core.rows.formats.format import Fields, Format


def _convert(record: Fields) -> Fields:
    """A turn without a role is the user's, and so is one with the results of functions."""
    turns = [{"role": "user", **turn} if isinstance(turn, dict) else turn for turn in record["contents"]]
    return conversation({**record, "contents": turns}, "contents")


GEMINI = Format("gemini", "contents", lambda record: isinstance(record.get("contents"), list), _convert)
