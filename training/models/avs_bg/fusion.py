"""Sound into pictures: the correlation gate of AVS-BG, and TPAVI of AVSBench in the forms of both code bases.

Shapes: N frames of all clips, C channels, A audio channels, D = C / 2, G groups of frames that are mixed, h, w cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avis_data.training.models.avs_bg.config import AvsBgConfig
from avis_data.training.models.avs_bg.frames import ClipFrames
from avis_data.training.models.host import sent
from avis_data.training.models.shared import SharedBatchNorm

__all__ = ["AudioVisualGate", "NoFusion", "Tpavi", "build_fusion", "unit_length"]

_GATE_CHANNELS = 32


def unit_length(x_NC: Tensor) -> Tensor:
    """Vectors along axis 1 scaled to length 1; shorter ones than about 1e-3 stay short."""
    return x_NC / (x_NC.square().sum(1, keepdim=True) + 1e-6).sqrt()


class AudioVisualGate(nn.Module):
    """Picture and sound, both of unit length, multiplied channel by channel; a gate for each cell is made of it.

    Source: AVS-BG (Hao et al. 2023), equation 1 as its code does it; specs/avs_bg.md, section 5.1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, _GATE_CHANNELS, 1, bias=False)
        self.conv2 = nn.Conv2d(_GATE_CHANNELS, _GATE_CHANNELS, 7, padding=3, bias=False)
        self.conv3 = nn.Conv2d(_GATE_CHANNELS, 1, 1, bias=False)

    def forward(self, x_NChw: Tensor, audio_NC: Tensor, clips: ClipFrames) -> tuple[Tensor, Tensor]:
        """The gated picture, every cell between 1 and 2 long, and the sound of unit length; frames are not mixed."""
        picture, sound = unit_length(x_NChw), unit_length(audio_NC)
        logits_N1hw = self.conv3(self.conv2(self.conv1(picture * sound[:, :, None, None])))
        return picture * (1 + logits_N1hw.sigmoid()), sound


class Tpavi(nn.Module):
    """Every cell of a clip looks at the sound of all its frames and takes up what was seen there.

    The published form compares P cells with P cells. As the sound is the same in all cells of a frame and nothing is
    normalised, sums over cells can be taken first: a C/2 x C/2 matrix per clip holds all that a cell can take up.

    Source: AVSBench (Zhou et al. 2022), TPAVI; specs/avs_bg.md, section 5.2.
    """

    def __init__(
        self, channels: int, audio_channels: int | None, *, audio_bias: bool, frames: int | None, pairwise: bool
    ) -> None:
        """Build it.

        Args:
            audio_channels: width of the sound; None: that of the picture, and both are scaled to unit length first.
            frames: that are mixed at most; None: all of a clip.
            pairwise: compare all cells with all cells.
        """
        super().__init__()
        inner = channels // 2
        self._frames, self._pairwise = frames, pairwise
        self.align = None if audio_channels is None else nn.Linear(audio_channels, channels, bias=audio_bias)
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Linear(channels, inner)
        self.g = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        self.out_norm = SharedBatchNorm(channels)
        self.norm = nn.LayerNorm(channels)
        nn.init.zeros_(self.out_norm.weight)

    def forward(self, x_NChw: Tensor, audio_NA: Tensor, clips: ClipFrames) -> tuple[Tensor, Tensor]:
        """The picture with what was taken up, normalised over channels, and the sound in its width."""
        if self.align is None:
            picture, sound = unit_length(x_NChw), unit_length(audio_NA)
        else:
            picture, sound = x_NChw, self.align(audio_NA)
        update = self.out_norm(self.out(self.mixed(picture, sound, clips)))
        return self.norm((picture + update).movedim(1, -1)).movedim(-1, 1), sound

    def mixed(self, x_NChw: Tensor, sound_NC: Tensor, clips: ClipFrames) -> Tensor:
        """What each cell takes up, (N, D, h, w)."""
        groups = clips.groups(self._frames)
        theta, phi, g = self.theta(x_NChw), self.phi(sound_NC), self.g(x_NChw)
        return _pairwise(theta, phi, g, groups) if self._pairwise else _linear(theta, phi, g, groups)


class NoFusion(nn.Module):
    """The picture alone."""

    def forward(self, x_NChw: Tensor, audio: Tensor | None, clips: ClipFrames) -> tuple[Tensor, Tensor | None]:
        """Both as they are."""
        return x_NChw, audio


def build_fusion(config: AvsBgConfig) -> nn.Module:
    """The fusion of one stage. Raises ValueError if it cannot take the audio at this width."""
    if config.fusion == "none":
        return NoFusion()
    if config.fusion != "tpavi" and config.channels != config.audio_channels:
        raise ValueError(
            f"fusion {config.fusion} multiplies {config.channels} channels with {config.audio_channels} of the audio"
        )
    if config.fusion == "av_corr":
        return AudioVisualGate(config.channels)
    return Tpavi(
        config.channels,
        config.audio_channels if config.fusion == "tpavi" else None,
        audio_bias=config.audio_bias,
        frames=config.fusion_frames,
        pairwise=config.pairwise,
    )


def _linear(theta_NDhw: Tensor, phi_ND: Tensor, g_NDhw: Tensor, groups: ClipFrames) -> Tensor:
    """The mean over a group's frames of (theta . phi) times the mean of g over the frame's cells."""
    group_N = sent(groups.numbers(), phi_ND.device)
    frames_G = sent(torch.tensor(groups.lengths, dtype=phi_ND.dtype), phi_ND.device)
    outer_NDD = phi_ND[:, :, None] * g_NDhw.mean((2, 3))[:, None, :]
    matrix_GDD = outer_NDD.new_zeros(len(frames_G), *outer_NDD.shape[1:]).index_add(0, group_N, outer_NDD)
    matrix_GDD = matrix_GDD / frames_G[:, None, None]
    return torch.einsum("ndhw,nde->nehw", theta_NDhw, matrix_GDD[group_N])


def _pairwise(theta_NDhw: Tensor, phi_ND: Tensor, g_NDhw: Tensor, groups: ClipFrames) -> Tensor:
    """The same by the product of all cells with all cells."""
    pieces = []
    for theta, phi, g in zip(
        *(torch.split(x, list(groups.lengths)) for x in (theta_NDhw, phi_ND, g_NDhw)), strict=True
    ):
        frames, inner, height, width = theta.shape
        theta_PD, g_PD = (x.permute(0, 2, 3, 1).reshape(-1, inner) for x in (theta, g))
        phi_PD = phi.repeat_interleave(height * width, dim=0)
        mixed_PD = (theta_PD @ phi_PD.T / len(theta_PD)) @ g_PD
        pieces.append(mixed_PD.reshape(frames, height, width, inner).permute(0, 3, 1, 2))
    return torch.cat(pieces)
