"""The pyramid that carries a coarse map to stride 4, in MaskFormer's form.

Source: Cheng et al., MaskFormer (2021), pixel decoder; Lin et al., "Feature Pyramid Networks" (2017).

Shapes: N frames, C channels, h, w cells of a map.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MaskPyramid"]

_GROUPS = 32


class MaskPyramid(nn.Module):
    """From a map at stride 32 and the backbone's maps at strides 16, 8 and 4 to one map at stride 4."""

    def __init__(self, coarse_channels: int, fine_channels: Sequence[int], *, width: int, out_channels: int) -> None:
        """`fine_channels`: of the backbone's maps from stride 4 to 16; `width`: of all maps in between."""
        super().__init__()
        self.top = _convolution(coarse_channels, width, 3)
        self.lateral = nn.ModuleList(_convolution(channels, width, 1) for channels in reversed(fine_channels))
        self.output = nn.ModuleList(_convolution(width, width, 3) for _ in fine_channels)
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, coarse_NChw: Tensor, fine: Sequence[Tensor]) -> Tensor:
        """(N, out_channels, h, w) at stride 4.

        Args:
            coarse_NChw: at stride 32.
            fine: the backbone's maps from stride 4 to 16; each is twice as large as the next, exactly.
        """
        x = self.top(coarse_NChw).relu()
        for lateral, output, finer in zip(self.lateral, self.output, reversed(fine), strict=True):
            enlarged = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = output(lateral(finer) + enlarged).relu()
        mapped: Tensor = self.last(x)
        return mapped


def _convolution(inputs: int, outputs: int, side: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return nn.Sequential(conv, nn.GroupNorm(_GROUPS, outputs))
