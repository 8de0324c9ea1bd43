"""Where AVS-BG and TPAVI look: what the sound, and the motion, open in each cell of the four stages.

Source: Hao et al., "Improving Audio-Visual Segmentation with Bidirectional Generation" (2023), whose figure 6 shows
such maps; which of the gates they are taken from is not known, so all are given. Zhou et al., "Audio-Visual
Segmentation" (2022).

Shapes: T frames, D channels, h, w cells of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from avis_data.errors import ConfigError
from avis_data.training.data.clips import ClipSource
from avis_data.training.models.attention_maps import AttentionMap, FrameAttention, Kept, kept_outputs
from avis_data.training.models.avs_bg.fusion import AudioVisualGate, Tpavi
from avis_data.training.models.avs_bg.head import MotionGate
from avis_data.training.models.avs_bg.model import AvsBg
from avis_data.training.models.frames import padded_size

__all__ = ["avs_attention"]


def avs_attention(model: nn.Module, clip: ClipSource) -> Iterator[FrameAttention]:
    """What an AVS-BG in evaluation mode looks at in each frame of a clip, in order; stages from fine to coarse.

    `sound, stride 4`: the gate that picture and sound make together (0 closed, 1 open); with TPAVI how well a cell fits
    the sound of its frame, where it does at all. `motion, stride 4`: the gate of what is alike in the next frame.

    Raises:
        ConfigError: if this one has neither.
        DataError: if a file of the clip is bad.
    """
    assert isinstance(model, AvsBg)
    gates: list[tuple[str, nn.Module]] = []
    for stage, fusion in enumerate(model.head.fusion):
        gates.append((f"sound, stride {4 << stage}", fusion))
    for stage, motion in enumerate(model.head.motion or ()):
        gates.append((f"motion, stride {4 << stage}", motion))
    with ExitStack() as stack:
        seen = [
            (title, module, [stack.enter_context(kept_outputs(part)) for part in _parts(module)])
            for title, module in gates
            if _parts(module)
        ]
        if not seen:
            raise ConfigError("this avs-bg has neither fusion nor motion, so it has no maps", hint="take another model")
        model.predict(clip)
        maps_T = {title: _opened(module, kept) for title, module, kept in seen}
    height, width = clip.frames(0, 1).shape[2:]
    for place in range(clip.num_frames):
        maps = [AttentionMap(title=title, values_Mhw=x[place].cpu().numpy()) for title, x in maps_T.items()]
        yield FrameAttention(maps=tuple(maps), padded_hw=padded_size((height, width)), network_hw=(height, width))


def _parts(module: nn.Module) -> tuple[nn.Module, ...]:
    """The parts whose outputs make the map of a module; none where it has no map."""
    if isinstance(module, AudioVisualGate):
        return (module.conv3,)
    if isinstance(module, MotionGate):
        return (module.scale,)
    return (module.theta, module.phi) if isinstance(module, Tpavi) else ()


@torch.no_grad()
def _opened(module: nn.Module, kept: list[Kept]) -> Tensor:
    """The map of a module, float32 (T, 1, h, w)."""
    outputs = [tensor for one in kept for tensor in one.tensors if tensor is not None]
    if isinstance(module, Tpavi):
        theta_TDhw, phi_TD = outputs
        return torch.einsum("tdhw,td->thw", theta_TDhw, phi_TD)[:, None].clamp(min=0).float()
    return outputs[0].sigmoid().float()
