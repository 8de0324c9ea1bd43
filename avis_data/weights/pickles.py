"""Pickles of arrays, as detectron2 publishes weights (`R-50.pkl`), read by an allow-list; nothing in them is ever run.

Allowed are numpy arrays of numbers, their dtypes, ordered dicts and plain values. Stand-ins take the place of numpy's
own functions, so that a file can neither call those in another way nor change them.
"""

from __future__ import annotations

import mmap
import pickle
import pickletools
import re
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO, cast

import numpy as np

__all__ = ["ForbiddenPickleError", "read_pickle"]

_PLAIN_OPCODES = frozenset(
    "PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 EMPTY_LIST "
    "APPEND APPENDS LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS BINGET LONG_BINGET "
    "BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD".split()
)
_MAX_MEMO = 10_000_000
_MAX_DIMS = 8
_NUMBERS = re.compile(r"f[248]|[iu][1248]|b1")


class ForbiddenPickleError(Exception):
    """A pickle holds what no file of weights needs."""


def read_pickle(path: Path) -> object:
    """What a pickle of arrays holds: dicts, lists, plain values, and numpy arrays, which are views of what was read.

    Raises:
        ForbiddenPickleError: if it holds anything that is not on the list, or needs more memory than the file.
        OSError: if the file cannot be read.
        Exception: of any other kind that a torn pickle makes the standard library raise.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for opcode, argument, _place in pickletools.genops(cast(IO[bytes], content)):
            if opcode.name not in _PLAIN_OPCODES:
                raise ForbiddenPickleError(f"the pickle instruction {opcode.name}")
            if opcode.name == "LONG_BINPUT" and int(argument or 0) > _MAX_MEMO:
                raise ForbiddenPickleError(f"a memo of {argument} entries")
        content.seek(0)
        return _plain(_ArrayUnpickler(content, budget=len(content)).load())


class _Budget:
    """Bytes that may still be made: a small file must not become a large one."""

    def __init__(self, num_bytes: int) -> None:
        self.left = num_bytes

    def spend(self, num_bytes: int) -> None:
        self.left -= num_bytes
        if self.left < 0:
            raise ForbiddenPickleError("arrays that need more memory than the file has bytes")


class _Stub:
    """Stands for a function of numpy: can be called, and takes no state."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setstate__(self, state: object) -> None:
        raise ForbiddenPickleError("a changed function")


class _Dtype:
    __slots__ = ("code", "order")

    def __init__(self, code: object, *_flags: object) -> None:
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise ForbiddenPickleError(f"arrays of {code!r:.40}")
        self.code, self.order = code, "<"

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise ForbiddenPickleError("a dtype with fields or objects")
        self.order = "<" if state[1] == "=" else str(state[1])

    def numpy(self) -> np.dtype[np.generic]:
        return np.dtype(self.order + self.code)


class _Array:
    __slots__ = ("_budget", "array")

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self.array: np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ForbiddenPickleError("an array in an unknown form")
        _version, shape, dtype, fortran, raw = state
        if isinstance(raw, str):  # a pickle of Python 2: its bytes were read as latin-1
            self._budget.spend(len(raw))
            raw = raw.encode("latin1")
        self.array = self.made(raw, dtype, shape, "F" if fortran else "C")

    def made(
        self, raw: object, dtype: object, shape: object, order: object
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        sizes = shape if isinstance(shape, tuple) else None
        if sizes is None or len(sizes) > _MAX_DIMS or not all(type(size) is int and size >= 0 for size in sizes):
            raise ForbiddenPickleError(f"an array of shape {shape!r:.60}")
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | bytearray) or order not in ("C", "F"):
            raise ForbiddenPickleError("an array that is no plain numbers")
        kind = dtype.numpy()
        if prod(sizes) * kind.itemsize != len(raw):
            raise ForbiddenPickleError(f"an array of shape {shape!r:.60} with {len(raw)} bytes")
        self._budget.spend(len(raw))
        return np.frombuffer(raw, kind).reshape(sizes, order="F" if order == "F" else "C")


class _ArrayUnpickler(pickle.Unpickler):
    """Knows the names below and no others."""

    def __init__(self, file: mmap.mmap, *, budget: int) -> None:
        super().__init__(file, encoding="latin1")
        self._budget, self._copies = _Budget(budget), _Budget(budget)

    def find_class(self, module: str, name: str) -> object:
        module = module.replace("numpy._core", "numpy.core")
        makers: dict[tuple[str, str], Callable[..., object]] = {
            ("collections", "OrderedDict"): self._ordered_dict,
            ("numpy", "ndarray"): _never,
            ("numpy", "dtype"): _Dtype,
            ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(self._budget),
            ("numpy.core.numeric", "_frombuffer"): self._from_buffer,
            ("_codecs", "encode"): self._encode,
        }
        if (module, name) not in makers:
            raise ForbiddenPickleError(f"{module}.{name}"[:80])
        return _Stub(makers[module, name])

    def _ordered_dict(self, *arguments: object) -> object:
        pairs = arguments[0] if arguments else []
        if not isinstance(pairs, list):
            raise ForbiddenPickleError("an ordered dict of something else than pairs")
        self._copies.spend(8 * len(pairs))
        return dict(pairs)

    def _from_buffer(self, raw: object, dtype: object, shape: object, order: object) -> object:
        array = _Array(self._budget)
        array.array = array.made(raw, dtype, shape, order)
        return array

    def _encode(self, text: object, encoding: object) -> object:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise ForbiddenPickleError("text in another encoding than latin-1")
        self._copies.spend(len(text))
        return text.encode("latin1")


def _never(*_arguments: object) -> object:
    raise ForbiddenPickleError("an array made in an unknown way")


def _plain(content: object) -> object:
    """Arrays in place of what stands for them, in a dict of names and in the dicts directly in it; no deeper."""
    if not isinstance(content, dict):
        return content
    return {key: _arrays(value) if isinstance(value, dict) else _array(value) for key, value in content.items()}


def _arrays(content: dict[object, object]) -> dict[object, object]:
    return {key: _array(value) for key, value in content.items()}


def _array(value: object) -> object:
    return value.array if isinstance(value, _Array) else value
