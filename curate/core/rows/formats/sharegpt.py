"""ShareGPT: `conversations` of `from` and `value`, with `system` and `tools` beside them."""

from curate.core.rows.formats.chat import conversation
from curate.core.rows.formats.format import Format

SHAREGPT = Format(
    "sharegpt",
    "conversations",
    lambda record: isinstance(record.get("conversations"), list),
    lambda record: conversation(record, "conversations"),
)
