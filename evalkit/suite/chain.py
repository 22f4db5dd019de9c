"""The chain of a result: the digests of everything that went into it, as they stand in result.json."""

from typing import Any

import msgspec

from evalkit.records.typed import ABSENT


class ItemsOrigin(msgspec.Struct, frozen=True):
    """The file that the items came from: its path as the suite names it, its digest, and how many items were asked."""

    path: str
    digest: str
    rows: int


class RowsOrigin(msgspec.Struct, frozen=True):
    """The dataset: the digest of the manifest beside the items, and that of the rows that were trained on."""

    manifest: str | None = None
    train: str | None = None


class BaseOrigin(msgspec.Struct, frozen=True):
    """The base model, with what its weights went through (`none` or `nf4`)."""

    id: str
    digest: str | None
    quantisation: str


class RunOrigin(msgspec.Struct, frozen=True):
    """A training run: the digest of its record, and that of its adapter."""

    run: str
    adapter: str


class EmbedderOrigin(msgspec.Struct, frozen=True):
    """The model that compared texts by meaning."""

    id: str
    digest: str | None


class ResultChain(msgspec.Struct, frozen=True, kw_only=True):
    """What went in, by digest. `examples`, `documents`, `runs` and `replays` are by contender, `scorers` by scorer.

    `template` (the chat template's digest, None where no model was asked) and `scores` are known once all is measured.
    """

    suite: str = ""
    items: ItemsOrigin | None = None
    dataset: RowsOrigin = RowsOrigin()
    examples: dict[str, str] = {}
    documents: dict[str, dict[str, Any]] = {}
    base: BaseOrigin | None = None
    runs: dict[str, RunOrigin] = {}
    replays: dict[str, str] = {}
    scorers: dict[str, str] = {}
    embedder: EmbedderOrigin | None = None
    template: str | None = ABSENT
    scores: str | None = ABSENT
