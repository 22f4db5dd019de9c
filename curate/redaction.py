"""What rejected rows may show of themselves: secrets and personal data that a screen keeps out go into no file."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from curate.entries import Rejection
from curate.screens.measures import Find, make_measures
from curate.screens.settings import Screens
from curate.screens.spans import cut, placeholder
from curate.screens.texts import text_series

NOTE = "raw is redacted"
_ROUNDS = 8  # what a placeholder uncovers is found in the next round; a pattern that finds placeholders never ends


def redact_rejections(rejections: Sequence[Rejection], screens: Screens, folder: Path) -> list[Rejection]:
    """The rejections, with what a rejecting or redacting screen for secrets or personal data finds taken out.

    `raw` and `detail` lose it, names in objects included: a row that was no row, or a duplicate, can hold a key too,
    and a message can quote one. `detail` says where `raw` was changed. Values that are no text are left as they are,
    and so are ids: other files refer to rows by them.
    """
    finds = [
        measure.find
        for measure in make_measures(screens, folder)
        if measure.find is not None and measure.settings.action != "report"
    ]
    texts = [*(rejection.raw for rejection in rejections), *(rejection.detail for rejection in rejections)]
    for find in finds:
        texts = _clean(texts, find)
    clean = zip(rejections, texts[: len(rejections)], texts[len(rejections) :], strict=True)
    return [_changed(rejection, raw, detail) for rejection, raw, detail in clean]


def _changed(rejection: Rejection, raw: str, detail: str) -> Rejection:
    if raw != rejection.raw:
        detail = f"{detail}; {NOTE}"
    return rejection if detail == rejection.detail else msgspec.structs.replace(rejection, held=raw, detail=detail)


def _clean(raws: Sequence[str], find: Find) -> list[str]:
    """The texts without findings: those of each string in what is JSON, else those of the text as it stands."""
    values: list[Any] = [_decoded(raw) for raw in raws]
    strings: list[str] = []
    for value in values:
        _walk(value, lambda text: _noted(text, strings))
    left = iter(_redacted(strings, find))
    clean = [_walk(value, lambda _: next(left)) for value in values]
    return [
        raw if new == old else new if isinstance(new, str) else json.dumps(new, ensure_ascii=False)
        for raw, old, new in zip(raws, values, clean, strict=True)
    ]


def _redacted(texts: Sequence[str], find: Find) -> list[str]:
    clean = list(texts)
    open_texts = list(range(len(clean)))
    made: set[str] = set()
    for _ in range(_ROUNDS):
        if not open_texts:
            break
        found = find(text_series([clean[index] for index in open_texts]))
        still_open = []
        for position, spans in found.items():
            index = open_texts[position]
            left = [span for span in spans if clean[index][span.start : span.end] not in made]
            if left:
                clean[index] = cut(clean[index], left)
                still_open.append(index)
        made.update(placeholder(span.kind) for spans in found.values() for span in spans)
        open_texts = still_open
    return clean


def _decoded(raw: str) -> Any:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return raw
    return value if isinstance(value, dict | list) else raw


def _noted(text: str, strings: list[str]) -> str:
    strings.append(text)
    return text


def _walk(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every string in it changed, names too, in the order in which they stand."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_walk(item, change) for item in value]
    if isinstance(value, dict):
        changed: dict[str, Any] = {}
        for key, item in value.items():
            name = change(key)
            # Two names can become one placeholder; neither value may vanish.
            while name in changed:
                name += "'"
            changed[name] = _walk(item, change)
        return changed
    return value
