"""Mask2Former's pixel decoder: a deformable encoder over three levels and one FPN step to stride 4.

Shapes: N frames, C channels, h, w cells of a map; the four backbone maps have strides 4, 8, 16, 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.avism.deformable import DeformableEncoderLayer, reference_points
from avis_data.training.models.points import at_least_float32
from avis_data.training.models.positions import sine_position

__all__ = ["PixelDecoder", "PixelMaps", "resized"]

_GROUPS = 32


@dataclass(frozen=True, kw_only=True)
class PixelMaps:
    """What the pixel decoder gives for N frames."""

    scales: tuple[Tensor, Tensor, Tensor]
    """F32, F16, F8: maps for the masked decoder, each (N, C, h, w), coarse to fine."""
    fpn_NChw: Tensor
    """Y4: the stride-4 map from which both per-pixel embeddings are made."""


class PixelDecoder(nn.Module):
    """Backbone maps in, `PixelMaps` out. Under autocast its products are bf16; tokens, norms and places are float32.

    Source: Cheng et al., Mask2Former (2022), section 3.2.1; AVISM keeps it as it is.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int,
        heads: int,
        layers: int,
        feedforward: int,
        points: int = 4,
    ) -> None:
        super().__init__()
        finest, *others = in_channels
        self.input_proj = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, channels, 1), nn.GroupNorm(_GROUPS, channels)) for width in reversed(others)
        )
        self.level_embed = nn.Parameter(torch.randn(len(others), channels))
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(channels, heads, feedforward, levels=len(others), points=points)
            for _ in range(layers)
        )
        self.lateral = _ConvNorm(finest, channels, 1)
        self.output = _ConvNorm(channels, channels, 3)
        self.mask_projection = nn.Conv2d(channels, channels, 1)
        self._start()

    def _start(self) -> None:
        for projection in self.input_proj.modules():
            if isinstance(projection, nn.Conv2d):
                nn.init.xavier_uniform_(projection.weight)
                assert projection.bias is not None  # every one has a bias
                nn.init.zeros_(projection.bias)
        for convolution in (self.lateral.conv, self.output.conv, self.mask_projection):
            nn.init.kaiming_uniform_(convolution.weight, a=1)
        assert self.mask_projection.bias is not None  # it has one
        nn.init.zeros_(self.mask_projection.bias)

    def forward(self, maps: Sequence[Tensor]) -> PixelMaps:
        """The maps of N frames.

        Args:
            maps: the backbone's four maps, fine to coarse, each (N, channels, h, w).
        """
        finest, *others = maps
        scales = self._encoded([project(x) for project, x in zip(self.input_proj, reversed(others), strict=True)])
        # The encoder's channels lie last. So would those of the larger maps, which the convolution then copies.
        fine_NChw = scales[-1].contiguous()
        up = resized(fine_NChw, (finest.shape[2], finest.shape[3]))
        fpn = functional.relu(self.output(self.lateral(finest) + up), inplace=True)
        coarse, middle, fine = scales
        return PixelMaps(scales=(coarse, middle, fine), fpn_NChw=fpn)

    def mask_embedding(self, fpn_NChw: Tensor) -> Tensor:
        """M, the frame-level per-pixel embedding, a 1x1 convolution of Y4; same shape."""
        out: Tensor = self.mask_projection(fpn_NChw)
        return out

    def small_mask_embeddings(self, maps: PixelMaps) -> list[Tensor]:
        """M at the size of each scale: that of a smaller Y4, as both are sums, with weights that add up to 1."""
        # For so small a result a CPU lays the channels last, each time anew.
        fpn_NChw = maps.fpn_NChw.contiguous(memory_format=torch.channels_last)
        return [self.mask_embedding(resized(fpn_NChw, (scale.shape[2], scale.shape[3]))) for scale in maps.scales]

    def _encoded(self, levels: list[Tensor]) -> list[Tensor]:
        sizes = [(level.shape[2], level.shape[3]) for level in levels]
        channels, device = levels[0].shape[1], levels[0].device
        position = torch.cat(
            [
                sine_position(*size, channels, device=device) + embed
                for size, embed in zip(sizes, self.level_embed, strict=True)
            ]
        )
        reference = reference_points(sizes, device=device)
        tokens = torch.cat([at_least_float32(level).flatten(2).transpose(1, 2) for level in levels], dim=1)
        for layer in self.layers:
            tokens = layer(tokens, position, reference, sizes)
        parts = torch.split(tokens, [height * width for height, width in sizes], dim=1)
        return [torch.unflatten(part.transpose(1, 2), 2, size) for part, size in zip(parts, sizes, strict=True)]


def resized(maps_NXhw: Tensor, size: tuple[int, int]) -> Tensor:
    """The maps at another size, bilinear."""
    return functional.interpolate(maps_NXhw, size=size, mode="bilinear", align_corners=False)


class _ConvNorm(nn.Module):
    """Convolution without bias, GroupNorm."""

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out
