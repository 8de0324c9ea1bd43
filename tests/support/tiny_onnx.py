"""A network in ONNX of two steps, untrained: what is bright stands out. Written byte by byte, since the package that
writes ONNX is none of ours."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_bright_is_salient"]

Field = tuple[int, "int | bytes | list[Field]"]


def write_bright_is_salient(path: Path, *, side_px: int = 320) -> Path:
    """The mean over the colours, through a sigmoid; input (1, 3, side, side), output (1, 1, side, side)."""
    mean: list[Field] = [(1, b"picture"), (2, b"mean"), (4, b"ReduceMean")]
    mean += [(5, [(1, b"axes"), (8, 1), (20, 7)]), (5, [(1, b"keepdims"), (3, 1), (20, 2)])]
    sigmoid: list[Field] = [(1, b"mean"), (2, b"found"), (4, b"Sigmoid")]
    graph: list[Field] = [(1, mean), (1, sigmoid), (2, b"bright")]
    graph += [(11, _values(b"picture", (1, 3, side_px, side_px))), (12, _values(b"found", (1, 1, side_px, side_px)))]
    path.write_bytes(_message([(1, 8), (8, [(1, b""), (2, 13)]), (7, graph)]))
    return path


def _values(name: bytes, shape: tuple[int, ...]) -> list[Field]:
    sizes: list[Field] = [(1, [(1, size)]) for size in shape]
    return [(1, name), (2, [(1, [(1, 1), (2, sizes)])])]


def _message(fields: list[Field]) -> bytes:
    """Protocol buffers: a number of the field and a kind, then a number, or a length and bytes."""
    made = b""
    for number, value in fields:
        if isinstance(value, int):
            made += _number(number << 3) + _number(value)
        else:
            content = value if isinstance(value, bytes) else _message(value)
            made += _number(number << 3 | 2) + _number(len(content)) + content
    return made


def _number(value: int) -> bytes:
    made = b""
    while value >= 0x80:
        made, value = made + bytes([value & 0x7F | 0x80]), value >> 7
    return made + bytes([value])
