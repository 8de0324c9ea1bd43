"""AVISM's frame-level localizer: masked decoding of every frame, started from audio-visual queries.

Shapes: N frames, Q frame queries, C channels, A audio channels, K classes, S cells of one scale,
    h, w cells at stride 4, L layers whose states the tracker gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avis_data.training.models.attention import AttentionBlock, FeedForwardBlock, Mlp
from avis_data.training.models.avism.pixel_decoder import resized
from avis_data.training.models.avism.sounding import Listening, SoundingMap
from avis_data.training.models.positions import sine_position

__all__ = ["FrameDecoder", "FrameFusion", "FrameHead", "FrameOutput"]

_SCALES = 3


@dataclass(frozen=True, kw_only=True)
class FrameHead:
    """One output of the shared prediction head."""

    logits_NQK: Tensor
    """Class logits; the last class is "no object", so there are K + 1."""
    embed_NQC: Tensor
    """What the masks are made of, with the per-pixel embedding."""
    masks_NQhw: Tensor
    """Mask logits at stride 4, without gradients: losses look at few of them, and make those anew."""


@dataclass(frozen=True, kw_only=True)
class FrameOutput:
    """What the frame decoder gives for N frames."""

    queries_LNQC: Tensor
    """Layer-normed states of the last L layers: the frame queries that the tracker gets."""
    heads: tuple[FrameHead, ...]
    """Head 0 reads the initial query, head i the state after layer i; empty where the heads were not asked for."""
    sounding_maps: tuple[Tensor, ...]
    """Logits of the sounding map at each scale, (N, h, w); empty where there is none."""


class FrameFusion(nn.Module):
    """FL-AVFM: audio as the residual, the three scales as keys and values, one attention each.

    Source: AVISM (CVPR 2025), "frame-level audio-visual fusion"; as in its code, one vector per query and frame.
    """

    def __init__(self, channels: int, heads: int, audio_channels: int, audio_tokens: int = 1) -> None:
        super().__init__()
        self.listening = None
        if audio_tokens == 1:
            self.audio_proj = nn.Linear(audio_channels, channels)
        else:
            self.listening = Listening(channels, heads, audio_channels, audio_tokens)
        self.scales = nn.ModuleList(AttentionBlock(channels, heads) for _ in range(_SCALES))
        self.out_proj = nn.Linear(_SCALES * channels, channels)

    def forward(
        self, audio_NA: Tensor, position_QC: Tensor, scales: Sequence[Tensor], keys: Sequence[Tensor] | None = None
    ) -> Tensor:
        """A, what is added to the learned query features, shape (N, Q, C)."""
        return self.joined(self.per_scale(audio_NA, position_QC, scales, keys))

    def per_scale(
        self, audio_NA: Tensor, position_QC: Tensor, scales: Sequence[Tensor], keys: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        """x_l = LayerNorm(a + attention(a + E, S_l, S_l)) for each scale l, each (N, Q, C).

        Args:
            scales: S_l, flattened maps with their level embedding and without position, each (N, S, C).
            keys: ours: the same with positions, so that what is heard from one side can look there; None: S_l.
        """
        if self.listening is None:
            heard = self.audio_proj(audio_NA)[:, None]
        else:
            heard = self.listening(audio_NA, position_QC)
        return [
            block(heard, query_NQC=heard + position_QC, key_NSC=key, value_NSC=scale)
            for block, scale, key in zip(self.scales, scales, keys or scales, strict=True)
        ]

    def joined(self, per_scale: Sequence[Tensor]) -> Tensor:
        """The three concatenated and projected back to C channels."""
        out: Tensor = self.out_proj(torch.cat(list(per_scale), dim=-1))
        return out


class MaskedDecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward."""

    def __init__(self, channels: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.cross = AttentionBlock(channels, heads)
        self.self_attention = AttentionBlock(channels, heads)
        self.feedforward = FeedForwardBlock(channels, feedforward)

    def forward(
        self, state_NQC: Tensor, position_QC: Tensor, key_NSC: Tensor, value_NSC: Tensor, visible_NQS: Tensor | None
    ) -> Tensor:
        """The state after this layer, same shape."""
        state_NQC = self.cross(
            state_NQC, query_NQC=state_NQC + position_QC, key_NSC=key_NSC, value_NSC=value_NSC, visible_NQS=visible_NQS
        )
        placed = state_NQC + position_QC
        state_NQC = self.self_attention(state_NQC, query_NQC=placed, key_NSC=placed, value_NSC=state_NQC)
        out: Tensor = self.feedforward(state_NQC)
        return out


class FrameDecoder(nn.Module):
    """Mask2Former's masked decoder started from Q0 + A; every frame is on its own.

    Source: AVISM (CVPR 2025), frame-level localizer; Cheng et al., Mask2Former (2022), section 3.2.
    """

    def __init__(
        self,
        *,
        channels: int,
        num_classes: int,
        queries: int,
        heads: int,
        feedforward: int,
        layers: int,
        audio_channels: int | None,
        audio_tokens: int = 1,
        placed_fusion: bool = False,
        sounding_map: bool = False,
        panorama: bool = False,
    ) -> None:
        """`audio_channels` None leaves out the audio-visual fusion: then this is Mask2Former's decoder.

        Args:
            audio_tokens: of which the audio vector of a frame consists.
            placed_fusion: whether the fusion knows where its keys lie.
            sounding_map: whether the maps are told where it sounds; it needs audio.
            panorama: see `SoundingMap`.
        """
        super().__init__()
        self.query_features = nn.Embedding(queries, channels)
        self.query_position = nn.Embedding(queries, channels)
        self.level_embed = nn.Embedding(_SCALES, channels)
        self.fusion = None if audio_channels is None else FrameFusion(channels, heads, audio_channels, audio_tokens)
        self.placed_fusion = placed_fusion
        heard = sounding_map and audio_channels is not None
        self.sounding_map = SoundingMap(channels, heads, audio_channels or 0, panorama) if heard else None
        self.layers = nn.ModuleList(MaskedDecoderLayer(channels, heads, feedforward) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        self.class_head = nn.Linear(channels, num_classes + 1)
        self.mask_head = Mlp(channels, channels, channels, 3)

    def forward(
        self,
        scales: Sequence[Tensor],
        masks: Tensor | Sequence[Tensor],
        audio_NA: Tensor | None,
        *,
        keep_layers: int,
        shown: float = 1.0,
    ) -> FrameOutput:
        """Decode N frames.

        Args:
            scales: F32, F16, F8, each (N, C, h, w).
            masks: the per-pixel embedding M, (N, C, h, w): then the predictions of all layers are given. They are
                large, and only training needs them. Or M at the size of each scale: then they are not.
            audio_NA: one vector per frame; needed if and only if the decoder has its fusion.
            keep_layers: L, of how many last layers the frame queries are given.
            shown: the share of the width of all maps, from the left, that the picture has; the rest is padding.
        """
        sources = self.sources(scales)
        sizes = [(scale.shape[2], scale.shape[3]) for scale in scales]
        positions = [sine_position(*size, scales[0].shape[1], device=scales[0].device) for size in sizes]
        sounding: list[Tensor] = []
        if self.sounding_map is not None and audio_NA is not None:
            told = [
                self.sounding_map(audio_NA, part + place, size, shown)
                for part, place, size in zip(sources, positions, sizes, strict=True)
            ]
            sources = [source + added for source, (added, _) in zip(sources, told, strict=True)]
            sounding = [torch.unflatten(logits, 1, size) for (_, logits), size in zip(told, sizes, strict=True)]
        keys = [source + position for source, position in zip(sources, positions, strict=True)]
        state = self.initial_query(sources, audio_NA, keys if self.placed_fusion else None)
        states, heads = [self.norm(state)], []
        for index, layer in enumerate(self.layers):
            scale = index % _SCALES
            if isinstance(masks, Tensor):
                heads.append(self._head(states[-1], masks))
                masks_NQhw = resized(heads[-1].masks_NQhw, sizes[scale])
            else:
                masks_NQhw = _masks(self.mask_head(states[-1]), masks[scale])
            visible = visible_cells(masks_NQhw)
            state = layer(state, self.query_position.weight, keys[scale], sources[scale], visible)
            states.append(self.norm(state))
        if isinstance(masks, Tensor):
            heads.append(self._head(states[-1], masks))
        return FrameOutput(
            queries_LNQC=torch.stack(states[-keep_layers:]), heads=tuple(heads), sounding_maps=tuple(sounding)
        )

    def sources(self, scales: Sequence[Tensor]) -> list[Tensor]:
        """S_l: flattened maps with the decoder's own level embedding, each (N, S, C)."""
        return [
            scale.flatten(2).transpose(1, 2) + embed
            for scale, embed in zip(scales, self.level_embed.weight, strict=True)
        ]

    def initial_query(
        self, sources: Sequence[Tensor], audio_NA: Tensor | None, keys: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Q0 + A, or Q0 alone without the fusion, shape (N, Q, C)."""
        start = self.query_features.weight.expand(len(sources[0]), -1, -1)
        if self.fusion is None:
            return start
        if audio_NA is None:
            raise ValueError("this frame decoder has the audio-visual fusion and needs audio")
        out: Tensor = start + self.fusion(audio_NA, self.query_position.weight, sources, keys)
        return out

    def _head(self, normed_NQC: Tensor, mask_NChw: Tensor) -> FrameHead:
        embed = self.mask_head(normed_NQC)
        with torch.no_grad():
            masks = _masks(embed, mask_NChw)
        return FrameHead(logits_NQK=self.class_head(normed_NQC), embed_NQC=embed, masks_NQhw=masks)


def _masks(embed_NQC: Tensor, mask_NChw: Tensor) -> Tensor:
    """Mask logits, (N, Q, h, w). They lie channels last, as those want them who read all queries at one place."""
    masks_NSQ = mask_NChw.flatten(2).transpose(1, 2) @ embed_NQC.transpose(1, 2)
    return torch.unflatten(masks_NSQ.transpose(1, 2), 2, mask_NChw.shape[2:])


@torch.no_grad()
def visible_cells(masks_NQhw: Tensor) -> Tensor:
    """Where a query may look next, by its last mask at the size of the next map: inside of it; everywhere where it is
    empty. Bool, (N, Q, S)."""
    visible = masks_NQhw.flatten(2) >= 0  # sigmoid of at least one half
    return visible | ~visible.any(dim=2, keepdim=True)
