"""Training targets of a clip, at video and at frame level.

Shapes: N tracks as labelled, G tracks kept, T frames, H, W pixels of the padded input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ClipTarget", "LateOnsetLabel", "clip_target", "frame_targets"]

LateOnsetLabel = Literal["true", "no_object"]


@dataclass(frozen=True, kw_only=True)
class ClipTarget:
    """The tracks of one entry of a set loss: a clip, or (T = 1) one of its frames."""

    labels_G: Tensor
    """int64, 0-based class; `num_classes` (no object) only under the compat label of late tracks."""
    ids_GT: Tensor
    """int64, the index of the labelled track, -1 in frames where it has no mask."""
    masks_GTHW: Tensor
    """bool, at padded input size."""


def clip_target(
    labels_N: Tensor,
    masks_NTHW: Tensor,
    *,
    padded_size: tuple[int, int],
    num_classes: int,
    late_onset_label: LateOnsetLabel = "true",
) -> ClipTarget:
    """The target of a clip: the tracks with a mask in at least one frame, masks padded bottom and right.

    Args:
        labels_N: int64, true 0-based class of each track.
        masks_NTHW: bool; empty where a track is not sounding.
        late_onset_label: the class of a track that is silent in the first frame. `no_object` is what the published
            training did by mistake (specification of AVISM, section 4.1).
    """
    present_NT = masks_NTHW.flatten(2).any(dim=2)
    kept = present_NT.any(dim=1).nonzero()[:, 0]
    labels, present = labels_N[kept], present_NT[kept]
    if late_onset_label == "no_object":
        labels = torch.where(present[:, 0], labels, num_classes)
    (height, width), (padded_height, padded_width) = masks_NTHW.shape[-2:], padded_size
    masks = functional.pad(masks_NTHW[kept], (0, padded_width - width, 0, padded_height - height))
    ids = torch.where(present, kept[:, None], -1)
    return ClipTarget(labels_G=labels, ids_GT=ids, masks_GTHW=masks)


def frame_targets(target: ClipTarget) -> list[ClipTarget]:
    """One target per frame, with the tracks that have a mask there, in track order."""
    frames = []
    for frame in range(target.ids_GT.shape[1]):
        present = target.ids_GT[:, frame] >= 0
        span = slice(frame, frame + 1)
        frames.append(
            ClipTarget(
                labels_G=target.labels_G[present],
                ids_GT=target.ids_GT[present, span],
                masks_GTHW=target.masks_GTHW[present, span],
            )
        )
    return frames
