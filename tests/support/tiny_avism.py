"""A tiny AVISM and clips for it."""

from __future__ import annotations

from typing import Any

import torch

from avis_data.training.data.clips import TensorClip, TrainingBatch, TrainingClip
from avis_data.training.models.avism.config import AvismConfig, AvismLossConfig
from avis_data.training.models.avism.model import Avism
from avis_data.training.models.backbones import ResNetSpec

AUDIO = 128
CLASSES = 4


def tiny_config(**changes: Any) -> AvismConfig:
    values: dict[str, Any] = {
        "num_classes": CLASSES,
        "backbone": ResNetSpec(depths=(1, 1, 1, 1), stem_channels=8, channels=(16, 16, 32, 32)),
        "channels": 32,
        "heads": 4,
        "audio_channels": AUDIO,
        "pixel_layers": 1,
        "pixel_feedforward": 32,
        "frame_queries": 5,
        "frame_layers": 3,
        "video_queries": 6,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "window": 3,
        "feedforward": 32,
    }
    return AvismConfig(**values | changes)


def tiny_model(seed: int = 0, loss: AvismLossConfig | None = None, **changes: Any) -> Avism:
    torch.manual_seed(seed)
    model = Avism(tiny_config(**changes), loss or AvismLossConfig(points=32))
    for name, parameter in model.named_parameters():  # biases and offsets start at zero, where mistakes cancel
        if (parameter.dim() == 1 and "norm" not in name) or "sampling_offsets" in name or "attention_weights" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def learnt(model: Avism, batch: TrainingBatch[TrainingClip], name: str, *, steps: int = 60) -> list[float]:
    """Train on one batch; the sum of the losses whose names begin so, before each step."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    found = []
    for _ in range(steps):
        parts = model(batch)
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
        found.append(sum(float(loss.detach()) for part, loss in parts.items() if part.startswith(name)))
    return found


def training_clip(
    seed: int, *, frames: int = 4, size: tuple[int, int] = (64, 96), tracks: int = 2, clip_id: str | None = None
) -> TrainingClip:
    """Noise frames and audio; each track a rectangle that is missing in one frame; the same for the same arguments."""
    rng = torch.Generator().manual_seed(seed)
    height, width = size
    masks = torch.zeros(tracks, frames, height, width, dtype=torch.bool)
    for track in range(tracks):
        top, left = 8 * track + 4, 12 * track + 6
        masks[track, :, top : top + 20, left : left + 24] = True
        masks[track, track % frames] = frames == 1
    return TrainingClip(
        clip_id=clip_id or f"clip{seed}",
        frames_T3HW=torch.randint(0, 256, (frames, 3, height, width), generator=rng, dtype=torch.uint8),
        audio_TA=torch.rand(frames, AUDIO, generator=rng),
        labels_N=torch.arange(tracks) % CLASSES,
        masks_NTHW=masks,
        track_ids_N=torch.arange(tracks),
        seed=seed,
    )


def whole_clip(seed: int, frames: int, size: tuple[int, int] = (60, 90)) -> TensorClip:
    clip = training_clip(seed, frames=frames, size=size, tracks=0)
    return TensorClip(clip_id=clip.clip_id, frames_T3HW=clip.frames_T3HW, audio_TA=clip.audio_TA, size_hw=(72, 108))
