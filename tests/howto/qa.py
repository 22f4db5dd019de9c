"""Questions with an answer: records of `ask` and `tell`."""

from curate.core.rows.formats.format import Fields, Format, without
from curate.core.rows.formats.messages import as_turns


def _convert(record: Fields) -> Fields:
    turns = [*as_turns(record["ask"], "user", "ask"), *as_turns(record["tell"], "assistant", "tell")]
    return {**without(record, ("ask", "tell")), "messages": turns}


QA = Format("qa", "ask, tell", lambda record: {"ask", "tell"} <= record.keys(), _convert)
