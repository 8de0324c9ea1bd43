"""Training targets of a clip, at video and at frame level.

Shapes: N tracks as labelled, G tracks kept, T frames, H, W pixels of the padded input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avis_data.training.models.host import sent, sent_together

__all__ = ["ClipTarget", "LateOnsetLabel", "TargetRows", "clip_target", "frame_targets", "target_rows"]

LateOnsetLabel = Literal["true", "no_object"]


@dataclass(frozen=True, kw_only=True)
class ClipTarget:
    """The tracks of one entry of a set loss: a clip, or (T = 1) one of its frames. On the host."""

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
        labels_N: int64, on the host, as the masks; true 0-based class of each track.
        masks_NTHW: bool; empty where a track is not sounding.
        late_onset_label: the class of a track that is silent in the first frame. `no_object` is what the published
            training did by mistake (specification of AVISM, section 4.1).
    """
    present_NT = masks_NTHW.flatten(2).any(dim=2).numpy()
    kept = torch.from_numpy(np.flatnonzero(present_NT.any(axis=1)))
    labels, present = labels_N[kept], torch.from_numpy(present_NT)[kept]
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
        present = torch.from_numpy(np.flatnonzero(target.ids_GT[:, frame].numpy() >= 0))
        span = slice(frame, frame + 1)
        frames.append(
            ClipTarget(
                labels_G=target.labels_G[present],
                ids_GT=target.ids_GT[present, span],
                masks_GTHW=target.masks_GTHW[present, span],
            )
        )
    return frames


@dataclass(frozen=True, kw_only=True)
class TargetRows:
    """The targets of N entries one below the other, on the predictions' device; R of them, at most G of an entry."""

    masks_RTHW: Tensor
    """float32, 0 or 1."""
    entry_R: Tensor
    """int64, the entry of each."""
    row_NG: Tensor
    """int64, the row of each entry's targets; R where it has no more."""
    label_NG: Tensor
    """int64, their classes; 0 where it has no more."""
    first_N: tuple[int, ...]
    """The first row of each entry; on the host, as the two that follow."""
    count_N: tuple[int, ...]
    """Targets of each entry."""
    label_R: NDArray[np.int64]
    """The class of each row."""


def target_rows(targets: Sequence[ClipTarget], device: torch.device) -> TargetRows:
    """The targets of entries of one size and length, sent to a device."""
    counts = [len(target.labels_G) for target in targets]
    first = [sum(counts[:entry]) for entry in range(len(counts))]
    rows, most = sum(counts), max(counts)
    label_R = np.concatenate([target.labels_G.numpy() for target in targets])
    entry_R = np.repeat(np.arange(len(counts)), counts)
    row_NG = np.array(first)[:, None] + np.arange(most)
    row_NG = np.where(np.arange(most) < np.array(counts)[:, None], row_NG, rows)
    label_NG = np.append(label_R, 0)[row_NG]
    entry, row, label = sent_together([entry_R, row_NG, label_NG], device)
    return TargetRows(
        masks_RTHW=sent(torch.cat([target.masks_GTHW for target in targets]), device).float(),
        entry_R=entry,
        row_NG=row,
        label_NG=label,
        first_N=tuple(first),
        count_N=tuple(counts),
        label_R=label_R,
    )
