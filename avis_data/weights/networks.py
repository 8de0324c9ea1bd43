"""Networks in ONNX: loaded on one thread of the CPU, the same for all that ask them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.extras import need_extra

__all__ = ["Node", "Session", "load_onnx"]


class Node(Protocol):
    """An input or an output of a network."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> Sequence[int | str | None]: ...


class Session(Protocol):
    """An `onnxruntime.InferenceSession`. Asking changes nothing in it, so threads may share it."""

    def get_inputs(self) -> Sequence[Node]: ...

    def get_outputs(self) -> Sequence[Node]: ...

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]: ...


def load_onnx(path: Path) -> Session:
    """A network of an ONNX file (needs the extra `annotate`).

    Raises:
        DataError: if the file is missing, or no ONNX.
        ToolError: if the extra is not installed.
    """
    need_extra("annotate", "onnxruntime", what="a network in ONNX")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session: Session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its many kinds of errors have no parent but this one
        raise DataError(f"{path}: no network in ONNX ({str(error).strip().splitlines()[-1][:200]})") from None
    return session
