"""The post-norm transformer pieces that all decoders share: attention, feed-forward, MLP.

Shapes: N batch, Q queries, S keys, C channels, H heads, D channels of a head.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.shared import Dropout

__all__ = ["Attention", "AttentionBlock", "FeedForwardBlock", "Mlp", "xavier_matrices"]


class Attention(nn.Module):
    """Multi-head attention with one mask for all heads, which is never repeated over them.

    The parameters have the names and the layout of `torch.nn.MultiheadAttention` (`in_proj_weight` holds query, key and
    value one below the other), in which the published checkpoints are stored.
    """

    def __init__(self, channels: int, heads: int, dropout: float = 0.0) -> None:
        """`dropout`: share of the attention weights that are dropped in training."""
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be split over {heads} heads")
        self.heads = heads
        self.dropout = Dropout(dropout)
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.zeros_(self.out_proj.bias)
        xavier_matrices(self)

    def forward(
        self, query_NQC: Tensor, key_NSC: Tensor, value_NSC: Tensor, visible_NQS: Tensor | None = None
    ) -> Tensor:
        """Attended values, shape of the query.

        Args:
            visible_NQS: bool, True where a query may look; broadcast over N; None: everywhere. A row without any True
                gives NaN: the caller opens it.
        """
        query, key, value = (self._projected(x, part) for part, x in enumerate((query_NQC, key_NSC, value_NSC)))
        visible = None if visible_NQS is None else visible_NQS[:, None]
        if self.training and self.dropout.share:
            attended = self.dropout(_weights(query, key, visible)) @ value
        else:
            attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return self._joined(attended)

    def over_pieces(self, query_NQC: Tensor, pieces: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """The attended values of all keys, of which one piece is there at a time; without gradients and dropout.

        Args:
            pieces: keys and values (N, S, C); at least one.

        Source: Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018).
        """
        query = self._projected(query_NQC, 0)
        query = query / math.sqrt(query.shape[-1])
        dtype = torch.promote_types(query.dtype, torch.float32)
        largest = query.new_full((*query.shape[:3], 1), -torch.inf, dtype=dtype)
        total, summed = torch.zeros_like(largest), torch.zeros_like(query, dtype=dtype)
        for key_NSC, value_NSC in pieces:
            logits = (query @ self._projected(key_NSC, 1).transpose(2, 3)).to(dtype)
            before, largest = largest, torch.maximum(largest, logits.amax(-1, keepdim=True))
            powers, shrunk = (logits - largest).exp_(), (before - largest).exp_()
            total = total * shrunk + powers.sum(-1, keepdim=True)
            summed = summed * shrunk + powers @ self._projected(value_NSC, 2)
        return self._joined(summed / total)

    def _projected(self, x_NSC: Tensor, part: int) -> Tensor:
        """Queries (part 0), keys (1) or values (2) of the heads, (N, H, S, D)."""
        weight, bias = self.in_proj_weight.chunk(3)[part], self.in_proj_bias.chunk(3)[part]
        return torch.unflatten(functional.linear(x_NSC, weight, bias), -1, (self.heads, -1)).transpose(1, 2)

    def _joined(self, attended_NHQD: Tensor) -> Tensor:
        out: Tensor = self.out_proj(attended_NHQD.transpose(1, 2).flatten(2))
        return out

    def weights(self, query_NQC: Tensor, key_NSC: Tensor, visible_NQS: Tensor | None = None) -> Tensor:
        """How much each query looks at each key, for every head, (N, H, Q, S): for those who want to see it."""
        query, key = self._projected(query_NQC, 0), self._projected(key_NSC, 1)
        return _weights(query, key, None if visible_NQS is None else visible_NQS[:, None])


def _weights(query_NHQD: Tensor, key_NHSD: Tensor, visible_N1QS: Tensor | None) -> Tensor:
    """How much each query looks at each key, for every head (N, H, Q, S): what PyTorch's attention does not give."""
    logits = query_NHQD @ key_NHSD.transpose(2, 3) / math.sqrt(query_NHQD.shape[-1])
    if visible_N1QS is not None:
        logits = logits.masked_fill(~visible_N1QS, -torch.inf)
    return logits.softmax(-1)


class AttentionBlock(nn.Module):
    """Attention, residual, LayerNorm."""

    def __init__(self, channels: int, heads: int, dropout: float = 0.0) -> None:
        """`dropout`: of attention weights, and of what is added to the residual."""
        super().__init__()
        self.attention = Attention(channels, heads, dropout)
        self.norm = nn.LayerNorm(channels)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        residual_NQC: Tensor,
        *,
        query_NQC: Tensor,
        key_NSC: Tensor,
        value_NSC: Tensor,
        visible_NQS: Tensor | None = None,
    ) -> Tensor:
        """LayerNorm(residual + attention(query, key, value)), shape (N, Q, C); the residual is broadcast."""
        attended = self.attention(query_NQC, key_NSC, value_NSC, visible_NQS)
        out: Tensor = self.norm(residual_NQC + self.dropout(attended))
        return out

    def over_pieces(
        self, residual_NQC: Tensor, *, query_NQC: Tensor, pieces: Iterable[tuple[Tensor, Tensor]]
    ) -> Tensor:
        """The same over keys and values of which one piece is there at a time; without gradients and dropout."""
        out: Tensor = self.norm(residual_NQC + self.attention.over_pieces(query_NQC, pieces))
        return out


class FeedForwardBlock(nn.Module):
    """Linear, ReLU, linear, residual, LayerNorm."""

    def __init__(self, channels: int, hidden: int, dropout: float = 0.0) -> None:
        """`dropout`: of the hidden values, and of what is added to the residual."""
        super().__init__()
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm = nn.LayerNorm(channels)
        self.dropout = Dropout(dropout)
        xavier_matrices(self)

    def forward(self, state_NQC: Tensor) -> Tensor:
        """LayerNorm(state + feed-forward(state)), same shape."""
        hidden = self.dropout(functional.relu(self.linear1(state_NQC)))
        out: Tensor = self.norm(state_NQC + self.dropout(self.linear2(hidden)))
        return out


class Mlp(nn.Module):
    """Linear layers with a ReLU between them."""

    def __init__(self, channels: int, hidden: int, out_channels: int, layers: int) -> None:
        super().__init__()
        widths = [channels, *[hidden] * (layers - 1), out_channels]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's output, without ReLU; shape of the input but for the channels."""
        *hidden, last = self.layers
        for layer in hidden:
            x = functional.relu(layer(x))
        out: Tensor = last(x)
        return out


def xavier_matrices(module: nn.Module) -> None:
    """Start every matrix of a module Xavier-uniform, as DETR and its descendants do."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
