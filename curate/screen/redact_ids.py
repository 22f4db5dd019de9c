"""What rejected rows may show of themselves: secrets and personal data that a screen keeps out go into no file."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from curate.recipe.screens import Screens
from curate.screen.measures import Find, make_measures
from curate.screen.spans import cut, placeholder
from curate.screen.texts import text_series
from curate.table.byte_store import ByteSpool
from curate.table.rejections import Rejection, Rejections

NOTE = "raw is redacted"
_ROWS = 2048  # rejections whose text is in memory at once
_ROUNDS = 8  # what a placeholder uncovers is found in the next round; a pattern that finds placeholders never ends


def redact_rejections(rejections: Rejections, screens: Screens, folder: Path, spool: ByteSpool) -> Rejections:
    """The rejections, with what a rejecting or redacting screen for secrets or personal data finds taken out.

    `raw`, `detail` and ids lose it, names in objects included: a row that was no row, or a duplicate, can hold a key
    too, and a message can quote one. `detail` says where `raw` was changed. Values that are no text are left as they
    are. Which row it was is still told by its file and line.
    """
    finds = _finds(screens, folder)
    return rejections.reworded(lambda some: _all_changed(some, finds), spool, _ROWS)


def redacted(rejections: Sequence[Rejection], screens: Screens, folder: Path) -> list[Rejection]:
    """The same of rejections that are objects."""
    return _all_changed(rejections, _finds(screens, folder))


def redact_ids(ids: Iterable[str], screens: Screens, folder: Path) -> dict[str, str]:
    """The ids that hold what such a screen finds, and what may be shown in their place."""
    known = list(dict.fromkeys(ids))
    clean = _cleaned(known, _finds(screens, folder))
    return {old: new for old, new in zip(known, clean, strict=True) if new != old}


def _all_changed(rejections: Sequence[Rejection], finds: Sequence[Find]) -> list[Rejection]:
    instead = [item.because_of.id if item.because_of is not None else "" for item in rejections]
    shown = [[item.raw, item.detail, item.id or "", other] for item, other in zip(rejections, instead, strict=True)]
    texts = iter(_cleaned([text for four in shown for text in four], finds))
    return [_changed(item, four, [next(texts) for _ in four]) for item, four in zip(rejections, shown, strict=True)]


def _finds(screens: Screens, folder: Path) -> list[Find]:
    measures = make_measures(screens, folder)
    return [one.find for one in measures if one.find is not None and one.settings.action != "report"]


def _cleaned(texts: list[str], finds: Sequence[Find]) -> list[str]:
    for find in finds:
        texts = _clean(texts, find)
    return texts


def _changed(rejection: Rejection, shown: list[str], clean: list[str]) -> Rejection:
    """The rejection with the clean raw text, detail, id and other row's id; itself where none of them changed."""
    if clean == shown:
        return rejection
    raw, detail, name, other = clean
    because = rejection.because_of
    if because is not None:
        because = msgspec.structs.replace(because, id=other)
    if raw != shown[0]:
        detail = f"{detail}; {NOTE}"
    return msgspec.structs.replace(
        rejection, raw=raw, detail=detail, id=name if rejection.id is not None else None, because_of=because
    )


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
