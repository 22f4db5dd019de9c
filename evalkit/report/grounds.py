"""Sentences about what answers stand on: the passages that were shown, and whether the adapter was applied at all."""

from collections.abc import Iterator, Mapping
from typing import Any

from evalkit.wording import percent


def ground_sentences(result: Mapping[str, Any]) -> list[str]:
    """A sentence for each contender's retrieval and for each adapter's canary."""
    lines = []
    for contender in result["contenders"]:
        name = contender["name"]
        if (found := contender.get("retrieval")) is not None:
            lines.append(f"{name}, retrieval: {'; '.join(_retrieval(found))}.")
        if (found := contender.get("canary")) is not None:
            lines.append(f"{name}, is the adapter applied? {_canary(found)}.")
    return lines


def _retrieval(found: Mapping[str, Any]) -> Iterator[str]:
    if found["recall"]:
        named = found["source_named"]
        best = ", ".join(f"{percent(share)} in the best {k}" for k, share in found["recall"].items())
        yield f"the right passage is found for {best}, of {named:,} items that name theirs"
    answer = found["answer"]
    if answer["items"]:
        shown = f"the answer's words were shown for {answer['in_context']:,} of {answer['items']:,} items"
        scores = [
            f"{percent(answer[key])} right {where}"
            for key, where in (("score_with", "on those"), ("score_without", "elsewhere"))
            if answer[key] is not None
        ]
        yield f"{shown} ({', '.join(scores)})" if scores else shown
    for count, what in (
        (found["unreadable"]["count"], "documents that can't be read"),
        (found["failed"], "items whose retriever failed"),
        (found["nothing_found"], "items without any passage"),
    ):
        if count:
            yield f"{count:,} {what}"


def _canary(found: Mapping[str, Any]) -> str:
    if not found["probes"]:
        return f"Nobody knows: {found.get('because', 'there was no prompt to try')}"
    if found["how"] == "logits":
        return f"Yes: it changed the next token's logits on {found['changed']:,} of {found['probes']:,} prompts tried"
    return f"Yes: it answered {found['changed']:,} of {found['probes']:,} questions otherwise than {found['base']}"
