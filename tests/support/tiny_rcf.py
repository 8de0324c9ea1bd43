"""A tiny RCF, samples for it, and the loops that say what its parts are."""

from __future__ import annotations

from typing import Any

import torch

from avis_data.training.data.clips import TrainingClip
from avis_data.training.models.backbones import ResNetSpec
from avis_data.training.models.rcf.config import RcfConfig, RcfLossConfig
from avis_data.training.models.rcf.model import Rcf
from avis_data.training.models.rcf.network import Heard

CLASSES, AUDIO = 4, 12
TINY_RUN = (
    "data.batch=2",
    "data.workers=0",
    "data.augment.short=[64]",
    "data.test_short=64",
    "model.backbone={depths: [1, 1, 1, 1], stem_channels: 8, channels: [16, 16, 32, 32]}",
    "model.channels=32",
    "model.mask_channels=32",
    "model.encoder_layers=1",
    "model.decoder_layers=2",
    "model.queries=4",
    "loop.iterations=2",
    "loop.log_every=1",
    "schedule.warmup=0",
    "validation.every=0",
    "validation.draw_every=0",
)
"""Settings that make runs of `rcf_tiny` take seconds."""


def tiny_config(**changes: Any) -> RcfConfig:
    values: dict[str, Any] = {
        "num_classes": CLASSES,
        "backbone": ResNetSpec(depths=(1, 1, 1, 1), stem_channels=8, channels=(16, 16, 32, 32)),
        "channels": 32,
        "heads": 4,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "feedforward": 32,
        "dropout": 0.0,
        "queries": 5,
        "mask_channels": 32,
        "audio_channels": AUDIO,
        "audio_hidden": 8,
    }
    return RcfConfig(**values | changes)


def tiny_model(seed: int = 0, loss: RcfLossConfig | None = None, **changes: Any) -> Rcf:
    torch.manual_seed(seed)
    model = Rcf(tiny_config(**changes), loss or RcfLossConfig())
    for name, parameter in model.named_parameters():  # biases start at zero, where mistakes cancel
        if parameter.dim() == 1 and "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def sample(
    seed: int = 0,
    *,
    frames: int = 2,
    size: tuple[int, int] = (64, 96),
    tracks: int = 2,
    audio: bool = False,
    **changes: Any,
) -> TrainingClip:
    """Noise frames; each track a rectangle of its own in every frame."""
    rng = torch.Generator().manual_seed(seed)
    masks = torch.zeros(tracks, frames, *size, dtype=torch.bool)
    for track in range(tracks):
        top, left = 6 * track + 4, 10 * track + 6
        masks[track, :, top : top + 20, left : left + 24] = True
    values: dict[str, Any] = {
        "clip_id": f"clip{seed}",
        "frames_T3HW": torch.randint(0, 256, (frames, 3, *size), generator=rng, dtype=torch.uint8),
        "audio_TA": torch.rand(frames, AUDIO, generator=rng) if audio else None,
        "labels_N": torch.arange(tracks) % CLASSES,
        "masks_NTHW": masks,
        "track_ids_N": torch.arange(tracks),
        "seed": seed,
    }
    return TrainingClip(**values | changes)


def heard(clips: int, frames: int, *, valid: bool = True, seed: int = 0) -> Heard:
    rng = torch.Generator().manual_seed(seed)
    return Heard(
        audio_BRA=torch.rand(clips, frames, AUDIO, generator=rng),
        valid_BR=torch.full((clips, frames), valid),
    )
