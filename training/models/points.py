"""Points on masks: where matching and mask losses look, instead of at all pixels; and the precision they need.

Shapes: R rows (a pair, or a pair and frame), M maps, P points, H, W cells of a map; points are (x, y) in [0, 1].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["PointSource", "SeededPoints", "at_least_float32", "sample_points", "uncertain_points"]

_MANY = 8
"""From so many maps on that are read at the same points, a CPU sums rows of cells faster than `grid_sample` gathers."""


class PointSource(Protocol):
    """Where uniformly drawn points come from."""

    def draw(self, name: str, clips_R: Sequence[int], points: int) -> Tensor:
        """Points in [0, 1], (R, P, 2), float32.

        Args:
            name: what they are for, as `frame.3.match` (level, head, use).
            clips_R: the clip of the batch that each row belongs to.
        """


class SeededPoints:
    """Points of each clip from its own generator, so that they do not depend on the other clips of a batch."""

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._generators = [torch.Generator(self._device).manual_seed(seed) for seed in seeds]

    def draw(self, name: str, clips_R: Sequence[int], points: int) -> Tensor:
        counts = Counter(clips_R)
        left = {
            clip: torch.rand(counts[clip], points, 2, device=self._device, generator=self._generators[clip])
            for clip in sorted(counts)
        }
        parts = [torch.empty(0, points, 2, device=self._device)]
        for clip, run in groupby(clips_R):
            length = len(list(run))
            parts.append(left[clip][:length])
            left[clip] = left[clip][length:]
        return torch.cat(parts)


def sample_points(maps_RMHW: Tensor, points_RP2: Tensor) -> Tensor:
    """Values of M maps at the points of their row, bilinear, (R, M, P); outside of a map they are zero.

    Source: Kirillov et al., PointRend (2020); corners are not aligned.
    """
    if not maps_RMHW.numel():
        # grid_sample refuses empty maps; this stays in the graph, so that every process has the same gradients.
        return maps_RMHW.flatten(2).sum(2, keepdim=True).expand(-1, -1, points_RP2.shape[1])
    if maps_RMHW.device.type == "cpu" and maps_RMHW.shape[1] >= _MANY and not maps_RMHW.requires_grad:
        return _rows_at_points(maps_RMHW, points_RP2).transpose(1, 2)
    grid = (2 * points_RP2[:, :, None] - 1).to(maps_RMHW.dtype)
    return functional.grid_sample(maps_RMHW, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[..., 0]


@torch.no_grad()
def _rows_at_points(maps_RMHW: Tensor, points_RP2: Tensor) -> Tensor:
    """The same values, (R, P, M): the M values of a cell are a row of a table, and each point sums four rows.

    Nothing is copied where the maps lie channels last.
    """
    rows, channels, height, width = maps_RMHW.shape
    table = maps_RMHW.permute(0, 2, 3, 1).reshape(-1, channels)
    size = maps_RMHW.new_tensor([width, height])
    at_RP2 = (2 * points_RP2.to(maps_RMHW.dtype) * size - 1) / 2
    cell_RP2 = at_RP2.floor()
    corner_4RP2 = torch.stack([cell_RP2 + cell_RP2.new_tensor(step) for step in ((0, 0), (1, 0), (0, 1), (1, 1))])
    share_4RP = (1 - (at_RP2 - corner_4RP2).abs()).prod(-1)
    inside_4RP = ((corner_4RP2 >= 0) & (corner_4RP2 < size)).all(-1)
    x_4RP, y_4RP = torch.minimum(corner_4RP2, size - 1).clamp_(min=0).to(torch.int32).unbind(-1)
    first_R1 = torch.arange(rows, dtype=torch.int32)[:, None] * (height * width)
    cells, shares = (
        part.permute(1, 2, 0).flatten() for part in (first_R1 + y_4RP * width + x_4RP, share_4RP * inside_4RP)
    )
    begins = torch.arange(0, len(cells), 4, dtype=torch.int32)
    read = functional.embedding_bag(cells, table, begins, mode="sum", per_sample_weights=shares)
    return read.view(rows, -1, channels)


@torch.no_grad()
def uncertain_points(logits_R1HW: Tensor, candidates_RP2: Tensor, extra_RP2: Tensor, *, keep: int) -> Tensor:
    """The `keep` candidates of each row whose logit is nearest to zero, in any order, then the extra points.

    Source: PointRend (2020), section 3.1.
    """
    uncertainty = -sample_points(logits_R1HW, candidates_RP2)[:, 0].abs()
    chosen = uncertainty.topk(keep, dim=1, sorted=False).indices
    return torch.cat((candidates_RP2.gather(1, chosen[..., None].expand(-1, -1, 2)), extra_RP2), dim=1)


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor as float32, or as it is where it is float64 (used to tell rounding from another formula)."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
