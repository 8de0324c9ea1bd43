"""A tiny AVS-BG, or baseline of AVSBench, and clips for it."""

from __future__ import annotations

from typing import Any

import torch

from avis_data.training.data.clips import AvsTrainingClip
from avis_data.training.models.avs_bg.config import AvsBgConfig, AvsBgLossConfig
from avis_data.training.models.avs_bg.model import AvsBg
from avis_data.training.models.backbones import ResNetSpec

AUDIO = 128
_LOSS = ("mask", "kl_weight", "kl_unit_length", "generation_weight", "generation_mask")


def tiny_avs(fusion: str, **changes: Any) -> AvsBg:
    """`av_corr` and `none` with the other parts of AVS-BG, `tpavi` with those of AVSBench."""
    torch.manual_seed(0)
    values: dict[str, Any] = {
        "fusion": fusion,
        "backbone": ResNetSpec(depths=(1, 1, 1, 1), stem_channels=8, channels=(16, 16, 32, 32), frozen_norms=False),
    }
    if fusion == "tpavi":
        values |= {
            "channels": 16,
            "neck": "dilated",
            "decoder": "preact_bilinear",
            "motion": False,
            "generation": False,
        }
    loss = {name: changes.pop(name) for name in _LOSS if name in changes}
    return AvsBg(AvsBgConfig(**values | changes), AvsBgLossConfig(**loss))


def avs_clip(
    seed: int, *, frames: int = 5, side: int = 64, num_classes: int = 1, slots: int | None = None
) -> AvsTrainingClip:
    """Noise with a labelled rectangle in every frame; the slots after the frames hold zeros."""
    rng = torch.Generator().manual_seed(seed)
    slots = slots or frames
    pictures = torch.randint(0, 256, (frames, 3, side, side), generator=rng, dtype=torch.uint8)
    audio = torch.rand(frames, AUDIO, generator=rng)
    labels = torch.zeros(slots, side, side, dtype=torch.int64)
    labels[:frames, 8:40, 10:30] = max(1, num_classes - 1)
    exists = torch.arange(slots) < frames
    return AvsTrainingClip(
        clip_id=f"clip{seed}",
        frames_T3HW=torch.cat((pictures, torch.zeros(slots - frames, 3, side, side, dtype=torch.uint8))),
        audio_TA=torch.cat((audio, torch.zeros(slots - frames, AUDIO))),
        labels_THW=labels,
        labelled_T=exists,
        exists_T=exists,
    )
