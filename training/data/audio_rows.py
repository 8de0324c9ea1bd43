"""Audio that was computed before: one npy file per clip, one row per frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError
from avis_data.training.data.frame_times import FrameTimes

__all__ = ["NpyRows"]


@dataclass(frozen=True, kw_only=True)
class NpyRows:
    """Vectors of `<folder>/<clip>.npy`. An npy is mapped: only the rows that are asked for are read."""

    folder: str
    """In the folder of the split."""
    width: int
    """Values of a vector."""
    hint: str
    """What makes the files."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a vector."""
        return (self.width,)

    def path(self, folder: Path, clip_id: str) -> Path:
        """The file of a clip."""
        return folder / self.folder / f"{clip_id}.npy"

    def problem(self, path: Path, times: FrameTimes) -> str | None:
        """What is wrong with a file: no array, not one row per frame, of another width."""
        try:
            features = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            return f"no npy array ({error})"
        if features.ndim != 2 or features.shape[1] != self.width or features.dtype.kind != "f":
            return f"holds {features.dtype} {features.shape}, must be float (T, {self.width})"
        return None if len(features) == len(times) else f"has {len(features)} rows, the clip has {len(times)} frames"

    def read(self, path: Path, frames: Sequence[int], times: FrameTimes) -> NDArray[np.float32]:
        """The rows of some frames, float32 (n, width). Raises DataError if the file does not hold them."""
        try:
            rows: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)[list(frames)]
        except (OSError, ValueError, IndexError) as error:
            raise DataError(f"{path}: cannot be read as features of {len(times)} frames ({error})") from None
        return np.array(rows, dtype=np.float32)
