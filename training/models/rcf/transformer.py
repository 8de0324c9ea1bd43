"""Encoder and decoder over the tokens of a frame and its context, with positions that are added in every layer.

Source: Carion et al., DETR (2020), post-norm form.

Shapes: B frames, S tokens, Q slots, C channels, L decoder layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avis_data.training.models.attention import AttentionBlock, FeedForwardBlock

__all__ = ["SlotDecoder", "TokenEncoder"]


class TokenEncoder(nn.Module):
    """Self-attention over all tokens."""

    def __init__(self, channels: int, heads: int, feedforward: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.ModuleList(AttentionBlock(channels, heads, dropout) for _ in range(layers))
        self.feedforward = nn.ModuleList(FeedForwardBlock(channels, feedforward, dropout) for _ in range(layers))

    def forward(self, tokens_BSC: Tensor, positions_SC: Tensor, valid_BS: Tensor) -> Tensor:
        """The tokens after all layers, same shape.

        Args:
            positions_SC: added to queries and keys.
            valid_BS: bool, False for tokens that nobody may look at.
        """
        state, visible = tokens_BSC, valid_BS[:, None]
        for attention, feedforward in zip(self.attention, self.feedforward, strict=True):
            placed = state + positions_SC
            state = attention(state, query_NQC=placed, key_NSC=placed, value_NSC=state, visible_NQS=visible)
            state = feedforward(state)
        return state


class SlotDecoder(nn.Module):
    """Learned slots that ask all tokens what is in the frame."""

    def __init__(
        self, channels: int, heads: int, feedforward: int, layers: int, dropout: float, *, queries: int
    ) -> None:
        super().__init__()
        self.query_position = nn.Embedding(queries, channels)
        self.own = nn.ModuleList(AttentionBlock(channels, heads, dropout) for _ in range(layers))
        self.cross = nn.ModuleList(AttentionBlock(channels, heads, dropout) for _ in range(layers))
        self.feedforward = nn.ModuleList(FeedForwardBlock(channels, feedforward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)

    def forward(self, memory_BSC: Tensor, positions_SC: Tensor, valid_BS: Tensor) -> Tensor:
        """The instance codes after every layer, normed, (L, B, Q, C).

        Args:
            memory_BSC: the encoder's tokens.
            positions_SC: added to the keys.
            valid_BS: bool, False for tokens that nobody may look at.
        """
        place, keys, visible = self.query_position.weight, memory_BSC + positions_SC, valid_BS[:, None]
        state = memory_BSC.new_zeros(len(memory_BSC), *place.shape)
        codes = []
        for own, cross, feedforward in zip(self.own, self.cross, self.feedforward, strict=True):
            placed = state + place
            state = own(state, query_NQC=placed, key_NSC=placed, value_NSC=state)
            state = cross(state, query_NQC=state + place, key_NSC=keys, value_NSC=memory_BSC, visible_NQS=visible)
            state = feedforward(state)
            codes.append(self.norm(state))
        return torch.stack(codes)
