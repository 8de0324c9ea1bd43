"""The heads that look at every cell of every map: class, box, centre-ness, mask filters, embedding.

Shapes: N frames, L cells of all levels together, K classes, C channels, F values of an instance's mask filters,
    h, w cells of one level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from avis_data.training.models.afcv.mask_head import FILTER_VALUES
from avis_data.training.models.afcv.pyramid import STRIDES
from avis_data.training.models.shared import SharedBatchNorm

__all__ = ["PRIOR_LOGIT", "CellGrid", "FcosHead", "FcosOutput", "cell_grid"]

PRIOR_LOGIT = -math.log(99.0)
"""Bias of a classifier that starts by saying 0.01 everywhere (RetinaNet, 2017)."""
_GROUPS = 32


@dataclass(frozen=True, kw_only=True)
class CellGrid:
    """Where the L cells are, level after level, row after row."""

    xy_L2: Tensor
    """float32, centres in pixels of the network input."""
    stride_L: Tensor
    """float32, pixels per cell."""
    level_L: Tensor
    """int64, 0 for P3."""


@dataclass(frozen=True, kw_only=True)
class FcosOutput:
    """What the heads say of every cell."""

    grid: CellGrid
    logits_NLK: Tensor
    """Logits of the classes; a sigmoid for each."""
    ltrb_NL4: Tensor
    """Distances to left, top, right, bottom of the box, in cells of its level; never negative."""
    centre_NL: Tensor
    """Logits of the centre-ness."""
    filters_NLF: Tensor
    """Mask filters of the instance at that cell."""
    embed_NLC: Tensor
    """What instances are compared by, over frames."""


class FcosHead(nn.Module):
    """Three towers of convolutions, and an output or two on each; one set of weights for all levels.

    Source: Tian et al., FCOS (2019); CondInst (2020) for the filters; CrossVIS (2021) for the embedding.
    """

    def __init__(self, channels: int, num_classes: int, tower_layers: int) -> None:
        super().__init__()
        self.class_tower = _tower(channels, tower_layers)
        self.box_tower = _tower(channels, tower_layers)
        self.embed_tower = _tower(channels, tower_layers)
        self.classify = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.box = nn.Conv2d(channels, 4, 3, padding=1)
        self.box_scale = nn.Parameter(torch.ones(len(STRIDES)))
        self.centre = nn.Conv2d(channels, 1, 3, padding=1)
        self.controller = nn.Conv2d(channels, FILTER_VALUES, 3, padding=1)
        self.embed = nn.Conv2d(channels, channels, 1)
        self.embed_norm = SharedBatchNorm(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                assert module.bias is not None  # every one has a bias
                nn.init.zeros_(module.bias)
        assert self.classify.bias is not None  # as the others
        nn.init.constant_(self.classify.bias, PRIOR_LOGIT)

    def forward(self, maps: Sequence[Tensor]) -> FcosOutput:
        """What the heads say of the five maps, fine to coarse, each (N, C, h, w)."""
        rows: list[tuple[Tensor, ...]] = []
        for level, x in enumerate(maps):
            box = self.box_tower(x)
            parts = (
                self.classify(self.class_tower(x)),
                (self.box(box) * self.box_scale[level]).relu(),
                self.centre(box),
                self.controller(box),
                self.embed_norm(self.embed(self.embed_tower(x))),
            )
            rows.append(tuple(part.flatten(2).transpose(1, 2) for part in parts))
        logits, ltrb, centre, filters, embed = (torch.cat(level, dim=1) for level in zip(*rows, strict=True))
        grid = _kept_grid(tuple((x.shape[2], x.shape[3]) for x in maps), maps[0].device)
        return FcosOutput(
            grid=grid, logits_NLK=logits, ltrb_NL4=ltrb, centre_NL=centre[..., 0], filters_NLF=filters, embed_NLC=embed
        )


@lru_cache(maxsize=16)  # a copy to a GPU for each pass would make it wait each time
@torch.inference_mode(False)  # what is made in inference could not be kept for gradients
def _kept_grid(sizes: tuple[tuple[int, int], ...], device: torch.device) -> CellGrid:
    return cell_grid(sizes, device)


def cell_grid(sizes: Sequence[tuple[int, int]], device: torch.device | str = "cpu") -> CellGrid:
    """The cells of maps of those heights and widths, P3 first."""
    xy, strides, levels = [], [], []
    for level, ((height, width), stride) in enumerate(zip(sizes, STRIDES, strict=True)):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        xy.append(torch.stack((x, y), dim=-1).view(-1, 2) * float(stride) + stride / 2)
        strides.append(torch.full((height * width,), float(stride)))
        levels.append(torch.full((height * width,), level))
    return CellGrid(
        xy_L2=torch.cat(xy).to(device), stride_L=torch.cat(strides).to(device), level_L=torch.cat(levels).to(device)
    )


def _tower(channels: int, layers: int) -> nn.Sequential:
    blocks: list[nn.Module] = []
    for _ in range(layers):
        blocks += [nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(_GROUPS, channels), nn.ReLU()]
    return nn.Sequential(*blocks)
