"""Clips of audio-visual segmentation: one map of what sounds, or of classes, per frame, and no identities.

Shapes: T frames, H, W pixels at network size, A audio channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["AvsTrainingClip"]


@dataclass(frozen=True, kw_only=True)
class AvsTrainingClip:
    """A whole clip with its sound and truth, at network size."""

    clip_id: str
    """Named in errors."""
    frames_T3HW: Tensor
    """RGB, uint8; zeros where no frame exists."""
    audio_TA: Tensor | None
    """float32, one vector per frame; None for a model without audio."""
    labels_THW: Tensor
    """int64: 1 where something sounds, or the class (0: background); zeros in frames without a label."""
    labelled_T: Tensor
    """bool, which frames have a label."""
    exists_T: Tensor
    """bool, which frames exist: those after them only fill the clip up to a fixed length."""

    def to(self, device: torch.device | str) -> AvsTrainingClip:
        """The same clip with its tensors on a device."""
        return replace(
            self,
            frames_T3HW=self.frames_T3HW.to(device, non_blocking=True),
            audio_TA=None if self.audio_TA is None else self.audio_TA.to(device, non_blocking=True),
            labels_THW=self.labels_THW.to(device, non_blocking=True),
            labelled_T=self.labelled_T.to(device, non_blocking=True),
            exists_T=self.exists_T.to(device, non_blocking=True),
        )
