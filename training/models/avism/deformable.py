"""Multi-scale deformable attention in plain PyTorch, and the encoder built of it.

What tokens read is computed in two ways, with one result: on a CPU as sums of rows of a table (row_sums.py), elsewhere,
and where it is compiled, by `grid_sample`.

Shapes: N frames, S tokens of all levels together, M heads, D channels of a head, L levels, P points, C channels.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.avism.row_sums import read_by_rows, short_softmax
from avis_data.training.models.points import at_least_float32

__all__ = ["DeformableAttention", "DeformableEncoderLayer", "reference_points"]


class DeformableAttention(nn.Module):
    """Every token reads a few points around its own place, on every level, by bilinear sampling.

    Source: Zhu et al., Deformable DETR (2021), equation 3.
    """

    def __init__(self, channels: int, heads: int, *, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(channels, heads * levels * points * 2)
        self.attention_weights = nn.Linear(channels, heads * levels * points)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self._start()

    def _start(self) -> None:
        """Head m starts by looking along the m-th of evenly spread directions, point p at p + 1 cells."""
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)
        for projection in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(projection.weight)
            nn.init.zeros_(projection.bias)
        angle_M = torch.arange(self.heads, dtype=torch.float32) * (2 * math.pi / self.heads)
        direction_M2 = torch.stack((angle_M.cos(), angle_M.sin()), dim=1)
        direction_M2 = direction_M2 / direction_M2.abs().amax(dim=1, keepdim=True)
        steps_P = torch.arange(1, self.points + 1, dtype=torch.float32)
        offsets = direction_M2[:, None, None] * steps_P[None, None, :, None]
        with torch.no_grad():
            bias = offsets.expand(self.heads, self.levels, self.points, 2).reshape(-1)
            self.sampling_offsets.bias.copy_(bias)

    def forward(
        self, query_NSC: Tensor, value_NSC: Tensor, reference_S2: Tensor, sizes: list[tuple[int, int]]
    ) -> Tensor:
        """What the queries read, shape (N, S, C).

        Args:
            reference_S2: centre of every token as (x, y) in [0, 1] of the picture.
            sizes: (height, width) of the levels, in the order of the tokens.
        """
        value = self.value_proj(value_NSC).unflatten(-1, (self.heads, -1))
        with torch.autocast(query_NSC.device.type, enabled=False):
            read = self._read(query_NSC, at_least_float32(value), reference_S2, sizes)
        out: Tensor = self.output_proj(read)
        return out

    def _read(self, query_NSC: Tensor, value: Tensor, reference_S2: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Where to look needs more bits than bf16 has: of 80 cells it tells no halves apart."""
        logits = self.attention_weights(query_NSC).unflatten(-1, (self.heads, -1))
        if query_NSC.device.type == "cpu" and not torch.compiler.is_compiling():
            offsets, weights = self._offsets_by_axis(query_NSC), short_softmax(logits)
            return read_by_rows(value, offsets, weights.flatten(2), reference_S2, sizes)
        weights = logits.softmax(-1)
        places = (*weights.shape[:3], self.levels, self.points)
        offsets = self.sampling_offsets(query_NSC).view(*places, 2)
        compiled = torch.compiler.is_compiling()  # then it is a constant, and no table can be kept
        size_L2 = (_new_sizes if compiled else _sizes)(tuple(sizes), offsets.device).to(offsets.dtype)
        points = reference_S2[None, :, None, None, None] + offsets / size_L2[:, None]
        return _sampled(value, points, weights.view(places), sizes)

    def _offsets_by_axis(self, query_NSC: Tensor) -> Tensor:
        """The offsets in cells, all x before all y, (N, S, 2, M * L * P): the published weights have them in turn."""
        layer = self.sampling_offsets
        weight = torch.unflatten(layer.weight, 0, (-1, 2)).transpose(0, 1).flatten(0, 1)
        bias = torch.unflatten(layer.bias, 0, (-1, 2)).T.flatten()
        return torch.unflatten(functional.linear(query_NSC, weight, bias), -1, (2, -1))


@lru_cache(maxsize=64)  # a copy to a GPU for each layer would make it wait each time
@torch.inference_mode(False)  # what is made in inference could not be kept for gradients
def _sizes(sizes: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    return _new_sizes(sizes, device)


def _new_sizes(sizes: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """Width and height of the levels, float64, (L, 2)."""
    return torch.tensor([(width, height) for height, width in sizes], device=device, dtype=torch.float64)


def _sampled(value_NSMD: Tensor, points: Tensor, weights: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
    """Weighted sum of the sampled values, heads joined, (N, S, C); places outside of a map are zero."""
    frames, tokens, heads = points.shape[:3]
    grids = (2 * points - 1).transpose(1, 2).flatten(0, 1)  # (N*M, S, L, P, 2)
    levels = torch.split(value_NSMD, [height * width for height, width in sizes], dim=1)
    read = []
    for level, (value, (height, width)) in enumerate(zip(levels, sizes, strict=True)):
        maps = value.permute(0, 2, 3, 1).reshape(frames * heads, -1, height, width)
        read.append(
            functional.grid_sample(maps, grids[:, :, level], mode="bilinear", padding_mode="zeros", align_corners=False)
        )
    weight = weights.transpose(1, 2).reshape(frames * heads, 1, tokens, -1)
    total = (torch.stack(read, dim=-2).flatten(-2) * weight).sum(-1)  # (N*M, D, S)
    return total.view(frames, -1, tokens).transpose(1, 2)


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention and feed-forward, post-norm; positions go to the queries, never to the values."""

    def __init__(self, channels: int, heads: int, feedforward: int, *, levels: int, points: int) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(channels, heads, levels=levels, points=points)
        self.norm1 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, feedforward)
        self.linear2 = nn.Linear(feedforward, channels)
        self.norm2 = nn.LayerNorm(channels)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(
        self, tokens_NSC: Tensor, position_SC: Tensor, reference_S2: Tensor, sizes: list[tuple[int, int]]
    ) -> Tensor:
        """The tokens after this layer, same shape."""
        read = self.self_attn(tokens_NSC + position_SC, tokens_NSC, reference_S2, sizes)
        tokens_NSC = self.norm1(tokens_NSC + read)
        # Of two axes: what a linear layer gives of three is a view, whose changes in place autograd copies.
        hidden = functional.relu(self.linear1(tokens_NSC.flatten(0, 1)), inplace=True)
        out: Tensor = self.norm2(tokens_NSC + self.linear2(hidden).view_as(tokens_NSC))
        return out


def reference_points(sizes: list[tuple[int, int]], *, device: torch.device | str = "cpu") -> Tensor:
    """Centres of the cells of all levels as (x, y) in [0, 1], float32, shape (S, 2), row by row."""
    levels = []
    for height, width in sizes:
        y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
        levels.append(
            torch.stack((x[None].expand(height, width), y[:, None].expand(height, width)), dim=2).flatten(0, 1)
        )
    return torch.cat(levels)
