"""Deformable attention's reading on a CPU: cells are rows of a table, and a token reads a weighted sum of rows.

PyTorch sums rows of a table many times faster than `grid_sample` gathers channels that lie apart. The four cells around
a point are one index into four tables, of which each is the first one without its beginning.

Shapes: N frames, S tokens of all levels together, M heads, D channels of a head, L levels, P points, J = M * L * P,
    B = N * S * M sums of K = L * P rows, R rows of a table.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["read_by_rows", "short_softmax"]


def read_by_rows(
    value_NSMD: Tensor,
    offsets_NS2J: Tensor,
    weights_NSJ: Tensor,
    reference_S2: Tensor,
    sizes: list[tuple[int, int]],
) -> Tensor:
    """Weighted sum of the values at each token's points, heads joined, (N, S, M * D); places outside of a map are zero.

    Args:
        offsets_NS2J: x and y of the points in cells of their level, from the token's own place.
        reference_S2: centre of every token as (x, y) in [0, 1] of the picture.
        sizes: (height, width) of the levels, in the order of the tokens.
    """
    frames, tokens, heads = value_NSMD.shape[:3]
    table = _tables(value_NSMD, sizes)
    reads = offsets_NS2J.shape[3] // heads
    spread = (2, heads, len(sizes), reads // len(sizes))
    size_2L = value_NSMD.new_tensor([(width, height) for height, width in sizes]).T
    limit_2J = size_2L[:, None, :, None].expand(spread).reshape(2, -1)
    place_S2J = reference_S2[:, :, None] * limit_2J - 0.5
    # From one cell before a map to one behind it; both hold zeros.
    at_NS2J = torch.minimum(offsets_NS2J + place_S2J, limit_2J).clamp(min=-1)
    cell_NS2J = at_NS2J.detach().floor()
    x_NSJ, y_NSJ = (at_NS2J - cell_NS2J).unbind(2)
    row_NSJ = torch.add(cell_NS2J[:, :, 0], cell_NS2J[:, :, 1], alpha=table.width).to(torch.int32)
    row_NSJ = row_NSJ * heads + table.first_rows(frames, heads, spread[1:])
    below = y_NSJ * weights_NSJ
    above = weights_NSJ - below
    corners = [((right := x_NSJ * side), side - right) for side in (above, below)]
    shares = torch.stack([share for right, left in corners for share in (left, right)])
    rows_BK, shares_4BK = row_NSJ.view(-1, reads), shares.view(4, -1, reads)
    later = (0, heads, table.width * heads, (table.width + 1) * heads)
    return _row_sums(table.rows_RD, rows_BK, shares_4BK, later).view(frames, tokens, -1)


def short_softmax(logits: Tensor) -> Tensor:
    """The softmax over a last axis of a dozen values, for which PyTorch's own takes five times as long on a CPU."""
    powers = (logits - logits.detach().amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


@dataclass(frozen=True)
class _Tables:
    """The cells of all frames: those of a frame one level below the other, of one width, zeros around each level."""

    rows_RD: Tensor
    """Frame, then cell, then head."""
    width: int
    """Cells of a line. What lies right of a level's last column is what lies left of its next line."""
    starts: tuple[int, ...]
    """The first cell of each level in the table of a frame."""
    cells: int
    """Of the table of a frame."""

    def first_rows(self, frames: int, heads: int, spread: tuple[int, ...]) -> Tensor:
        """The row of the first cell of each point's level, int32, (N, 1, J)."""
        starts_L = torch.tensor(self.starts, dtype=torch.int32) * heads
        first_MLP = starts_L[None, :, None] + torch.arange(heads, dtype=torch.int32)[:, None, None]
        frames_N = torch.arange(frames, dtype=torch.int32) * (self.cells * heads)
        return first_MLP.expand(spread).reshape(-1) + frames_N[:, None, None]


def _tables(value_NSMD: Tensor, sizes: list[tuple[int, int]]) -> _Tables:
    width = max(width for _, width in sizes) + 1
    lines = [0]
    for height, _ in sizes:
        lines.append(lines[-1] + height + 1)
    # A line of zeros before the first level, one after the last, and one that nothing but zero weights reach.
    grid = value_NSMD.new_zeros(len(value_NSMD), lines[-1] + 3, width, *value_NSMD.shape[2:])
    levels = torch.split(value_NSMD, [height * width for height, width in sizes], dim=1)
    for line, level, size in zip(lines, levels, sizes, strict=False):
        grid[:, line + 1 : line + 1 + size[0], 1 : 1 + size[1]] = torch.unflatten(level, 1, size)
    return _Tables(
        rows_RD=grid.view(-1, value_NSMD.shape[3]),
        width=width,
        starts=tuple((line + 1) * width + 1 for line in lines[:-1]),
        cells=grid.shape[1] * width,
    )


class _Kept(Protocol):
    """What PyTorch keeps between forward and backward."""

    saved_tensors: tuple[Tensor, ...]
    later: tuple[int, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _RowSums(torch.autograd.Function):
    """Sums of rows of several tables: of one table, and of what is left of it after so many rows. Not twice derived."""

    @staticmethod
    def forward(kept: _Kept, rows_RD: Tensor, rows_BK: Tensor, shares_4BK: Tensor, later: tuple[int, ...]) -> Tensor:
        kept.save_for_backward(rows_RD, rows_BK, shares_4BK)
        kept.later = later
        first_B = torch.arange(0, rows_BK.numel(), rows_BK.shape[1], dtype=torch.int32)
        sums_BD = rows_RD.new_zeros(len(rows_BK), rows_RD.shape[1])
        for begin, share_BK in zip(later, shares_4BK, strict=True):
            sums_BD += _bags(rows_BK.flatten(), rows_RD[begin:], first_B, share_BK.flatten())
        return sums_BD

    @staticmethod
    def backward(kept: _Kept, grad_BD: Tensor) -> tuple[Tensor | None, ...]:
        rows_RD, rows_BK, shares_4BK = kept.saved_tensors
        grad_BD = grad_BD.contiguous()
        grad_shares_4BK = torch.empty_like(shares_4BK)
        for grad_BK, begin in zip(grad_shares_4BK, kept.later, strict=True):
            grad_BK.copy_(_products(grad_BD, rows_RD[begin:], rows_BK))
        return _row_gradients(grad_BD, rows_RD, rows_BK, shares_4BK, kept.later), None, grad_shares_4BK, None


_row_sums: Callable[[Tensor, Tensor, Tensor, tuple[int, ...]], Tensor] = _RowSums.apply


def _bags(rows_X: Tensor, table_RD: Tensor, first_B: Tensor, weights_X: Tensor) -> Tensor:
    return functional.embedding_bag(rows_X, table_RD, first_B, mode="sum", per_sample_weights=weights_X)


def _products(grad_BD: Tensor, table_RD: Tensor, rows_BK: Tensor) -> Tensor:
    """The product of each sum's gradient with each of its rows, (B, K): a few places of the product of two matrices."""
    begins = torch.arange(0, rows_BK.numel() + 1, rows_BK.shape[1], dtype=torch.int32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse", UserWarning)  # it says once that such tensors are in beta
        places = torch.sparse_csr_tensor(
            begins, rows_BK.flatten(), grad_BD.new_zeros(rows_BK.numel()), (len(rows_BK), len(table_RD))
        )
    products: Tensor = torch.sparse.sampled_addmm(places, grad_BD, table_RD.T, beta=0.0)
    return products.values().view_as(rows_BK)


def _row_gradients(
    grad_BD: Tensor, rows_RD: Tensor, rows_BK: Tensor, shares_4BK: Tensor, later: tuple[int, ...]
) -> Tensor:
    """The gradient of the table: a sum over those that read a row, in order of the rows."""
    ordered = rows_BK.flatten().sort()
    sums_X = (ordered.indices // rows_BK.shape[1]).to(torch.int32)
    counts_R = torch.bincount(ordered.values, minlength=len(rows_RD) - later[-1])
    first_R = (counts_R.cumsum(0) - counts_R).to(torch.int32)
    grad_RD = torch.zeros_like(rows_RD)
    for begin, share_BK in zip(later, shares_4BK, strict=True):
        share_X = share_BK.flatten().index_select(0, ordered.indices)
        grad_RD[begin : begin + len(first_R)] += _bags(sums_X, grad_BD, first_R, share_X)
    return grad_RD
