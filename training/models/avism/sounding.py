"""When a track sounds: ours, beside the published model, whose tracks can only be there or not in the whole clip.

In the published model the masks of a track are one vector times maps that the sound never enters: what falls silent
stays visible. Here every track is asked in every frame whether it sounds, by what the frame's queries saw and heard.

Shapes: N clips, T frames, P video queries, Q frame queries, C channels, A audio channels, R matched pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.training.models.attention import AttentionBlock, Mlp
from avis_data.training.models.losses import Ratio
from avis_data.training.models.points import at_least_float32

__all__ = ["SoundingHead", "masks_while_sounding", "sounding_loss"]

_NO_MASK = -20.0
"""A mask logit that costs nothing where there is no mask."""


class SoundingHead(nn.Module):
    """Whether each track sounds in each frame: the track reads the queries of that frame, and its sound."""

    def __init__(self, channels: int, heads: int, audio_channels: int | None) -> None:
        """`audio_channels` None: it has only what the frame queries heard."""
        super().__init__()
        self.look = AttentionBlock(channels, heads)
        self.audio_proj = None if audio_channels is None else nn.Linear(audio_channels, channels)
        self.answer = Mlp(channels if audio_channels is None else 2 * channels, channels, 1, 3)

    def forward(self, states_NPC: Tensor, tokens_NTQC: Tensor, audio_NTA: Tensor | None) -> Tensor:
        """Logits (N, P, T): above 0 where the track sounds.

        Args:
            states_NPC: the video queries.
            tokens_NTQC: the frame queries after the tracker's encoder and fusion.
            audio_NTA: the sound of each frame; needed if and only if the head hears it.
        """
        clips, frames = tokens_NTQC.shape[:2]
        asking = states_NPC[:, None].expand(-1, frames, -1, -1).flatten(0, 1)
        tokens = tokens_NTQC.flatten(0, 1)
        seen = self.look(asking, query_NQC=asking, key_NSC=tokens, value_NSC=tokens)
        if self.audio_proj is not None:
            if audio_NTA is None:
                raise ValueError("this sounding head hears, and needs audio")
            heard = functional.relu(self.audio_proj(audio_NTA)).flatten(0, 1)[:, None].expand_as(seen)
            seen = torch.cat((seen, heard), dim=-1)
        logits: Tensor = self.answer(seen)[..., 0]
        return torch.unflatten(logits, 0, (clips, frames)).transpose(1, 2)


def sounding_loss(logits_RT: Tensor, sounds_RT: Tensor) -> Ratio:
    """Binary cross-entropy of matched tracks, over their frames.

    Args:
        logits_RT: of R matched pairs.
        sounds_RT: 1 where the target has a mask.
    """
    entropy_RT = functional.binary_cross_entropy_with_logits(
        at_least_float32(logits_RT), sounds_RT.to(torch.float32), reduction="none"
    )
    count = torch.full((), float(entropy_RT.numel()), device=logits_RT.device)
    return Ratio(numerator=entropy_RT.sum(), denominator=count)


def masks_while_sounding(logits_RThw: Tensor, sounds_RT: Tensor) -> Tensor:
    """Mask logits that cost nothing in frames in which the track is silent: what it looks like there is not known."""
    return logits_RThw.masked_fill(~sounds_RT[:, :, None, None], _NO_MASK)
