"""The feature pyramid: five maps of one width, at strides 8 to 128.

Shapes: N frames, C channels, h, w cells of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["STRIDES", "Pyramid", "pyramid_sizes", "scaled_gradient"]

STRIDES = (8, 16, 32, 64, 128)
"""Pixels per cell of P3 to P7."""


class Pyramid(nn.Module):
    """P3 to P5 from the backbone's maps at strides 8, 16, 32 (top down); P6 and P7 from P5.

    Source: Lin et al., "Feature Pyramid Networks" (2017); P6 and P7 as in FCOS (2019), P6 from P5.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.output = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        self.coarse = nn.ModuleList(nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                assert module.bias is not None  # every one has a bias
                nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The five maps, fine to coarse, each (N, C, h, w).

        Args:
            maps: of the backbone, at strides 8, 16, 32; each side half of the one before.
        """
        summed = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        for level in reversed(range(len(summed) - 1)):
            summed[level] = summed[level] + functional.interpolate(summed[level + 1], scale_factor=2, mode="nearest")
        levels = [output(x) for output, x in zip(self.output, summed, strict=True)]
        p6 = self.coarse[0](levels[-1])
        return (*levels, p6, self.coarse[1](p6.relu()))


def pyramid_sizes(padded_hw: tuple[int, int]) -> list[tuple[int, int]]:
    """Height and width of the five maps of an input; its sides are multiples of 32."""
    height, width = padded_hw
    return [(-(-height // stride), -(-width // stride)) for stride in STRIDES]


def scaled_gradient(x: Tensor, scale: float) -> Tensor:
    """The same values; what flows back is multiplied by `scale`."""
    return cast(Callable[[Tensor, float], Tensor], _ScaledGradient.apply)(x, scale)


class _Kept(Protocol):
    """What the way back knows of the way there."""

    scale: float


class _ScaledGradient(torch.autograd.Function):
    """The identity, with a scaled gradient. `scale * x + (1 - scale) * x.detach()` does not always sum to x again."""

    @staticmethod
    def forward(ctx: _Kept, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: _Kept, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.scale, None
