"""Preference pairs: the chosen answer becomes the row's, the rejected one is kept in `meta.rejected`."""

from collections.abc import Mapping
from typing import Any

from curate.core.rows.formats.format import Fields, Format, UnfitError, as_turns, without


def _fits(record: Mapping[str, Any]) -> bool:
    return "chosen" in record and "rejected" in record


def _convert(record: Fields) -> Fields:
    """`chosen` is an answer after `prompt`, or a whole conversation that may repeat the prompt at its start."""
    prompt = as_turns(record["prompt"], "user", "prompt") if record.get("prompt") is not None else []
    chosen = as_turns(record.get("chosen"), "assistant", "chosen")
    if not prompt and isinstance(record["chosen"], str):
        raise UnfitError("there is no prompt, and chosen is text: write the conversation as messages, or add a prompt")
    messages = chosen if prompt and chosen[: len(prompt)] == prompt else prompt + chosen
    system = record.get("system")
    if isinstance(system, str) and system:
        messages = [{"role": "system", "content": system}, *messages]
    values = without(record, ("prompt", "chosen", "rejected", "system"))
    meta = values.get("meta")
    values["meta"] = {**(meta if isinstance(meta, dict) else {}), "rejected": record.get("rejected")}
    return {**values, "messages": messages}


PREFERENCE = Format("preference", "prompt, chosen, rejected", _fits, _convert)
