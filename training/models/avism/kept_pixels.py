"""The per-pixel embeddings of a clip, kept until its tracks are known: in memory, in half precision, then on disk.

Shapes: n frames of a piece, C channels, h, w cells at stride 4.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Self

import torch
from torch import Tensor

__all__ = ["DISK_RESERVE", "KeptPixels"]

_LARGEST = torch.finfo(torch.float16).max
DISK_RESERVE = 2**30
"""Bytes of the disk of temporary files that are left to others."""


class KeptPixels:
    """A context in which pieces are kept in order, and given back in order: the first frames of a clip, or all of them.

    Short clips are kept as they are. Of longer ones as many bytes as of the longest short one stay in memory, in half
    precision, and the others go to a file without a name, which ends with this process, however that ends.
    """

    def __init__(self, num_frames: int, in_memory: int) -> None:
        """`in_memory`: frames that are kept as they are at most."""
        self.frames = 0
        """How many are kept."""
        self._as_they_are = num_frames <= in_memory
        self._room = in_memory if self._as_they_are else 2 * in_memory
        self._pieces: list[Tensor] = []
        self._on_disk: list[torch.Size] = []
        self._full = False
        self._file: IO[bytes] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.clear()
        self._stack.close()

    def add(self, pixels_nChw: Tensor) -> None:
        """Keep the next frames; from the first piece on that finds no room on the disk none is kept."""
        if self._full:
            return
        if not self._as_they_are:
            pixels_nChw = pixels_nChw.clamp(-_LARGEST, _LARGEST).half()
        if not self._on_disk and self.frames + len(pixels_nChw) <= self._room:
            self._pieces.append(pixels_nChw)
        else:
            self._full = not self._written(pixels_nChw.cpu().contiguous())
        self.frames += 0 if self._full else len(pixels_nChw)

    def pieces(self, device: torch.device) -> Iterator[Tensor]:
        """All kept pieces in order, float32."""
        for piece in self._pieces:
            yield piece.to(device, torch.promote_types(piece.dtype, torch.float32))
        if self._file is not None:
            self._file.seek(0)
            for size in self._on_disk:
                values = bytearray(self._file.read(2 * size.numel()))
                yield torch.frombuffer(values, dtype=torch.float16).view(size).to(device, torch.float32)

    def _written(self, half_nChw: Tensor) -> bool:
        try:
            if shutil.disk_usage(tempfile.gettempdir()).free < half_nChw.nbytes + DISK_RESERVE:
                return False
            if self._file is None:
                self._file = self._stack.enter_context(tempfile.TemporaryFile())
            self._file.write(half_nChw.numpy().tobytes())
        except OSError:
            return False
        self._on_disk.append(half_nChw.shape)
        return True
