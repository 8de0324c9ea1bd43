"""Clips as tensors, for training of one's own.

Shapes: T frames, H, W pixels, N tracks, S samples of sound, D = 128 values of an embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from avis_data.door.clip_sets import ClipSet
from avis_data.door.clips import Clip
from avis_data.errors import DataError

__all__ = ["ClipTensors", "TorchClips"]


@dataclass(frozen=True, kw_only=True)
class ClipTensors:
    """One whole clip at its own size. Clips differ in size, so a `DataLoader` needs `collate_fn=list`."""

    clip_id: str
    frames_T3HW: Tensor
    """uint8, RGB."""
    samples_S: Tensor | None
    """float32, mono; None for a clip without sound."""
    embeddings_TD: Tensor | None
    """float32; None for a clip without embeddings."""
    labels_N: Tensor
    """int64: category id - 1."""
    masks_NTHW: Tensor
    """bool; empty in frames without a mask."""
    sounding_NT: Tensor
    """bool: whether a track is heard in a frame; False where nobody said so."""


class TorchClips(Dataset[ClipTensors]):
    """A torch `Dataset` over a set of clips; item i is clip i, decoded when it is asked for.

    Example:
        >>> dataset = avis.TorchClips(avis.open("example/exports/ytvis").split("train"))
        >>> clip = dataset[0]
        >>> len(dataset), tuple(clip.frames_T3HW.shape), tuple(clip.masks_NTHW.shape), clip.embeddings_TD.dtype
        (8, (4, 3, 64, 96), (2, 4, 64, 96), torch.float32)
    """

    def __init__(self, clips: ClipSet) -> None:
        """Look at the clips; nothing is decoded.

        Raises:
            DataError: if a clip has no truth.
        """
        without = [clip.clip_id for clip in clips if not clip.has_truth]
        if without:
            raise DataError(
                f"{clips.root}: {len(without)} clip(s) without truth, as {without[0]!r}",
                hint="clips.filter(lambda clip: clip.has_truth) leaves such clips out",
            )
        self._clips = list(clips)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> ClipTensors:
        """Clip i. Raises DataError if a file of it is missing or bad."""
        return clip_tensors(self._clips[index])


def clip_tensors(clip: Clip) -> ClipTensors:
    """All of one clip. Raises DataError if a file of it is missing or bad."""
    tracks, (height, width) = clip.tracks, clip.size_hw
    frames = np.stack(list(clip.stills()))
    masks = np.zeros((len(tracks), clip.num_frames, height, width), dtype=np.bool_)
    for number, track in enumerate(tracks):
        masks[number] = track.masks_THW()
    heard = [[flag is True for flag in track.sounding] for track in tracks]
    return ClipTensors(
        clip_id=clip.clip_id,
        frames_T3HW=torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))),
        samples_S=torch.from_numpy(clip.sound().samples_N) if clip.has_sound else None,
        embeddings_TD=torch.from_numpy(clip.embeddings()) if clip.has_embeddings else None,
        labels_N=torch.tensor([track.category_id - 1 for track in tracks], dtype=torch.int64),
        masks_NTHW=torch.from_numpy(masks),
        sounding_NT=torch.tensor(heard, dtype=torch.bool).reshape(len(tracks), clip.num_frames),
    )
