"""The models of an evaluation: one base in memory, loaded when first needed, and adapters switched on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from curate.core.chat.base_model import BaseModel
from evalkit.backends.transformers_local import TransformersLocal
from trainer.layers.onednn_weights import PackedWeights
from trainer.model.adapter import attach_adapter, using
from trainer.model.load import LoadedModel, load_model, set_threads
from trainer.run.record import Run


class LocalModels:
    """Backends for the contenders of one suite."""

    def __init__(self, base: BaseModel, quantisation: str, threads: Literal["auto"] | int) -> None:
        self._base = base
        self._threads = threads
        self._quantisation = quantisation
        self._loaded: LoadedModel | None = None
        self._attached: set[str] = set()
        self._weights = PackedWeights()
        self._backends: dict[str | None, TransformersLocal] = {}
        """By adapter, None for the bare base: each finds out once how its model is best asked."""

    @contextmanager
    def backend(self, name: str, run: Run | None) -> Iterator[TransformersLocal]:
        """The backend for a contender: the bare base, or with the adapter of its run."""
        loaded = self._loaded or self._load()
        adapter = _adapter_name(name) if run else None
        if run and name not in self._attached:
            loaded = attach_adapter(loaded, run.adapter, _adapter_name(name))
            self._attached.add(name)
        self._loaded = loaded
        with using(loaded, adapter) as model:
            known = self._backends.get(adapter)
            if known is None or known.model is not model:  # the first adapter puts another model around the base
                known = self._backends[adapter] = TransformersLocal(model, loaded.chat, self._weights)
            yield known

    def largest_change(self, name: str, run: Run, prompts: Sequence[list[int]]) -> list[float]:
        """For each prompt, by how much the adapter changes the next token's logits, as a share of the largest."""
        with self.backend(name, run) as tuned:
            with_adapter = [tuned.next_logits(ids) for ids in prompts]
        with self.backend(name, None) as bare:
            without = [bare.next_logits(ids) for ids in prompts]
        return [
            float((on_V - off_V).abs().max() / off_V.abs().max())
            for on_V, off_V in zip(with_adapter, without, strict=True)
        ]

    def _load(self) -> LoadedModel:
        set_threads(self._threads)
        quantised = self._quantisation == "nf4"
        return load_model(self._base, quantisation="nf4" if quantised else None, dequantise=quantised)


def _adapter_name(contender: str) -> str:
    """A name that PEFT takes as a part of module names: no dots."""
    return "adapter_" + contender.encode().hex()
