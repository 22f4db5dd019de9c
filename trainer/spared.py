"""What other libraries import and no command of ours uses, spared: a training starts two seconds sooner.

transformers, PEFT, bitsandbytes and torch's optimizers import torch's compiler only to mark functions that it is to
leave alone. transformers imports distributed tensors for models that are spread over machines, and scipy for models
that find objects in pictures. All of that is arranged for the whole process, so only commands do it: theirs is ours.
"""

import importlib
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from trainer.team import team_size

_COMPILER = "torch._dynamo"
_MARKS = frozenset({"allow_in_graph", "assume_constant_result", "disable", "graph_break"})
_PART = f"{_COMPILER}._trace_wrapped_higher_order_op"  # transformers makes masks with it, and it stands alone


def spare_unused() -> None:
    """Arrange that transformers, once something imports it, brings only what trainings use."""
    if "transformers" not in sys.modules:
        sys.meta_path.insert(0, _Watch())


class _Watch:
    """Sees what is imported, and finds nothing itself."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "transformers":
            _without_compiler()
            if team_size() == 1:
                _answer_no("torch.distributed", "is_available")
        elif name == "transformers.loss":
            _answer_no("transformers.utils", "is_scipy_available")
            sys.meta_path.remove(self)


def _answer_no(module: str, question: str) -> None:
    setattr(importlib.import_module(module), question, lambda: False)


def _without_compiler() -> None:
    if _COMPILER in sys.modules:
        return
    torch = importlib.import_module("torch")
    sys.modules[_COMPILER] = _Unused(_COMPILER)
    spec = PathFinder.find_spec(_PART, [str(Path(torch.__path__[0]) / "_dynamo")])
    if spec and spec.loader:
        sys.modules[_PART] = part = module_from_spec(spec)
        spec.loader.exec_module(part)


class _Unused(ModuleType):
    """Torch's compiler as long as it only marks functions; whatever else is asked of it, the real one is imported."""

    def __getattr__(self, name: str) -> Any:
        if name in _MARKS:
            return _unmarked
        if name.startswith("__") and name != "__path__":  # asked of every module there is; a path, before its parts
            raise AttributeError(name)
        if sys.modules.get(_COMPILER) is self:
            del sys.modules[_COMPILER]
        return getattr(importlib.import_module(_COMPILER), name)


def _unmarked(function: Any = None, *_: Any, **__: Any) -> Any:
    """The function as it is, for `mark(function)` and for `@mark(...)`."""
    return function if callable(function) else lambda decorated: decorated
