"""The answer against a JSON schema: the recipe's, or one that each row carries."""

from pathlib import Path
from typing import Any

import msgspec

from curate.core.paths import find_path
from curate.core.rows.answer_schema import BadSchemaError, Schemas, read_schema
from curate.core.rows.row import Row
from curate.core.rows.row_text import answer_text
from curate.recipe.rule_ids import Fault, Rule


def target_rule(name: str, folder: Path, schemas: Schemas) -> Rule:
    """The rule for answers that `validate.target_schema` names: a file below `folder`, or `meta.KEY`."""
    shared = read_schema(find_path(name, folder)) if name.endswith(".json") else None
    return answer_rule(name.removeprefix("meta."), shared, schemas)


def answer_rule(key: str, shared: Any, schemas: Schemas) -> Rule:
    """The rule that answers satisfy the schema `shared`, or where that is None, the one that the row has in `meta`."""

    def check_target(row: Row) -> Fault | None:
        schema: Any = shared if shared is not None else row.meta.get(key)
        if schema is None:
            return "no-schema", f"meta has no {key}"
        try:
            answer = msgspec.json.decode(answer_text(row))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            return "target-not-json", str(error)
        try:
            fault = schemas.fault(schema, answer)
        except BadSchemaError as error:
            return "bad-schema", str(error)
        return ("target-schema", fault) if fault else None

    return check_target
