"""What a frame sounds like, mixed into every map of its pyramid.

Shapes: N frames, C channels, M = 64 bands and as many moments of a slice of sound, h, w cells of a map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from avis_data.training.models.backbones import ResNetSpec, build_backbone

__all__ = ["SoundEncoder", "SoundFusion"]


class SoundEncoder(nn.Module):
    """One vector for the slice of sound of each frame: a ResNet on its log-mel picture, averaged, and a layer more.

    Time and frequency of the picture have no place in the frame, so nothing but the average is kept.
    """

    def __init__(self, spec: ResNetSpec, channels: int, *, mean: float, deviation: float) -> None:
        """`mean` and `deviation`: of the log-mel values of the training set."""
        super().__init__()
        self.backbone = build_backbone(spec)
        self.project = nn.Linear(self.backbone.channels[-1], channels)
        self._mean, self._deviation = mean, deviation

    def forward(self, slices_NMM: Tensor, valid_N: Tensor) -> Tensor:
        """(N, C); zeros for frames without sound.

        Args:
            slices_NMM: log-mel values; of no meaning where there is no sound.
            valid_N: bool, whether the frame has sound.
        """
        slices = torch.where(valid_N[:, None, None], slices_NMM, self._mean)
        pictures_N3MM = ((slices - self._mean) / self._deviation)[:, None].expand(-1, 3, -1, -1)
        heard_NC: Tensor = self.project(self.backbone(pictures_N3MM)[-1].mean((2, 3))).relu()
        return heard_NC * valid_N[:, None].to(heard_NC.dtype)


class SoundFusion(nn.Module):
    """A frame's map and its sound, concatenated and convolved to one map again; one convolution for all levels.

    It starts as if there were no sound, so a model that was trained without is not disturbed.

    Source: Audio Fusion CrossVIS; its report leaves place and start of the fusion open.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        with torch.no_grad():
            self.mix.weight.zero_()
            self.mix.weight[:, :channels, 0, 0] = torch.eye(channels)
        assert self.mix.bias is not None  # it has one
        nn.init.zeros_(self.mix.bias)

    def forward(self, maps: Sequence[Tensor], heard_NC: Tensor) -> tuple[Tensor, ...]:
        """Maps of the same shapes, each (N, C, h, w)."""
        heard = heard_NC[:, :, None, None]
        return tuple(self.mix(torch.cat((x, heard.expand(-1, -1, *x.shape[2:])), dim=1)) for x in maps)
