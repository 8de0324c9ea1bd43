"""Counts how often the host would wait for a GPU, on a CPU: what asks for a value, and what makes a tensor there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_VALUES = ("_local_scalar_dense", "nonzero", "nonzero_static", "masked_select", "_unique2", "repeat_interleave")
"""Operators whose result, or its shape, is a value of the device."""
_INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_")
_READ = ("cpu", "tolist", "item")
_MADE = ("tensor", "as_tensor", "new_tensor")
"""With a device they copy from the host, and wait for it."""


class HostWaits:
    """A context that counts them, by their names."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self._modes = (_Operators(self.found), _Calls(self.found))

    def __enter__(self) -> HostWaits:
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)

    @property
    def count(self) -> int:
        return self.found.total()


class _Operators(TorchDispatchMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        bools = name in _INDEXED and any(x is not None and x.dtype == torch.bool for x in args[1])
        if bools or (name in _VALUES and func._overloadname != "self_int"):
            self._found[name] += 1
        return func(*args, **(kwargs or {}))


class _Calls(TorchFunctionMode):
    """What no operator tells on a CPU, where nothing is to be copied."""

    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _READ and name != "item":  # that one is an operator
            self._found[name] += 1
        if name in _MADE and (kwargs or {}).get("device") is not None:
            self._found[name] += 1
        return func(*args, **(kwargs or {}))
