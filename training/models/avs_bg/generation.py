"""Bidirectional generation: the sound, made from what is seen inside the mask. It runs in training only.

Shapes: N frames, C channels, A = 128 values of the sound, h, w cells of the coarsest map, H, W pixels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SoundGenerator"]

_SIDE = 7
_HIDDEN = 64


class SoundGenerator(nn.Module):
    """Three convolutions, then for each channel the same weighted sum over 7 x 7 cells. All of it is linear.

    Source: AVS-BG (Hao et al. 2023), visual-to-audio projection; specs/avs_bg.md, section 6.3.
    """

    def __init__(self, channels: int, audio_channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, _HIDDEN, 1, bias=False),
            nn.Conv2d(_HIDDEN, _HIDDEN, 3, padding=1, bias=False),
            nn.Conv2d(_HIDDEN, audio_channels, 1, bias=False),
        )
        self.cells = nn.Linear(_SIDE * _SIDE, 1)

    def forward(self, z_NChw: Tensor, mask_N1HW: Tensor) -> Tensor:
        """The sound of each frame, (N, A).

        Args:
            z_NChw: the coarsest map; of other sizes than 7 x 7 it is pooled to that after masking.
            mask_N1HW: logits, probabilities or a true mask, at network size; averaged over the cells of the map.
        """
        masked = z_NChw * functional.adaptive_avg_pool2d(mask_N1HW, z_NChw.shape[2:])
        if masked.shape[2:] != (_SIDE, _SIDE):
            masked = functional.adaptive_avg_pool2d(masked, _SIDE)
        sound_NA: Tensor = self.cells(self.encoder(masked).flatten(2)).squeeze(2)
        return sound_NA
