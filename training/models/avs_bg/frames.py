"""Which frames of a batch belong together: clips lie one after the other, all frames in one axis.

Shapes: N frames of all clips, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ClipFrames"]


@dataclass(frozen=True)
class ClipFrames:
    """How many frames each clip of a batch has."""

    lengths: tuple[int, ...]

    def partners(self) -> Tensor:
        """int64 (N,): the frame after each one; of a clip's last frame the one before, of an only frame itself."""
        found: list[int] = []
        start = 0
        for length in self.lengths:
            last = start + length - 1
            found += [*range(start + 1, last + 1), max(last - 1, start)]
            start += length
        return torch.tensor(found)

    def groups(self, limit: int | None) -> ClipFrames:
        """Every clip taken apart into pieces of at most `limit` frames; None: as it is."""
        if limit is None:
            return self
        return ClipFrames(
            tuple(min(limit, length - start) for length in self.lengths for start in range(0, length, limit))
        )

    def numbers(self) -> Tensor:
        """int64 (N,): which clip each frame is of."""
        return torch.tensor([clip for clip, length in enumerate(self.lengths) for _ in range(length)])
