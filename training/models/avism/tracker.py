"""AVISM's video-level tracker: object encoder, video-level audio-visual fusion, object decoder, heads.

Shapes: L layers of frame queries, B clips, N = L * B entries (layer-major), T frames, Q frame queries, P video queries,
    C channels, A audio channels, K classes, h, w cells at stride 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.attention import AttentionBlock, FeedForwardBlock, Mlp
from avis_data.training.models.avism.sounding import CountingHead, Listening, SoundingHead
from avis_data.training.models.avism.windows import WindowLayout, padded_frames, window_layout
from avis_data.training.models.points import at_least_float32
from avis_data.training.models.spec import GateBy

__all__ = [
    "ObjectDecoder",
    "ObjectEncoder",
    "Tracker",
    "TrackerOutput",
    "VideoFusion",
    "VideoHead",
    "token_mask",
    "video_masks",
]

_WINDOWS_AT_ONCE = 16
"""Windows that run together without gradients: their feed-forward states are the peak of a long clip's memory."""


@dataclass(frozen=True, kw_only=True)
class VideoHead:
    """The heads after one layer of the object decoder."""

    logits_LBPK: Tensor
    """Class logits; the last class is "no object", so there are K + 1."""
    mask_embed_LBPC: Tensor
    """What the per-pixel embedding M' is multiplied with."""
    similarity_LBPC: Tensor
    """Similarity embedding of the video queries."""
    sounding_LBPT: Tensor | None = None
    """Logits of the sounding head, above 0 where a track sounds; None where the tracker has none."""
    there_LBPT: Tensor | None = None
    """Logits of a track's being among the frame queries, by the similarity head; None in training."""

    def sound_of(self, query: int, label: int, heard_TK: Tensor, gate_by: GateBy) -> Tensor:
        """How probable it is that a track of the only clip sounds in each frame, (T,), on the CPU.

        A model without a sounding head goes by class in its place. `heard_TK`: the chance of each class in each frame.
        """
        by_class_T = heard_TK[:, label]
        by_track_LBPT = self.there_LBPT if gate_by == "similarity" else self.sounding_LBPT
        if by_track_LBPT is None or gate_by == "class":
            return by_class_T
        by_track_T = at_least_float32(by_track_LBPT[0, 0, query]).sigmoid().cpu()
        return torch.minimum(by_track_T, by_class_T) if gate_by == "head-and-class" else by_track_T


@dataclass(frozen=True, kw_only=True)
class TrackerOutput:
    """What the tracker gives for B clips."""

    heads: tuple[VideoHead, ...]
    """One per decoder layer in training, else the last alone."""
    similarity_LBTQC: Tensor
    """Similarity embedding of the tokens (frame queries of all frames)."""
    counts_LBT3: Tensor | None = None
    """Logits of nothing, one thing, several things that sound; None where there is no counting head, or at test."""


class ObjectEncoder(nn.Module):
    """Self-attention of the frame queries of a window of frames; no position of any kind.

    Odd layers use shifted windows at test, and plain ones in training, as published.

    Source: VITA (2022), object encoder; AVISM (CVPR 2025), section on the video-level tracker.
    """

    def __init__(self, channels: int, heads: int, feedforward: int, layers: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attention = nn.ModuleList(AttentionBlock(channels, heads) for _ in range(layers))
        self.feedforward = nn.ModuleList(FeedForwardBlock(channels, feedforward) for _ in range(layers))

    def forward(self, tokens_NTQC: Tensor, num_frames: int) -> Tensor:
        """The tokens after all layers, same shape; T is whole windows, or less than one, `num_frames` of it real."""
        for index in range(len(self.attention)):
            tokens_NTQC = self.layer(index, tokens_NTQC, num_frames)
        return tokens_NTQC

    def layer(self, index: int, tokens_NTQC: Tensor, num_frames: int) -> Tensor:
        """The tokens after one layer."""
        layout = _layout(tokens_NTQC, num_frames, self.window, shifted=self.shifted(index))
        out: Tensor | None = None
        for frames_VW, visible_VWW in layout.runs(_at_once(layout)):
            tokens = _windows(tokens_NTQC, frames_VW)
            visible = token_mask(visible_VWW, len(tokens_NTQC), rows=tokens_NTQC.shape[2], columns=tokens_NTQC.shape[2])
            out = _put(out, self.window_layer(index, tokens, visible), frames_VW, tokens_NTQC)
        return tokens_NTQC if out is None else out

    def shifted(self, index: int) -> bool:
        """Whether the windows of a layer lie half a window further."""
        return index % 2 == 1 and not self.training

    def window_layer(self, index: int, tokens_VXC: Tensor, visible_VXX: Tensor | None) -> Tensor:
        """The tokens of some windows after one layer, same shape; X tokens of a window."""
        tokens: Tensor = self.attention[index](
            tokens_VXC, query_NQC=tokens_VXC, key_NSC=tokens_VXC, value_NSC=tokens_VXC, visible_NQS=visible_VXX
        )
        out: Tensor = self.feedforward[index](tokens)
        return out


class VideoFusion(nn.Module):
    """VL-AVFM: the audio of a frame asks the tokens of its window.

    The audio of a frame is the same query for all of its tokens, the keys are too, and there is no position, so all
    queries of a frame give one result: it is computed once per frame and added to every token.

    Source: AVISM (CVPR 2025), "video-level audio-visual fusion", in the form of its code.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        feedforward: int,
        layers: int,
        window: int,
        audio_channels: int,
        audio_tokens: int = 1,
    ) -> None:
        super().__init__()
        self.window = window
        self.listening = None
        if audio_tokens == 1:
            self.audio_proj = nn.Linear(audio_channels, channels)
        else:
            self.listening = Listening(channels, heads, audio_channels, audio_tokens)
            self.asking = nn.Embedding(1, channels)
        self.attention = nn.ModuleList(AttentionBlock(channels, heads) for _ in range(layers))
        self.feedforward = nn.ModuleList(FeedForwardBlock(channels, feedforward) for _ in range(layers))

    def forward(self, audio_NTA: Tensor, tokens_NTQC: Tensor, num_frames: int) -> Tensor:
        """u, what is added to every token of a frame, shape (N, T, C).

        Args:
            audio_NTA: one vector per real frame.
            tokens_NTQC: the encoder's output, T padded to whole windows.
        """
        stream = self.start(audio_NTA, tokens_NTQC.shape[1])
        for index in range(len(self.attention)):
            stream = self.layer(index, stream, tokens_NTQC, num_frames)
        return stream

    def start(self, audio_NTA: Tensor, total_frames: int) -> Tensor:
        """The projected audio, padded frames zero, shape (N, T, C)."""
        projected: Tensor
        if self.listening is None:
            projected = self.audio_proj(audio_NTA)
        else:
            heard = self.listening(audio_NTA.flatten(0, 1), self.asking.weight)[:, 0]
            projected = torch.unflatten(heard, 0, audio_NTA.shape[:2])
        return functional.pad(projected, (0, 0, 0, total_frames - projected.shape[1]))

    def layer(self, index: int, stream_NTC: Tensor, tokens_NTQC: Tensor, num_frames: int) -> Tensor:
        """The audio stream after one layer; odd layers are shifted in training too."""
        layout = _layout(tokens_NTQC, num_frames, self.window, shifted=index % 2 == 1)
        stream_NT1C = stream_NTC[:, :, None]
        out: Tensor | None = None
        for frames_VW, visible_VWW in layout.runs(_at_once(layout)):
            audio, tokens = _windows(stream_NT1C, frames_VW), _windows(tokens_NTQC, frames_VW)
            visible = token_mask(visible_VWW, len(tokens_NTQC), rows=1, columns=tokens_NTQC.shape[2])
            out = _put(out, self.window_layer(index, audio, tokens, visible), frames_VW, stream_NT1C)
        return stream_NTC if out is None else out[:, :, 0]

    def window_layer(self, index: int, audio_VWC: Tensor, tokens_VXC: Tensor, visible_VWX: Tensor | None) -> Tensor:
        """The audio stream of some windows after one layer, same shape; X tokens of a window."""
        audio: Tensor = self.attention[index](
            audio_VWC, query_NQC=audio_VWC, key_NSC=tokens_VXC, value_NSC=tokens_VXC, visible_NQS=visible_VWX
        )
        out: Tensor = self.feedforward[index](audio)
        return out


class ObjectDecoder(nn.Module):
    """Learned video queries read the tokens of all frames; keys know which frame query they are, and no time."""

    def __init__(
        self, channels: int, heads: int, feedforward: int, layers: int, *, queries: int, frame_queries: int
    ) -> None:
        super().__init__()
        self.query_features = nn.Embedding(queries, channels)
        self.query_position = nn.Embedding(queries, channels)
        self.key_position = nn.Embedding(frame_queries, channels)
        self.cross = nn.ModuleList(AttentionBlock(channels, heads) for _ in range(layers))
        self.self_attention = nn.ModuleList(AttentionBlock(channels, heads) for _ in range(layers))
        self.feedforward = nn.ModuleList(FeedForwardBlock(channels, feedforward) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)

    def forward(self, tokens_NTQC: Tensor) -> list[Tensor]:
        """The layer-normed state after every layer, each (N, P, C)."""
        key = (tokens_NTQC + self.key_position.weight).flatten(1, 2)
        value = tokens_NTQC.flatten(1, 2)

        def read_all(block: AttentionBlock, state_NPC: Tensor, query_NPC: Tensor) -> Tensor:
            state: Tensor = block(state_NPC, query_NQC=query_NPC, key_NSC=key, value_NSC=value)
            return state

        return self.states(read_all, entries=len(tokens_NTQC))

    def states(self, read_all: Callable[[AttentionBlock, Tensor, Tensor], Tensor], *, entries: int) -> list[Tensor]:
        """The layer-normed state after every layer, each (N, P, C).

        Args:
            read_all: from a layer's cross-attention, the state and the queries: the state after it has read all tokens.
            entries: N.
        """
        position = self.query_position.weight
        state = self.query_features.weight.expand(entries, -1, -1)
        states = []
        for cross, self_attention, feedforward in zip(self.cross, self.self_attention, self.feedforward, strict=True):
            assert isinstance(cross, AttentionBlock)
            state = read_all(cross, state, state + position)
            placed = state + position
            state = self_attention(state, query_NQC=placed, key_NSC=placed, value_NSC=state)
            state = feedforward(state)
            states.append(self.norm(state))
        return states


class Tracker(nn.Module):
    """Frame queries and audio of whole clips in; classes, mask embeddings and similarities of the video queries out."""

    def __init__(
        self,
        *,
        channels: int,
        num_classes: int,
        queries: int,
        frame_queries: int,
        heads: int,
        feedforward: int,
        encoder_layers: int,
        decoder_layers: int,
        window: int,
        audio_channels: int | None,
        audio_tokens: int = 1,
        sounding_head: bool = False,
        counting_head: bool = False,
    ) -> None:
        """`audio_channels` None leaves out the audio-visual fusion: then this is VITA's tracker."""
        super().__init__()
        self.window = window
        self.counting = CountingHead(channels, heads) if counting_head else None
        self.sounding = SoundingHead(channels, heads, audio_channels) if sounding_head else None
        self.input_proj = nn.Linear(channels, channels)
        self.encoder = ObjectEncoder(channels, heads, feedforward, encoder_layers, window)
        self.fusion = (
            None
            if audio_channels is None
            else VideoFusion(channels, heads, feedforward, encoder_layers, window, audio_channels, audio_tokens)
        )
        self.decoder = ObjectDecoder(
            channels, heads, feedforward, decoder_layers, queries=queries, frame_queries=frame_queries
        )
        self.class_head = nn.Linear(channels, num_classes + 1)
        self.mask_head = Mlp(channels, channels, channels, 3)
        self.token_similarity = nn.Linear(channels, channels)
        self.query_similarity = nn.Linear(channels, channels)
        self.mask_projection = nn.Conv2d(channels, channels, 1)
        nn.init.kaiming_uniform_(self.mask_projection.weight, a=1)
        assert self.mask_projection.bias is not None  # it has one
        nn.init.zeros_(self.mask_projection.bias)

    def forward(self, queries_LBTQC: Tensor, audio_BTA: Tensor | None) -> TrackerOutput:
        """Track B clips of T frames each.

        Args:
            queries_LBTQC: layer-normed frame queries of L layers (3 in training, 1 at test).
            audio_BTA: one vector per frame; needed if and only if the tracker has its fusion.
        """
        layers, clips, num_frames = queries_LBTQC.shape[:3]
        tokens = self.encoder_input(queries_LBTQC)
        if num_frames < self.window:
            tokens = tokens[:, :num_frames]  # no real frame would see the others
        tokens = self.encoder(tokens, num_frames)
        if self.fusion is not None:
            if audio_BTA is None:
                raise ValueError("this tracker has the audio-visual fusion and needs audio")
            audio = audio_BTA.repeat(layers, 1, 1)
            tokens = tokens + self.fusion(audio, tokens, num_frames)[:, :, None]
        tokens = tokens[:, :num_frames]
        states = self.decoder(tokens)
        heard = None if audio_BTA is None or self.fusion is None else audio_BTA.repeat(layers, 1, 1)
        heads = [
            replace(
                self.video_head(state, layers, clips),
                sounding_LBPT=None
                if self.sounding is None
                else torch.unflatten(self.sounding(state, tokens, heard), 0, (layers, clips)),
            )
            for state in (states if self.training else states[-1:])
        ]
        similarity = self.token_similarity(tokens).unflatten(0, (layers, clips))
        if not self.training:
            there = self.there(heads[-1].similarity_LBPC.flatten(0, 1), tokens)
            heads[-1] = replace(heads[-1], there_LBPT=torch.unflatten(there, 0, (layers, clips)))
        counts = self.counting(tokens) if self.counting is not None and self.training else None
        return TrackerOutput(
            heads=tuple(heads),
            similarity_LBTQC=similarity,
            counts_LBT3=None if counts is None else torch.unflatten(counts, 0, (layers, clips)),
        )

    def there(self, similarity_NPC: Tensor, tokens_NTQC: Tensor) -> Tensor:
        """Logits of each track's being among the queries of each frame, (N, P, T): the largest of their similarities.

        Args:
            similarity_NPC: of the video queries.
            tokens_NTQC: the frame queries after encoder and fusion.
        """
        tokens = at_least_float32(self.token_similarity(tokens_NTQC))
        return torch.einsum("npc,ntqc->nptq", at_least_float32(similarity_NPC), tokens).amax(-1)

    def encoder_input(self, queries_LBTQC: Tensor) -> Tensor:
        """Projected tokens of N = L * B entries, T padded with zeros to whole windows."""
        tokens: Tensor = self.input_proj(queries_LBTQC).flatten(0, 1)
        missing = padded_frames(tokens.shape[1], self.window) - tokens.shape[1]
        return functional.pad(tokens, (0, 0, 0, 0, 0, missing))

    def pixel_embedding(self, fpn_NChw: Tensor) -> Tensor:
        """M', the video-level per-pixel embedding, from the pixel decoder's stride-4 map; same shape."""
        out: Tensor = self.mask_projection(fpn_NChw)
        return out

    def video_head(self, normed_NPC: Tensor, layers: int, clips: int) -> VideoHead:
        """The heads of a layer-normed state of N = L * B entries."""
        logits, embed, similarity = (
            head(normed_NPC).unflatten(0, (layers, clips))
            for head in (self.class_head, self.mask_head, self.query_similarity)
        )
        return VideoHead(logits_LBPK=logits, mask_embed_LBPC=embed, similarity_LBPC=similarity)


def video_masks(mask_embed_LBPC: Tensor, pixels_BTChw: Tensor) -> Tensor:
    """Mask logits of the video queries at stride 4, shape (L, B, P, T, h, w). The queries lie last."""
    pixels_BTSC, embed_LB1CP = pixels_BTChw.flatten(3).transpose(2, 3), mask_embed_LBPC.transpose(2, 3)[:, :, None]
    masks_LBTSP = torch.stack([pixels_BTSC @ embed_B1CP for embed_B1CP in embed_LB1CP])
    return torch.unflatten(masks_LBTSP.permute(0, 1, 4, 2, 3), 4, pixels_BTChw.shape[3:])


def _layout(tokens_NTQC: Tensor, num_frames: int, window: int, *, shifted: bool) -> WindowLayout:
    padded = tokens_NTQC.shape[1] > num_frames
    return window_layout(num_frames, window, shifted=shifted, padded=padded, device=tokens_NTQC.device)


def _at_once(layout: WindowLayout) -> int:
    return len(layout.free_V) if torch.is_grad_enabled() else _WINDOWS_AT_ONCE


def _windows(x_NTQC: Tensor, frames_VW: Tensor) -> Tensor:
    """The tokens of each window as one sequence, (N * V, W * Q, C)."""
    return x_NTQC[:, frames_VW].flatten(2, 3).flatten(0, 1)


def _put(out: Tensor | None, windows: Tensor, frames_VW: Tensor, like_NTQC: Tensor) -> Tensor:
    """Write windows back to their frames; the first ones make the tensor, with their own type (autocast)."""
    entries, _, tokens, channels = like_NTQC.shape
    out = torch.empty_like(like_NTQC, dtype=windows.dtype) if out is None else out
    out[:, frames_VW.flatten()] = windows.reshape(entries, -1, tokens, channels)
    return out


def token_mask(visible_VWW: Tensor | None, entries: int, *, rows: int, columns: int) -> Tensor | None:
    """A mask between frames as one between their tokens, (N * V, W * rows, W * columns)."""
    if visible_VWW is None:
        return None
    visible = visible_VWW.repeat_interleave(rows, dim=1).repeat_interleave(columns, dim=2)
    return visible.repeat(entries, 1, 1)
