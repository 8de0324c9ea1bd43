"""Frames as networks want them: normalised, and padded to whole cells of the coarsest map.

Shapes: N frames, h, w pixels of a frame, H, W pixels padded.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.data.clips import TrainingClip

__all__ = ["FrameNormaliser", "common_size", "padded_size", "padded_to"]

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


def common_size(clips: Sequence[TrainingClip]) -> tuple[int, int]:
    """The padded size that holds the frames of all clips."""
    sizes = [padded_size((clip.frames_T3HW.shape[2], clip.frames_T3HW.shape[3])) for clip in clips]
    return max(height for height, _ in sizes), max(width for _, width in sizes)


def padded_to(images_N3HW: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Normalised frames with zeros at the bottom and right, up to a size."""
    height, width = images_N3HW.shape[2:]
    return functional.pad(images_N3HW, (0, size_hw[1] - width, 0, size_hw[0] - height))


def padded_size(size_hw: tuple[int, int]) -> tuple[int, int]:
    """A size rounded up to multiples of 32."""
    height, width = size_hw
    return -(-height // _STRIDE) * _STRIDE, -(-width // _STRIDE) * _STRIDE
