"""Maps of the encoder to maps of one width: that of AVS-BG and that of AVSBench.

Shapes: N frames, C channels, h, w cells of a stage's map.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from avis_data.training.models.shared import SharedBatchNorm

__all__ = ["ConvNorm", "DilatedSum", "build_neck"]

_DILATIONS = (3, 6, 12, 18)


class ConvNorm(nn.Module):
    """A convolution without bias, then a batch norm that learns; the size stays."""

    def __init__(self, in_channels: int, channels: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, size, padding=size // 2, bias=False)
        self.norm = SharedBatchNorm(channels)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """(N, channels, h, w)."""
        result: Tensor = self.norm(self.conv(x_NChw))
        return result


class DilatedSum(nn.Module):
    """The sum of four dilated 3 x 3 convolutions, nothing after it.

    Source: AVSBench (Zhou et al. 2022).
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        branches = [nn.Conv2d(in_channels, channels, 3, padding=step, dilation=step) for step in _DILATIONS]
        for branch in branches:
            nn.init.normal_(branch.weight, std=0.01)
        self.branches = nn.ModuleList(branches)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """(N, channels, h, w)."""
        return torch.stack([branch(x_NChw) for branch in self.branches]).sum(0)


def build_neck(kind: Literal["conv3", "dilated"], in_channels: int, channels: int) -> nn.Module:
    """The neck of one stage. `conv3` has no activation between its convolutions, as published."""
    if kind == "dilated":
        return DilatedSum(in_channels, channels)
    return nn.Sequential(
        ConvNorm(in_channels, channels, 1), ConvNorm(channels, channels, 3), ConvNorm(channels, channels, 3)
    )
