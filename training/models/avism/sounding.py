"""What is heard within a second, where in the picture, and when a track sounds: ours, beside the published model.

To the published model a second is one vector; here it can be several, to each of which queries attend. Its masks of a
track are one vector times maps that the sound never enters, so what falls silent stays visible; here every track is
asked in every frame whether it sounds, by what the frame's queries saw and heard. And what is heard says to each place
of the maps whether it sounds there, before any query looks.

Shapes: N clips, T frames, P video queries, Q frame queries, C channels, A audio channels, R matched pairs,
    M audio tokens of a frame, E frames of several clips, S cells of a map, D channels of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from avis_data.features.logmel import NUM_BANDS
from avis_data.training.data.audio_summary import PANORAMA_PLACES
from avis_data.training.models.attention import AttentionBlock, Mlp
from avis_data.training.models.losses import Ratio
from avis_data.training.models.points import at_least_float32

__all__ = [
    "CountingHead",
    "Listening",
    "SoundingHead",
    "SoundingMap",
    "counting_loss",
    "map_loss",
    "masks_while_sounding",
    "sounding_loss",
]

_PANORAMA_PART = 6 * NUM_BANDS
"""Values of a part of a second, of which the last are its panorama."""
_NO_MASK = -20.0
"""A mask logit that costs nothing where there is no mask."""


class Listening(nn.Module):
    """Each query attends to the audio tokens of its frame, which know their order."""

    def __init__(self, channels: int, heads: int, audio_channels: int, tokens: int) -> None:
        """Raises ValueError if the audio vector cannot be split into so many tokens."""
        super().__init__()
        if audio_channels % tokens:
            raise ValueError(f"{audio_channels} audio channels cannot be split into {tokens} tokens")
        self.tokens = tokens
        self.audio_proj = nn.Linear(audio_channels // tokens, channels)
        self.place = nn.Embedding(tokens, channels)
        self.attention = AttentionBlock(channels, heads)

    def forward(self, audio_NA: Tensor, asking_QC: Tensor) -> Tensor:
        """What each query hears, (N, Q, C): the mean of the tokens, and those that it asked for.

        Args:
            audio_NA: the tokens of each frame, one after the other.
            asking_QC: what the queries ask with; the same for all frames.
        """
        tokens_NMC = self.audio_proj(torch.unflatten(audio_NA, -1, (self.tokens, -1)))
        mean_NQC = tokens_NMC.mean(1, keepdim=True).expand(-1, len(asking_QC), -1)
        key_NMC = tokens_NMC + self.place.weight
        heard: Tensor = self.attention(mean_NQC, query_NQC=mean_NQC + asking_QC, key_NSC=key_NMC, value_NSC=tokens_NMC)
        return heard


class Panorama(nn.Module):
    """What is heard from each direction, brought to the columns of a map: which direction lies where is learnt."""

    def __init__(self, channels: int, audio_channels: int) -> None:
        """Raises ValueError if the audio vector has not the parts of `data.audio=panorama`."""
        super().__init__()
        if audio_channels % _PANORAMA_PART:
            raise ValueError(
                f"model.panorama needs data.audio=panorama and model.audio_channels=1536 (found {audio_channels})"
            )
        self.parts = audio_channels // _PANORAMA_PART
        self.columns = nn.Linear(PANORAMA_PLACES, PANORAMA_PLACES, bias=False)
        nn.init.eye_(self.columns.weight)
        self.near = nn.Conv1d(2 * self.parts, channels, 5, padding=2)
        self.far = nn.Conv1d(channels, channels, 5, padding=2)

    def forward(self, audio_NA: Tensor, width: int, shown: float) -> Tensor:
        """What each of so many columns is told, (N, width, C).

        Args:
            shown: the share of them, from the left, that the picture has; the others are padding.
        """
        parts_NPX = torch.unflatten(audio_NA, 1, (self.parts, -1))[..., -2 * PANORAMA_PLACES :]
        heard_N2K = torch.unflatten(parts_NPX, -1, (2, PANORAMA_PLACES)).flatten(1, 2)
        told_NCK: Tensor = self.far(functional.relu(self.near(self.columns(heard_N2K))))
        return (told_NCK @ _between(PANORAMA_PLACES, width, shown, told_NCK)).transpose(1, 2)


def _between(places: int, width: int, shown: float, like: Tensor) -> Tensor:
    """How much each of so many columns has of each place, (places, width): of the nearest two, as near as they are."""
    column_w = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / (width * shown)
    place_w = (column_w * places - 0.5).clamp(0, places - 1)
    place_K = torch.arange(places, device=like.device, dtype=like.dtype)
    return (1 - (place_w[None] - place_K[:, None]).abs()).clamp(min=0)


class SoundingMap(nn.Module):
    """Whether it sounds at each place of a map: what is heard is compared with what is seen there, and where it lies.

    Each head compares in its own way, by appearance or by direction; what they find together is written into the map,
    so that a thing that sounds looks different from one of the same kind that does not.
    """

    def __init__(self, channels: int, heads: int, audio_channels: int, panorama: bool = False) -> None:
        """`panorama`: whether the map is told of directions; what is heard is that of `data.audio=panorama` then."""
        super().__init__()
        self.heads = heads
        self.panorama = Panorama(channels, audio_channels) if panorama else None
        self.asking = Mlp(audio_channels, channels, channels, 2)
        self.places = nn.Linear(channels, channels)
        self.agreed = nn.Linear(heads, channels)
        self.written = nn.Linear(channels, channels)
        self.answer = nn.Linear(channels, 1)

    def forward(
        self, audio_NA: Tensor, keys_NSC: Tensor, size_hw: tuple[int, int], shown: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """What is added to the map, (N, S, C), and logits (N, S): above 0 where it sounds.

        Args:
            keys_NSC: the map with positions, row by row.
            shown: the share of its width, from the left, that the picture has.
        """
        if self.panorama is not None:
            columns_N1wC = self.panorama(audio_NA, size_hw[1], shown)[:, None]
            keys_NSC = (torch.unflatten(keys_NSC, 1, size_hw) + columns_N1wC).flatten(1, 2)
        asking_NHD = torch.unflatten(self.asking(audio_NA), -1, (self.heads, -1))
        places_NSHD = torch.unflatten(self.places(keys_NSC), -1, (self.heads, -1))
        agreement_NSH = torch.einsum("nhd,nshd->nsh", asking_NHD, places_NSHD) / math.sqrt(asking_NHD.shape[-1])
        agreed_NSC = functional.relu(self.agreed(agreement_NSH))
        logits: Tensor = self.answer(agreed_NSC)[..., 0]
        return self.written(agreed_NSC), logits


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


class CountingHead(nn.Module):
    """How many things sound in each frame: what the frame queries have to know, so that they listen."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.asking = nn.Embedding(1, channels)
        self.look = AttentionBlock(channels, heads)
        self.answer = nn.Linear(channels, 3)

    def forward(self, tokens_NTQC: Tensor) -> Tensor:
        """Logits of nothing, one thing and several things, (N, T, 3).

        Args:
            tokens_NTQC: the frame queries after the tracker's encoder and fusion.
        """
        tokens = tokens_NTQC.flatten(0, 1)
        asking = self.asking.weight.expand(len(tokens), -1, -1)
        logits: Tensor = self.answer(self.look(asking, query_NQC=asking, key_NSC=tokens, value_NSC=tokens)[:, 0])
        return torch.unflatten(logits, 0, tokens_NTQC.shape[:2])


def counting_loss(logits_E3: Tensor, num_sounding_E: Tensor) -> Ratio:
    """Cross-entropy of the counting head over E frames, of which each has so many tracks with a mask."""
    wanted_E = num_sounding_E.clamp(max=2)
    entropy = functional.cross_entropy(at_least_float32(logits_E3), wanted_E, reduction="sum")
    return Ratio(numerator=entropy, denominator=torch.full((), float(len(wanted_E)), device=logits_E3.device))


def map_loss(logits_Nhw: Tensor, sounding_NHW: Tensor) -> Ratio:
    """Binary cross-entropy of a map, over its cells, against the share of each cell that sounds.

    Args:
        sounding_NHW: 1 at the pixels of all that sounds, at the padded input size.
    """
    share_Nhw = functional.adaptive_avg_pool2d(sounding_NHW[:, None], (logits_Nhw.shape[1], logits_Nhw.shape[2]))[:, 0]
    entropy = functional.binary_cross_entropy_with_logits(at_least_float32(logits_Nhw), share_Nhw, reduction="sum")
    return Ratio(numerator=entropy, denominator=torch.full((), float(logits_Nhw.numel()), device=logits_Nhw.device))


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
