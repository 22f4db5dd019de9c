"""An adapter for NLU++ banking: a request becomes JSON with its intents and slots."""

import json
from typing import Any

SYSTEM = "Give the request's intents and slots as JSON."


def adapt(record: dict[str, Any]) -> dict[str, Any] | None:
    """The row for one utterance; those that the annotators gave no intent are left out."""
    if not record.get("intents"):
        return None
    slots = {name: slot["text"] for name, slot in sorted(record.get("slots", {}).items())}
    intents = sorted(record["intents"])
    target = {"intents": intents, "slots": slots}
    return {
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": record["text"]},
            {"role": "assistant", "content": json.dumps(target)},
        ],
        "label": intents[0],
        "meta": {"spans": {name: slot["span"] for name, slot in record.get("slots", {}).items()}},
    }
