"""Questions with an answer: records of `question` and `answer`."""

from curate.core.rows.formats.format import Fields, Format, without
from curate.core.rows.formats.messages import as_turns


def _convert(record: Fields) -> Fields:
    turns = [*as_turns(record["question"], "user", "question"), *as_turns(record["answer"], "assistant", "answer")]
    return {**without(record, ("question", "answer")), "messages": turns}


QA = Format("qa", "question, answer", lambda record: {"question", "answer"} <= record.keys(), _convert)
