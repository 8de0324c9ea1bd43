"""Frames as networks want them: normalised, and padded to whole cells of the coarsest map.

Shapes: N frames, h, w pixels of a frame, H, W pixels padded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FrameNormaliser", "padded_size"]

_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)
_STRIDE = 32


class FrameNormaliser(nn.Module):
    """ImageNet's mean and deviation of RGB in 0..255, then zeros at the bottom and right."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)

    def forward(self, frames_N3hw: Tensor) -> Tensor:
        """Float frames (N, 3, H, W) of RGB frames in 0..255 of any type."""
        height, width = frames_N3hw.shape[-2:]
        padded_height, padded_width = padded_size((height, width))
        frames = (frames_N3hw.to(self.mean.dtype) - self.mean) / self.std
        return functional.pad(frames, (0, padded_width - width, 0, padded_height - height))


def padded_size(size_hw: tuple[int, int]) -> tuple[int, int]:
    """A size rounded up to multiples of 32."""
    height, width = size_hw
    return -(-height // _STRIDE) * _STRIDE, -(-width // _STRIDE) * _STRIDE
