"""A whole clip of a split as a model predicts it: frames are decoded when they are asked for, and not kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avis_data.training.data.augment import FrameChange, change_picture, resized
from avis_data.training.data.split import DatasetClip, SplitData

__all__ = ["SplitClipSource"]


class SplitClipSource:
    """A `ClipSource` over the files of a clip."""

    def __init__(self, split: SplitData, clip: DatasetClip, *, short: int, long: int) -> None:
        """`short` and `long`: sides of a frame at network size."""
        self._clip = clip
        size = resized(clip.size_hw, short=short, long=long)
        self._change = FrameChange(before=clip.size_hw, window=(0, 0, *clip.size_hw), after=size, flip=False)
        audio = split.vectors(clip, list(range(clip.num_frames)))
        self._audio_TA = None if audio is None else torch.from_numpy(audio)

    @property
    def clip_id(self) -> str:
        """Named in errors."""
        return self._clip.clip_id

    @property
    def num_frames(self) -> int:
        """T, at least 1."""
        return self._clip.num_frames

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the original frames."""
        return self._clip.size_hw

    @property
    def audio_TA(self) -> Tensor | None:
        """float32, one vector per frame; None for a model without audio."""
        return self._audio_TA

    def frames(self, start: int, stop: int) -> Tensor:
        """Frames [start, stop) at network size, RGB, uint8, (n, 3, H, W). Raises DataError for a bad still."""
        self._clip.bring(range(start, stop))
        pixels = [change_picture(self._clip.picture(frame), self._change) for frame in range(start, stop)]
        return torch.from_numpy(np.stack(pixels).transpose(0, 3, 1, 2).copy())
