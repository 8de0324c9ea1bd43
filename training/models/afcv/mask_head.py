"""Masks by filters that are made for each instance.

Shapes: N frames, C channels, R instances of any of the frames, F values of an instance's filters, h, w cells at
    stride 8.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.afcv.pyramid import STRIDES
from avis_data.training.models.shared import SharedBatchNorm

__all__ = ["FILTER_VALUES", "MASK_STRIDE", "MaskBranch", "aligned_bilinear", "dynamic_masks", "split_filters"]

_MASK_CHANNELS = 8
_LAYERS = ((_MASK_CHANNELS + 2, 8), (8, 8), (8, 1))
"""Channels in and out of the three 1x1 convolutions of an instance; it sees its place in two of the channels."""
FILTER_VALUES = sum(inputs * outputs + outputs for inputs, outputs in _LAYERS)
"""169: all weights, then all biases."""
_REACH = 64.0
"""Pixels that are 1 in an instance's own coordinates, where its level is the finest; twice as many on the next."""
MASK_STRIDE = 4
"""Pixels per cell of the mask logits."""


class MaskBranch(nn.Module):
    """Eight channels at stride 8 that all instances of a frame make their masks of.

    Source: CondInst (2020), without its semantic loss.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_block(in_channels, width) for _ in range(3))
        self.tower = nn.Sequential(*(_block(width, width) for _ in range(4)), nn.Conv2d(width, _MASK_CHANNELS, 1))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(N, 8, h, w) of P3, P4 and P5."""
        fine, *others = (level(x) for level, x in zip(self.levels, maps, strict=True))
        for level, x in enumerate(others, start=1):
            fine = fine + aligned_bilinear(x, 2**level)
        mixed: Tensor = self.tower(fine)
        return mixed


def aligned_bilinear(x_NChw: Tensor, factor: int) -> Tensor:
    """Enlarged by a whole factor: output i looks at max(i - factor // 2, 0) / factor, borders repeated.

    From stride 8 to 4 that is 2 pixels off the exact cell centres; networks learn it, so training and test must use it
    alike.

    Source: CondInst (2020), as its code does it.
    """
    if factor == 1:
        return x_NChw
    height, width = x_NChw.shape[2:]
    inner = (factor * (height - 1) + 1, factor * (width - 1) + 1)
    between = functional.interpolate(x_NChw, size=inner, mode="bilinear", align_corners=True)
    before, after = factor // 2, factor - 1 - factor // 2
    return functional.pad(between, (before, after, before, after), mode="replicate")


def split_filters(filters_RF: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Weights (R, outputs, inputs) and biases (R, outputs) of the three layers. All weights lie before all biases."""
    weights = torch.split(filters_RF, [inputs * outputs for inputs, outputs in _LAYERS] + [8, 8, 1], dim=1)
    return [
        (torch.unflatten(weight, 1, (outputs, inputs)), bias)
        for (inputs, outputs), weight, bias in zip(_LAYERS, weights[:3], weights[3:], strict=True)
    ]


def dynamic_masks(filters_RF: Tensor, features_N8hw: Tensor, frame_R: Tensor, xy_R2: Tensor, level_R: Tensor) -> Tensor:
    """Mask logits of R instances at stride 4, (R, 2h, 2w).

    All instances run as one grouped convolution.

    Args:
        filters_RF: of each instance.
        features_N8hw: of the mask branch.
        frame_R: int64, in which frame each instance is to be cut out.
        xy_R2: where it is there, in pixels.
        level_R: int64, on which level it was found there, 0 for P3.
    """
    count = len(filters_RF)
    height, width = features_N8hw.shape[2:]
    if not count:
        return features_N8hw.new_zeros(0, 2 * height, 2 * width)
    stride = STRIDES[0]
    rows = torch.arange(height, device=xy_R2.device) * float(stride) + stride / 2
    columns = torch.arange(width, device=xy_R2.device) * float(stride) + stride / 2
    reach_R = _REACH * torch.exp2(level_R.to(xy_R2.dtype))
    x_Rw = (xy_R2[:, :1] - columns) / reach_R[:, None]
    y_Rh = (xy_R2[:, 1:] - rows) / reach_R[:, None]
    place_R2hw = torch.stack((x_Rw[:, None].expand(-1, height, -1), y_Rh[:, :, None].expand(-1, -1, width)), dim=1)
    x = torch.cat((place_R2hw.to(features_N8hw.dtype), features_N8hw[frame_R]), dim=1).flatten(0, 1)[None]
    layers = split_filters(filters_RF)
    for number, (weight, bias) in enumerate(layers):
        x = functional.conv2d(x, weight.flatten(0, 1)[..., None, None], bias.flatten(), groups=count)
        if number < len(layers) - 1:
            x = x.relu()
    return aligned_bilinear(x.transpose(0, 1), STRIDES[0] // MASK_STRIDE)[:, 0]


def _block(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return nn.Sequential(conv, SharedBatchNorm(outputs), nn.ReLU())
