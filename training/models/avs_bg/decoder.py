"""From maps of four stages to mask logits at network size: the decoders of AVS-BG and of AVSBench.

Shapes: N frames, C channels, h, w cells of the finest map (a quarter of the network's input), K maps of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.avs_bg.neck import ConvNorm

__all__ = ["MaskDecoder", "NormedUnit", "RectifiedUnit"]

DecoderKind = Literal["bn_nearest", "preact_bilinear"]


class NormedUnit(nn.Module):
    """x + f(f(x)), f a convolution, a batch norm and a ReLU (AVS-BG)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3)
        self.second = ConvNorm(channels, channels, 3)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Same shape."""
        change: Tensor = self.second(self.first(x_NChw).relu()).relu()
        return x_NChw + change


class RectifiedUnit(nn.Module):
    """r + conv(ReLU(conv(r))) with r = ReLU(x): the way past the convolutions is rectified too (AVSBench)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Same shape."""
        rectified = x_NChw.relu()
        change: Tensor = self.second(self.first(rectified).relu())
        return rectified + change


class DecoderBlock(nn.Module):
    """Adds a finer map to a coarser one that has its size already, and doubles the size.

    The first block has no coarser map; its unit for the lateral one exists, as published, and takes no part.
    """

    def __init__(self, kind: DecoderKind, channels: int, *, is_first: bool) -> None:
        super().__init__()
        unit = NormedUnit if kind == "bn_nearest" else RectifiedUnit
        self._nearest = kind == "bn_nearest"
        self.lateral = unit(channels).requires_grad_(not is_first)
        self.refine = unit(channels)

    def forward(self, coarse_NChw: Tensor | None, map_NChw: Tensor) -> Tensor:
        """(N, C, 2h, 2w)."""
        joined = map_NChw if coarse_NChw is None else coarse_NChw + self.lateral(map_NChw)
        refined = self.refine(joined)
        if self._nearest:
            return functional.interpolate(refined, scale_factor=2.0, mode="nearest")
        return functional.interpolate(refined, scale_factor=2.0, mode="bilinear", align_corners=True)


class MaskDecoder(nn.Module):
    """Four blocks from the coarsest map up, then two convolutions with a doubling between them, then the masks.

    Source: specs/avs_bg.md, section 6.2.
    """

    def __init__(self, kind: DecoderKind, channels: int, head_channels: tuple[int, int], num_maps: int) -> None:
        super().__init__()
        wide, narrow = head_channels
        self._mode = "nearest" if kind == "bn_nearest" else "bilinear"
        self.blocks = nn.ModuleList(DecoderBlock(kind, channels, is_first=number == 0) for number in range(4))
        self.enter = nn.Conv2d(channels, wide, 3, padding=1)
        self.narrow = nn.Conv2d(wide, narrow, 3, padding=1)
        self.masks = nn.Conv2d(narrow, num_maps, 1)

    def forward(self, maps: Sequence[Tensor], exists_N111: Tensor | None = None) -> Tensor:
        """Logits (N, K, 4h, 4w).

        Args:
            maps: four, fine to coarse, (N, C, h, w) and so on.
            exists_N111: 0 where a frame only fills a clip up: all its values become 0.
        """
        up: Tensor | None = None
        for block, map_NChw in zip(self.blocks, reversed(maps), strict=True):
            up = block(up, map_NChw)
            up = up if exists_N111 is None else up * exists_N111
        doubled = functional.interpolate(self.enter(up), scale_factor=2.0, mode=self._mode)
        logits: Tensor = self.masks(self.narrow(doubled).relu())
        return logits if exists_N111 is None else torch.mul(logits, exists_N111)
