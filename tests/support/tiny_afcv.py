"""A tiny AFCV, pairs of frames for it, and loops that say what its masks and losses are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from avis_data.training.data.clips import TrainingClip
from avis_data.training.models.afcv.config import AfcvConfig, AfcvLossConfig
from avis_data.training.models.afcv.model import Afcv
from avis_data.training.models.backbones import ResNetSpec

CLASSES, IDENTITIES = 4, 7
TINY_RUN = (
    "data.batch=2",
    "data.workers=0",
    "data.augment.short=[64]",
    "data.test_short=64",
    "model.backbone={depths: [1, 1, 1, 1], stem_channels: 8, channels: [16, 16, 32, 32]}",
    "model.tower_layers=1",
    "model.mask_channels=16",
    "loop.iterations=2",
    "loop.log_every=1",
    "schedule.warmup=0",
    "validation.every=0",
    "validation.draw_every=0",
)
"""Settings that make runs of `afcv_tiny` take seconds."""
REACH = (64, 128, 256, 512, 1024)

Floats = NDArray[np.float64]
Box = tuple[int, int, int, int]


def tiny_config(**changes: Any) -> AfcvConfig:
    values: dict[str, Any] = {
        "num_classes": CLASSES,
        "num_identities": IDENTITIES,
        "backbone": ResNetSpec(depths=(1, 1, 1, 1), stem_channels=8, channels=(16, 16, 32, 32)),
        "frozen_stages": 0,
        "channels": 64,
        "tower_layers": 1,
        "mask_channels": 16,
        "audio_backbone": ResNetSpec(
            block="basic", depths=(1, 1, 1, 1), stem_channels=8, channels=(8, 8, 16, 16), frozen_norms=False
        ),
        "audio_mean": -2.0,
        "audio_deviation": 1.5,
    }
    return AfcvConfig(**values | changes)


def tiny_model(seed: int = 0, loss: AfcvLossConfig | None = None, **changes: Any) -> Afcv:
    torch.manual_seed(seed)
    return Afcv(tiny_config(**changes), loss or AfcvLossConfig())


def filled(boxes: Sequence[Box | None], size: tuple[int, int]) -> torch.Tensor:
    """Masks of filled boxes (left, top, right, bottom), the last pixels not included; None: an empty mask."""
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, box in zip(masks, boxes, strict=True):
        if box is not None:
            mask[box[1] : box[3], box[0] : box[2]] = True
    return masks


def pair_of(
    *tracks: tuple[Box | None, Box | None],
    size: tuple[int, int] = (64, 96),
    seed: int = 0,
    audio: bool = True,
    **changes: Any,
) -> TrainingClip:
    """Two noise frames; each track a box in either frame, or None; labels and identities by their order."""
    rng = torch.Generator().manual_seed(seed)
    masks = torch.stack([filled([track[frame] for track in tracks], size) for frame in range(2)], dim=1)
    values: dict[str, Any] = {
        "clip_id": f"pair{seed}",
        "frames_T3HW": torch.randint(0, 256, (2, 3, *size), generator=rng, dtype=torch.uint8),
        "audio_TA": torch.randn(2, 64, 64, generator=rng) - 2 if audio else None,
        "labels_N": torch.arange(len(tracks)) % CLASSES,
        "masks_NTHW": masks,
        "track_ids_N": torch.arange(len(tracks)) % IDENTITIES,
        "seed": seed,
    }
    return TrainingClip(**values | changes)


def enlarged_by_loop(line: Floats, factor: int) -> list[float]:
    """One line by aligned bilinear interpolation, output by output, as the specification says it."""
    found = []
    for place in range(factor * len(line)):
        at = max(place - factor // 2, 0) / factor
        low = int(at)
        high = min(low + 1, len(line) - 1)
        found.append(line[low] * (1 - (at - low)) + line[high] * (at - low))
    return found


def map_enlarged_by_loop(x: Floats, factor: int) -> Floats:
    rows = np.array([enlarged_by_loop(column, factor) for column in x.T]).T
    return np.array([enlarged_by_loop(row, factor) for row in rows])


def mask_by_loop(filters: Floats, features: Floats, xy: Sequence[float], level: int) -> Floats:
    """Mask logits at stride 8 of one instance, cell by cell."""
    weights = [filters[:80].reshape(8, 10), filters[80:144].reshape(8, 8), filters[144:152].reshape(1, 8)]
    biases = [filters[152:160], filters[160:168], filters[168:]]
    found = np.empty(features.shape[1:])
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            place = [(xy[0] - (8 * column + 4)) / REACH[level], (xy[1] - (8 * row + 4)) / REACH[level]]
            value = np.concatenate((place, features[:, row, column]))
            value = np.maximum(weights[0] @ value + biases[0], 0)
            value = np.maximum(weights[1] @ value + biases[1], 0)
            found[row, column] = (weights[2] @ value + biases[2])[0]
    return found


def focal_by_loop(logits: Floats, truth: Floats) -> float:
    """Sum of focal losses, value by value."""
    total = 0.0
    for logit, is_true in zip(logits.ravel().tolist(), truth.ravel().tolist(), strict=True):
        probability = 1 / (1 + math.exp(-logit))
        if is_true:
            total -= 0.25 * (1 - probability) ** 2 * math.log(probability)
        else:
            total -= 0.75 * probability**2 * math.log(1 - probability)
    return total


def dice_by_loop(logits: Floats, truth: Floats) -> float:
    probability = 1 / (1 + np.exp(-logits))
    return float(1 - 2 * (probability * truth).sum() / ((probability**2).sum() + (truth**2).sum() + 1e-5))
