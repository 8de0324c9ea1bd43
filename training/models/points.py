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
    grid = (2 * points_RP2[:, :, None] - 1).to(maps_RMHW.dtype)
    return functional.grid_sample(maps_RMHW, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[..., 0]


@torch.no_grad()
def uncertain_points(logits_R1HW: Tensor, candidates_RP2: Tensor, extra_RP2: Tensor, *, keep: int) -> Tensor:
    """The `keep` candidates of each row whose logit is nearest to zero, then the extra points.

    Source: PointRend (2020), section 3.1.
    """
    uncertainty = -sample_points(logits_R1HW, candidates_RP2)[:, 0].abs()
    chosen = uncertainty.topk(keep, dim=1).indices
    return torch.cat((candidates_RP2.gather(1, chosen[..., None].expand(-1, -1, 2)), extra_RP2), dim=1)


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor as float32, or as it is where it is float64 (used to tell rounding from another formula)."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
